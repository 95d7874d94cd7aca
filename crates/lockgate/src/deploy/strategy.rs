//! In which order gateways get a build. Pure: gateways in, stages out.
//!
//! ```text
//! all      │ 0 1 2 ──▶ good
//! rolling  │ 0 ─ready─▶ 1 ─ready─▶ 2 ──▶ good
//! canary   │ 0 ─good─▶ 1 2 ──▶ good
//! ```
//! Not to be confused with `[app] strategy`, which says how one process follows another
//! *within* a gateway.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::Gateway;

/// The order in which the gateways of an environment get a build.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeployStrategy {
    /// All gateways at once.
    #[default]
    All,
    /// One gateway after the other, the next when the one before is ready.
    Rolling,
    /// The first gateway alone through its whole trial, then all others at once.
    Canary,
}

impl DeployStrategy {
    /// The strategy as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Rolling => "rolling",
            Self::Canary => "canary",
        }
    }
}

/// How far a gateway has to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Until {
    /// The build answers.
    Ready,
    /// The build has passed its trial, too.
    #[default]
    Good,
}

/// Gateways that are told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Their numbers.
    pub(crate) gateways: Vec<u32>,
    /// How far they have to come before the next stage, or the end.
    pub(crate) until: Until,
}

/// The stages in their order; the last one is followed as far as `wait` says. The lowest
/// number comes first; gateways that are stopped can show nothing, so they come last.
pub(crate) fn stages(strategy: DeployStrategy, gateways: &[&Gateway], wait: Until) -> Vec<Stage> {
    let mut gateways = gateways.to_vec();
    gateways.sort_by_key(|one| (!one.enabled, one.number));
    let enabled = gateways.partition_point(|one| one.enabled);
    let (chunks, until): (Vec<&[&Gateway]>, _) = match strategy {
        DeployStrategy::All => (vec![&gateways], wait),
        DeployStrategy::Rolling => {
            let (enabled, stopped) = gateways.split_at(enabled);
            (enabled.chunks(1).chain([stopped]).collect(), Until::Ready)
        }
        DeployStrategy::Canary => {
            let (canary, others) = gateways.split_at(gateways.len().min(1));
            (vec![canary, others], Until::Good)
        }
    };
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
    let mut stages: Vec<Stage> = chunks
        .map(|chunk| Stage {
            gateways: chunk.iter().map(|one| one.number).collect(),
            until,
        })
        .collect();
    match (stages.len(), stages.last_mut()) {
        // There is nobody else whom a canary could warn, and it is one all the same.
        (1, Some(only)) if until == Until::Good => only.until = Until::Good,
        (_, Some(last)) => last.until = wait,
        (_, None) => {}
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(number: u32, enabled: bool) -> Gateway {
        Gateway {
            number,
            id: String::new(),
            http_port: 7100,
            vpn_port: 49100,
            enabled,
            organization: None,
            pinned: None,
        }
    }

    /// A letter a gateway: `x` runs, `-` is stopped.
    fn check(strategy: DeployStrategy, gateways: &str, expected: &[&[u32]]) {
        let letters = (0..).zip(gateways.chars());
        let gateways: Vec<Gateway> = letters
            .map(|(number, letter)| gateway(number, letter == 'x'))
            .collect();
        let stages = stages(strategy, &gateways.iter().collect::<Vec<_>>(), Until::Ready);
        let numbers: Vec<&[u32]> = stages.iter().map(|it| it.gateways.as_slice()).collect();
        assert_eq!(numbers, expected, "{strategy:?}");
    }

    #[test]
    fn a_strategy_orders_the_gateways() {
        use DeployStrategy::{All, Canary, Rolling};
        check(All, "xxx", &[&[0, 1, 2]]);
        check(All, "-xx", &[&[1, 2, 0]]);
        check(All, "", &[]);
        check(Rolling, "xxx", &[&[0], &[1], &[2]]);
        check(Rolling, "-x-x", &[&[1], &[3], &[0, 2]]);
        check(Rolling, "---", &[&[0, 1, 2]]);
        check(Canary, "xxx", &[&[0], &[1, 2]]);
        check(Canary, "-xx", &[&[1], &[2, 0]]);
        check(Canary, "x", &[&[0]]);
        check(Canary, "", &[]);
    }

    #[test]
    fn only_the_canary_has_to_pass_its_trial_before_the_others() {
        use DeployStrategy::{All, Canary, Rolling};
        use Until::{Good, Ready};
        let gateways: Vec<Gateway> = (0..2).map(|number| gateway(number, true)).collect();
        let all: Vec<&Gateway> = gateways.iter().collect();
        let check = |strategy, count: usize, wait, expected: &[Until]| {
            let stages = stages(strategy, &all[..count], wait);
            let until: Vec<Until> = stages.iter().map(|stage| stage.until).collect();
            assert_eq!(until, expected, "{strategy:?} {count} {wait:?}");
        };
        check(All, 2, Good, &[Good]);
        check(All, 2, Ready, &[Ready]);
        check(Rolling, 2, Good, &[Ready, Good]);
        check(Rolling, 2, Ready, &[Ready, Ready]);
        check(Rolling, 1, Good, &[Good]);
        check(Canary, 2, Good, &[Good, Good]);
        check(Canary, 2, Ready, &[Good, Ready]);
        check(Canary, 1, Ready, &[Good]);
    }
}
