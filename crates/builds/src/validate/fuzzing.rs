//! The readers that have no door of their own, for `fuzz/` alone: feature `fuzzing`.

use std::path::Path;

use super::composition::Sayings;
use super::explain::Case;
use super::lines::Lines;
use super::modules::Module;
use super::{Finding, Rules, deep, graph, judge, map, metafile, sources};

/// Where nothing lies.
const NOWHERE: &str = "/proc/nowhere";

/// What a map says of a bundle.
#[derive(Debug)]
pub struct Surveyed {
    /// How many files it lists.
    pub sources: usize,
    /// For how many there is room for a text.
    pub contents: Option<usize>,
    /// For each file: bytes of the bundle.
    pub bytes: Vec<u64>,
    /// For each file: its first byte in the bundle.
    pub first: Vec<Option<usize>>,
    /// For each place that was asked for: the file's number and its line.
    pub origins: Vec<Option<(usize, usize)>>,
}

/// Reads a map and goes through a bundle with it. `places` are ascending.
pub fn survey(bundle: &str, map: &str, places: &[usize]) -> Result<Surveyed, String> {
    let map = map::read(map)?;
    let contents = map.contents().ok().map(|texts| texts.len());
    let survey = map::survey(&map, &Lines::of(bundle), places)?;
    let origin = |origin: map::Origin| (origin.source, origin.line);
    Ok(Surveyed {
        sources: map.sources.len(),
        contents,
        bytes: survey.bytes,
        first: survey.first,
        origins: survey
            .origins
            .into_iter()
            .map(|one| one.map(origin))
            .collect(),
    })
}

/// Judges a bundle as `validate_bundle` does, with nothing on disk.
pub fn judged(
    bundle: &str,
    map: Option<&str>,
    metafile: Option<&str>,
) -> Result<Vec<Finding>, String> {
    let rules = Rules::default();
    let matcher = rules.matcher("dist/main.js")?;
    let sayings = Sayings {
        metafile: metafile.and_then(|text| metafile::read(text, "dist/main.js").ok()),
        map: map.map(|text| (text.to_owned(), "dist".to_owned())),
        notes: Vec::new(),
    };
    let case = Case {
        root: Path::new(NOWHERE),
        text: bundle,
        matcher: &matcher,
        guarded: rules.guarded,
        types: Some(super::Severity::Note),
    };
    Ok(judge(&case, || sayings)?.findings)
}

/// What a metafile says: numbers of modules.
#[derive(Debug)]
pub struct Told {
    /// How many modules there are.
    pub modules: usize,
    /// For each: how many bytes.
    pub bytes: u64,
    /// For each: what it imports.
    pub edges: Vec<Vec<usize>>,
    /// Entry points, and modules with an import from outside.
    pub named: Vec<usize>,
}

/// Reads a metafile.
pub fn metafile(text: &str, bundle: &str) -> Result<Told, String> {
    let told = metafile::read(text, bundle)?;
    let outside = told.external.iter().map(|(number, _)| *number);
    let edges = told.edges.iter();
    Ok(Told {
        modules: told.modules.len(),
        bytes: told.modules.iter().map(|module| module.bytes).sum(),
        named: told.entries.iter().copied().chain(outside).collect(),
        edges: edges
            .map(|edges| edges.iter().map(|edge| edge.to).collect())
            .collect(),
    })
}

/// Reads a source file; the lines of its imports.
pub fn source(path: &str, text: &str) -> Result<Option<Vec<usize>>, String> {
    let source = deep::deep(|| sources::read(path, text), || {})?;
    Ok(source.map(|source| source.imports.iter().map(|import| import.line).collect()))
}

/// Draws the graph of source files with this tsconfig: how many modules there are, and
/// where imports lead.
pub fn graph(
    files: &[(&str, &str)],
    configuration: &str,
) -> Result<(usize, Vec<Vec<usize>>), String> {
    let module = |(path, _): &(&str, &str)| Module {
        path: (*path).to_owned(),
        bytes: 1,
        first: None,
    };
    let texts: Vec<Option<&str>> = files.iter().map(|(_, text)| Some(*text)).collect();
    let read = |path: &str| (path == "tsconfig.json").then(|| configuration.to_owned());
    let modules = files.iter().map(module).collect();
    let graph = deep::deep(|| graph::rebuild(modules, &texts, &read), || {})?;
    let edges = graph.edges.iter();
    let edges = edges.map(|edges| edges.iter().map(|edge| edge.to).collect());
    Ok((graph.modules.len(), edges.collect()))
}
