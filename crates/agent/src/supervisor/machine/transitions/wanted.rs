//! What shall run now, by what was asked and what is known.

use super::super::super::Target;
use super::super::{Run, Wish};
use super::Turn;

impl Turn {
    /// Takes a target as what is wanted, unless it is stale. A number has one
    /// meaning: another target under the same number is stale too.
    pub(super) fn wish_run(&mut self, target: Target) -> bool {
        let again = |last: &Target| last.seq == target.seq && same(last, &target);
        let fresh = match &self.machine.wish {
            Wish::Unknown => true,
            Wish::Run(last) => last.seq < target.seq || again(last),
            // The same number: it was stopped by hand, and is started again.
            Wish::Nothing { seq: last, stopped } => {
                *last < target.seq || stopped.as_ref().is_some_and(again)
            }
            Wish::End => false,
        };
        if !fresh {
            return false;
        }
        match &self.machine.refused {
            Some(refused) if refused.build == target.build && refused.seq == target.seq => {
                self.machine.settled = self.machine.settled.max(target.seq);
            }
            Some(refused) if refused.seq < target.seq => self.machine.refused = None,
            Some(_) | None => {}
        }
        self.machine.wish = Wish::Run(target);
        true
    }

    /// Takes that nothing shall run, unless it is stale.
    pub(super) fn wish_nothing(&mut self, seq: u64) -> bool {
        let (fresh, last) = match &self.machine.wish {
            Wish::Unknown => (true, None),
            Wish::Run(last) => (last.seq <= seq, Some(last)),
            Wish::Nothing { seq: last, stopped } => (*last <= seq, stopped.as_ref()),
            Wish::End => (false, None),
        };
        if fresh {
            // The same number: it is stopped by hand.
            let stopped = last.filter(|last| last.seq == seq).cloned();
            self.machine.wish = Wish::Nothing { seq, stopped };
        }
        fresh
    }

    /// What shall run now: the wished target, or the good one where that is refused.
    pub(super) fn wanted(&self) -> Option<&Target> {
        let Wish::Run(target) = &self.machine.wish else {
            return None;
        };
        if self.is_refused(target) {
            self.machine
                .good
                .as_ref()
                .filter(|good| !self.is_refused(good))
        } else {
            Some(target)
        }
    }

    pub(super) fn is_refused(&self, target: &Target) -> bool {
        self.machine
            .refused
            .as_ref()
            .is_some_and(|refused| refused.build == target.build && refused.seq == target.seq)
    }

    /// The run with the wanted target's number, where it runs what is wanted.
    pub(super) fn taken_over(&self, run: &Run) -> Option<Run> {
        let wanted = self.wanted().filter(|wanted| same(wanted, &run.target))?;
        Some(Run {
            target: wanted.clone(),
            ..run.clone()
        })
    }

    /// Whether this run is what is wanted, down to the number.
    pub(super) fn is_wanted(&self, run: &Run) -> bool {
        self.wanted()
            .is_some_and(|wanted| same(wanted, &run.target) && wanted.seq == run.target.seq)
    }

    /// What runs is what the newest statement says: its number is done with.
    pub(super) fn settle(&mut self, run: &Run) {
        if let Wish::Run(target) = &self.machine.wish
            && target.seq == run.target.seq
        {
            self.machine.settled = self.machine.settled.max(target.seq);
        }
        if run.trial.is_none() {
            self.machine.good = Some(run.target.clone());
        }
    }
}

/// Whether two targets ask for the same process; their numbers do not matter.
pub(super) fn same(one: &Target, other: &Target) -> bool {
    one.build == other.build && one.settings == other.settings && one.restart == other.restart
}
