//! The modules that lie in a bundle, and how much of it each is.

use std::collections::HashMap;

use super::composition::after_marks;
use super::find::Mark;
use super::map::{Map, Survey};
use super::modules::{Module, normal};

/// The map's files as modules; nobody counted their bytes yet.
pub(super) fn modules_of(map: &Map, folder: &str) -> Vec<Module> {
    let module = |name: &String| Module {
        path: normal(name, folder),
        bytes: u64::from(!name.is_empty()),
        first: None,
    };
    map.sources.iter().map(module).collect()
}

/// What a bundler's marks tell.
pub(super) fn marked(text: &str, marks: &[Mark]) -> Vec<Module> {
    let bytes = after_marks(marks, text);
    let module = |(mark, bytes): (&Mark, u64)| Module {
        path: normal(&mark.path, ""),
        bytes,
        first: Some(mark.offset),
    };
    marks.iter().zip(bytes).map(module).collect()
}

/// Takes bytes and places from the map's mappings.
pub(super) fn weigh(modules: &mut [Module], survey: &Survey) {
    let counted = survey.bytes.iter().zip(&survey.first);
    for (module, (bytes, first)) in modules.iter_mut().zip(counted) {
        module.bytes = *bytes;
        module.first = *first;
    }
}

/// Takes places from the map's modules over to those of the metafile.
pub(super) fn place(modules: &mut [Module], of_map: &[Module]) {
    let firsts: HashMap<&str, Option<usize>> = of_map
        .iter()
        .rev()
        .map(|module| (module.path.as_str(), module.first))
        .collect();
    for module in modules {
        module.first = firsts.get(module.path.as_str()).copied().flatten();
    }
}
