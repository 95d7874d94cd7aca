//! What is to be asked, and when: decided beforehand by rate, mix and seed.

use std::time::Duration;

use super::random::Random;

/// How long slow answers take, in milliseconds.
const SLOW_MS: std::ops::Range<u64> = 300..1500;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `GET` on a connection of its own.
    New,
    /// `GET` on a connection that is kept.
    Keep,
    /// `POST` of up to a million bytes on a connection that is kept.
    Post,
    /// `GET` of an answer that is long in coming, on a connection that is kept.
    Slow,
    /// `GET` of an answer whose head comes at once and whose body drips.
    Stream,
    /// `POST` whose body is long in being sent, on a connection that is kept.
    Upload,
    /// `GET` on a connection of its own that is silent for a while before it asks, as
    /// browsers open them.
    Late,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::New,
        Self::Keep,
        Self::Post,
        Self::Slow,
        Self::Stream,
        Self::Upload,
        Self::Late,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Keep => "keep-alive",
            Self::Post => "post",
            Self::Slow => "slow",
            Self::Stream => "stream",
            Self::Upload => "upload",
            Self::Late => "late",
        }
    }

    /// Whether it is answered at once, so that its latency is the server's own.
    pub fn is_quick(self) -> bool {
        match self {
            Self::New | Self::Keep | Self::Post => true,
            Self::Slow | Self::Stream | Self::Upload | Self::Late => false,
        }
    }

    /// Whether its connection is kept and asked again.
    pub(super) fn is_kept(self) -> bool {
        match self {
            Self::Keep | Self::Post | Self::Slow | Self::Stream | Self::Upload => true,
            Self::New | Self::Late => false,
        }
    }

    /// Whether it has a body.
    pub(super) fn is_post(self) -> bool {
        match self {
            Self::Post | Self::Upload => true,
            Self::New | Self::Keep | Self::Slow | Self::Stream | Self::Late => false,
        }
    }
}

/// How many parts of the requests are of which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Parts of [`Class::New`].
    pub new: u32,
    /// Parts of [`Class::Keep`].
    pub keep: u32,
    /// Parts of [`Class::Post`].
    pub post: u32,
    /// Parts of [`Class::Slow`].
    pub slow: u32,
    /// Parts of [`Class::Stream`].
    pub stream: u32,
    /// Parts of [`Class::Upload`].
    pub upload: u32,
    /// Parts of [`Class::Late`].
    pub late: u32,
}

impl Mix {
    /// The parts of one class.
    pub fn parts(&self, class: Class) -> u32 {
        match class {
            Class::New => self.new,
            Class::Keep => self.keep,
            Class::Post => self.post,
            Class::Slow => self.slow,
            Class::Stream => self.stream,
            Class::Upload => self.upload,
            Class::Late => self.late,
        }
    }

    /// All parts together.
    pub fn total(&self) -> u32 {
        Class::ALL.iter().map(|class| self.parts(*class)).sum()
    }

    fn class(&self, random: &mut Random) -> Class {
        let mut at = random.below(self.total().into());
        for class in Class::ALL {
            let parts = u64::from(self.parts(class));
            if at < parts {
                return class;
            }
            at -= parts;
        }
        Class::New
    }
}

/// One request to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// When, since the start.
    pub(super) due: Duration,
    pub(super) class: Class,
    /// How long a slow answer or upload takes.
    pub(super) slow_ms: u64,
    /// A number by which the body is chosen, and whether a new connection says that it
    /// is for one request only.
    pub(super) chance: u64,
}

impl Order {
    /// How long it takes by its own nature.
    pub(super) fn takes(&self) -> Duration {
        match self.class {
            Class::New | Class::Keep | Class::Post => Duration::ZERO,
            Class::Slow | Class::Stream | Class::Upload => Duration::from_millis(self.slow_ms),
            // A browser's connections are silent for shorter than its answers are slow.
            Class::Late => Duration::from_millis(self.slow_ms / 4),
        }
    }
}

/// All orders, in the order in which they are due. Endless.
#[derive(Debug)]
pub(super) struct Orders {
    rate: u32,
    mix: Mix,
    random: Random,
    number: u64,
}

impl Orders {
    pub(super) fn new(rate: u32, mix: Mix, seed: u64) -> Self {
        Self {
            rate: rate.max(1),
            mix,
            random: Random::new(seed),
            number: 0,
        }
    }
}

impl Iterator for Orders {
    type Item = Order;

    fn next(&mut self) -> Option<Order> {
        let due =
            Duration::from_nanos(self.number.saturating_mul(1_000_000_000) / u64::from(self.rate));
        self.number += 1;
        Some(Order {
            due,
            class: self.mix.class(&mut self.random),
            slow_ms: SLOW_MS.start + self.random.below(SLOW_MS.end - SLOW_MS.start),
            chance: self.random.next(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: Mix = Mix {
        new: 40,
        keep: 40,
        post: 10,
        slow: 10,
        stream: 0,
        upload: 0,
        late: 0,
    };

    #[test]
    fn orders_are_due_at_the_rate_whatever_happens() {
        let due: Vec<_> = Orders::new(4, MIX, 1).take(5).map(|it| it.due).collect();
        let quarters = |number: u64| Duration::from_millis(250 * number);
        assert_eq!(due, [0, 1, 2, 3, 4].map(quarters));
    }

    #[test]
    fn classes_come_as_often_as_the_mix_says() {
        let orders: Vec<_> = Orders::new(300, MIX, 1).take(10_000).collect();
        let count = |class| orders.iter().filter(|it| it.class == class).count();
        for class in Class::ALL {
            let expected = MIX.parts(class) as usize * 100;
            assert!(
                count(class).abs_diff(expected) < 250,
                "{class:?}: {}",
                count(class)
            );
        }
        assert!(orders.iter().all(|it| SLOW_MS.contains(&it.slow_ms)));
    }
}
