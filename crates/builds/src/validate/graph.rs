//! Who imports whom, and the shortest way from an entry point to a module.

mod aliases;
mod rebuild;

use std::collections::VecDeque;

use super::modules::{Edge, Module};

pub(super) use rebuild::rebuild;

/// The modules of a bundle and their imports.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) modules: Vec<Module>,
    /// For each module: what it imports.
    pub(super) edges: Vec<Vec<Edge>>,
    /// The numbers of the entry points.
    pub(super) entries: Vec<usize>,
}

/// A step of a way: this module has this import.
pub(super) type Step<'g> = (usize, &'g Edge);

impl Graph {
    /// The shortest way from an entry point to a module that is a goal: its steps, and the
    /// goal. `None` where there is none. Imports of which only types are used count where
    /// there is no way without them: bundlers mostly drop those.
    pub(super) fn way(&self, is_goal: impl Fn(usize) -> bool) -> Option<(Vec<Step<'_>>, usize)> {
        self.shortest(&is_goal, false)
            .or_else(|| self.shortest(&is_goal, true))
    }

    fn shortest(
        &self,
        is_goal: &impl Fn(usize) -> bool,
        types: bool,
    ) -> Option<(Vec<Step<'_>>, usize)> {
        let mut from: Vec<Option<Step>> = vec![None; self.modules.len()];
        let mut seen = vec![false; self.modules.len()];
        let mut next = VecDeque::new();
        for entry in self.starts() {
            if let Some(seen) = seen.get_mut(entry).filter(|seen| !**seen) {
                *seen = true;
                next.push_back(entry);
            }
        }
        while let Some(at) = next.pop_front() {
            if is_goal(at) {
                return Some((back(&from, at), at));
            }
            let edges = self.edges.get(at).into_iter().flatten();
            for edge in edges.filter(|edge| types || !edge.types) {
                if let (Some(seen @ false), Some(from)) =
                    (seen.get_mut(edge.to), from.get_mut(edge.to))
                {
                    *seen = true;
                    *from = Some((at, edge));
                    next.push_back(edge.to);
                }
            }
        }
        None
    }

    /// The entry points; where nobody named them, the user's own modules that none imports.
    fn starts(&self) -> Vec<usize> {
        if !self.entries.is_empty() {
            return self.entries.clone();
        }
        let mut imported = vec![false; self.modules.len()];
        for edge in self.edges.iter().flatten() {
            if let Some(imported) = imported.get_mut(edge.to) {
                *imported = true;
            }
        }
        let own = |(number, module): &(usize, &Module)| {
            module.is_own() && imported.get(*number) == Some(&false)
        };
        let modules = self.modules.iter().enumerate();
        modules.filter(own).map(|(number, _)| number).collect()
    }
}

fn back<'g>(from: &[Option<Step<'g>>], goal: usize) -> Vec<Step<'g>> {
    let mut steps = Vec::new();
    let mut at = goal;
    while let Some(Some((before, edge))) = from.get(at) {
        steps.push((*before, *edge));
        at = *before;
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests;
