//! The outcome as text, for people.

use std::collections::BTreeMap;
use std::fmt;

use super::figures::Figures;
use super::loss::Loss;
use super::orders::Class;
use super::outcome::Outcome;

/// How many losses are told one by one.
const TOLD: usize = 30;

impl Outcome {
    /// Losses counted by class and kind: `3 × keep-alive reset`.
    pub fn losses_by_kind(&self) -> Vec<String> {
        let mut counts: BTreeMap<(Class, String), u64> = BTreeMap::new();
        for Loss { class, kind, .. } in &self.losses {
            *counts.entry((*class, kind.to_string())).or_default() += 1;
        }
        let line = |((class, kind), count): (&(Class, String), &u64)| {
            format!("{count} × {} {kind}", class.as_str())
        };
        counts.iter().map(line).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests in {:.1} s, {} lost; closed while idle {}; sent late by at most {:.0} ms",
            self.sent_in_all(),
            self.lasted.as_secs_f64(),
            self.losses.len(),
            self.closed_idle,
            self.behind.as_secs_f64() * 1000.0
        )?;
        for class in Class::ALL {
            let figures = Figures::of(self.latencies(class));
            if figures.count > 0 {
                writeln!(
                    f,
                    "  {:<10} {:>6}  {figures}",
                    class.as_str(),
                    figures.count
                )?;
            }
        }
        for line in self.losses_by_kind() {
            writeln!(f, "  lost: {line}")?;
        }
        for loss in self.losses.iter().take(TOLD) {
            writeln!(f, "    {loss}")?;
        }
        let websockets = &self.websockets;
        writeln!(
            f,
            "  WebSockets: opened {}, echoes {}, closed by the server {:?}, broken {}, not opened {}",
            websockets.opened,
            websockets.echoes,
            websockets.codes(),
            websockets.broken.len(),
            websockets.not_opened.len()
        )?;
        for line in websockets.broken.iter().take(TOLD) {
            writeln!(f, "    broken {line}")?;
        }
        for line in websockets.not_opened.iter().take(TOLD) {
            writeln!(f, "    not opened {line}")?;
        }
        for switch in self.switches() {
            let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
            let version = self.answerers.get(switch.to);
            writeln!(
                f,
                "  at {:.3} s version {}: finishing {:.0} ms, nobody {:.0} ms, pause {:.0} ms",
                switch.at.as_secs_f64(),
                version.map_or("?", |it| &it.version),
                ms(switch.finishing()),
                ms(switch.nobody()),
                ms(switch.pause)
            )?;
        }
        Ok(())
    }
}
