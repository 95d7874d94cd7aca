//! Who imports whom, read out of the sources themselves: a map does not tell.
//!
//! Files that left nothing in the bundle, such as an index that only passes on, are in no
//! map; they are read from the workspace where they are needed.

use std::collections::HashMap;

use super::Graph;
use super::aliases::Aliases;
use crate::validate::deep::deep;
use crate::validate::modules::{Edge, Module, folder, is_own, joined, package, within};
use crate::validate::sources::{self, Source, SourceImport, Uses};

/// Files of a workspace that are read besides those of the map. A graph of more is drawn
/// without the rest.
const MOST_READ: usize = 5000;

/// So many texts are worth a second thread.
const MANY_FILES: usize = 64;

/// What an import may leave away from the end of a file's name.
const ENDINGS: [&str; 20] = [
    "",
    ".ts",
    ".tsx",
    ".js",
    ".jsx",
    ".mjs",
    ".cjs",
    ".mts",
    ".cts",
    ".json",
    "/index.ts",
    "/index.tsx",
    "/index.js",
    "/index.jsx",
    "/index.mjs",
    "/index.cjs",
    "/index.mts",
    "/index.cts",
    "/src/index.ts",
    "/src/index.tsx",
];

/// Where a workspace's names are written down.
const CONFIGURATIONS: [&str; 2] = ["tsconfig.base.json", "tsconfig.json"];

/// Draws the graph of these modules with their texts. `read` gives a file of the workspace.
/// Imports that say they are of types alone are no ways.
pub(in super::super) fn rebuild(
    modules: Vec<Module>,
    texts: &[Option<impl AsRef<str> + Sync>],
    read: &dyn Fn(&str) -> Option<String>,
) -> Graph {
    let aliases = CONFIGURATIONS.iter().find_map(|path| read(path));
    let mut drawing = Drawing {
        read,
        aliases: aliases.map(|text| Aliases::read(&text)).unwrap_or_default(),
        by_path: HashMap::new(),
        by_package: HashMap::new(),
        bare: HashMap::new(),
        unread: Vec::new(),
        left: MOST_READ,
        graph: Graph::default(),
    };
    let known = read_all(&modules, texts);
    for module in modules {
        drawing.add(module);
    }
    for (number, (text, source)) in texts.iter().zip(known).enumerate() {
        if text.is_none() {
            drawing.unread.push(number);
        } else if let Some(source) = source {
            drawing.imports_of(number, source);
        }
    }
    while let Some(number) = drawing.unread.pop() {
        let path = drawing
            .graph
            .modules
            .get(number)
            .map(|module| module.path.clone());
        let Some(path) = path.filter(|path| is_own(path)) else {
            continue;
        };
        let source = drawing
            .text(&path)
            .and_then(|text| sources::read(&path, &text));
        if let Some(source) = source {
            drawing.imports_of(number, source);
        }
    }
    drawing.graph
}

/// Reads the texts that are known; where they are many, half of them on another core.
fn read_all(modules: &[Module], texts: &[Option<impl AsRef<str> + Sync>]) -> Vec<Option<Source>> {
    let read = |(module, text): (&Module, &Option<_>)| {
        let text: &str = text.as_ref().map(AsRef::as_ref)?;
        sources::read(&module.path, text)
    };
    let files = || modules.iter().zip(texts);
    if texts.len() < MANY_FILES {
        return files().map(read).collect();
    }
    let even = || files().step_by(2).map(read).collect::<Vec<_>>();
    let odd = || files().skip(1).step_by(2).map(read).collect::<Vec<_>>();
    let mut here = None;
    let there = deep(odd, || here = Some(even()));
    let here = here.unwrap_or_else(even);
    let mut there = there.unwrap_or_else(|_| odd()).into_iter();
    let mut all = Vec::with_capacity(texts.len());
    for source in here {
        all.push(source);
        all.extend(there.next());
    }
    all
}

struct Drawing<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    aliases: Aliases,
    by_path: HashMap<String, usize>,
    by_package: HashMap<String, Vec<usize>>,
    /// What names that are no paths lead to: the same from everywhere.
    bare: HashMap<String, Vec<usize>>,
    /// Modules whose text is not known.
    unread: Vec<usize>,
    /// How many files may still be read.
    left: usize,
    graph: Graph,
}

impl Drawing<'_> {
    fn add(&mut self, module: Module) -> usize {
        let number = self.graph.modules.len();
        if let Some(package) = package(&module.path) {
            let package = self.by_package.entry(package.to_owned()).or_default();
            package.push(number);
        }
        self.by_path.entry(module.path.clone()).or_insert(number);
        self.graph.modules.push(module);
        self.graph.edges.push(Vec::new());
        number
    }

    fn text(&mut self, path: &str) -> Option<String> {
        self.left = self.left.checked_sub(1)?;
        (self.read)(path)
    }

    fn imports_of(&mut self, number: usize, source: Source) {
        let Some(path) = self
            .graph
            .modules
            .get(number)
            .map(|module| module.path.clone())
        else {
            return;
        };
        for import in source.imports {
            if import.uses != Uses::TypesSaid {
                self.draw(number, &path, &import);
            }
        }
    }

    fn draw(&mut self, from: usize, path: &str, import: &SourceImport) {
        let specifier = &import.specifier;
        let to = if specifier.starts_with('.') || specifier.starts_with('/') {
            self.file(&joined(folder(path), specifier))
                .into_iter()
                .collect()
        } else if let Some(known) = self.bare.get(specifier) {
            known.clone()
        } else {
            let found = self.named(specifier);
            self.bare.insert(specifier.clone(), found.clone());
            found
        };
        let edges = to.into_iter().filter(|to| *to != from).map(|to| Edge {
            to,
            specifier: specifier.clone(),
            line: Some(import.line),
            passed_on: import.passed_on,
            types: import.uses == Uses::TypesUnsaid,
        });
        if let Some(all) = self.graph.edges.get_mut(from) {
            all.extend(edges);
        }
    }

    /// A file by its path without some ending.
    fn file(&mut self, path: &str) -> Option<usize> {
        let written = |path: &str| {
            // TypeScript calls its files by what they will become.
            let stem = path
                .strip_suffix(".js")
                .or_else(|| path.strip_suffix(".jsx"));
            stem.map(ToOwned::to_owned)
        };
        let stems = [Some(path.to_owned()), written(path)];
        let candidates: Vec<String> = stems
            .iter()
            .flatten()
            .flat_map(|stem| ENDINGS.iter().map(move |ending| format!("{stem}{ending}")))
            .collect();
        let known = candidates.iter().find_map(|path| self.by_path.get(path));
        if let Some(known) = known {
            return Some(*known);
        }
        let path = candidates
            .into_iter()
            .filter(|path| is_own(path))
            .find(|path| self.left > 0 && (self.read)(path).is_some())?;
        let number = self.add(Module {
            path,
            ..Module::default()
        });
        self.unread.push(number);
        Some(number)
    }

    /// A package, or a name of the workspace's own.
    fn named(&mut self, specifier: &str) -> Vec<usize> {
        let aliased = self.aliases.of(specifier);
        let own: Vec<usize> = aliased.iter().filter_map(|path| self.file(path)).collect();
        if !own.is_empty() {
            return own;
        }
        let as_installed = format!("node_modules/{specifier}");
        let Some(name) = package(&as_installed) else {
            return Vec::new();
        };
        let Some(modules) = self.by_package.get(name) else {
            return Vec::new();
        };
        // The package's own description says which file is meant; it is not here. Any of
        // them tells the same story, the one that is named the best.
        let sub = specifier
            .get(name.len() + 1..)
            .filter(|sub| !sub.is_empty());
        let exact = modules.iter().copied().filter(|number| {
            let path = self
                .graph
                .modules
                .get(*number)
                .map(|module| module.path.as_str());
            let inside = path.and_then(within);
            sub.zip(inside)
                .is_some_and(|(sub, inside)| inside.contains(sub))
        });
        let exact: Vec<usize> = exact.collect();
        if exact.is_empty() {
            modules.clone()
        } else {
            exact
        }
    }
}
