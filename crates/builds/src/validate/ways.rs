//! The imports that brought something into a bundle, file by file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::graph::{Graph, Step, rebuild};
use super::map::Map;
use super::metafile::Metafile;
use super::modules::Module;
use super::sources::{self, SourceImport};
use super::{Link, Original};

/// Where texts of source files come from: the map, else the workspace.
pub(super) struct Sources<'a> {
    root: &'a Path,
    /// The paths of the map's files, in its order.
    paths: Vec<String>,
    texts: HashMap<String, Cow<'a, str>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(root: &'a Path, map: Option<&'a Map<'a>>, modules: &[Module]) -> Self {
        let paths: Vec<String> = modules.iter().map(|module| module.path.clone()).collect();
        // Contents that cannot be read are as good as none.
        let contents = map.and_then(|map| map.contents().ok()).unwrap_or_default();
        let texts = paths.iter().cloned().zip(contents);
        Self {
            root,
            texts: texts
                .filter_map(|(path, text)| Some((path, text?)))
                .collect(),
            paths,
        }
    }

    /// The path of one of the map's files, by its number.
    pub(super) fn path(&self, number: usize) -> Option<&str> {
        let path = self.paths.get(number)?;
        (!path.is_empty()).then_some(path)
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        let known = self.texts.get(path).map(|text| text.clone().into_owned());
        known.or_else(|| self.file(path))
    }

    /// A file of the workspace; never of anything around it.
    fn file(&self, path: &str) -> Option<String> {
        if path.starts_with('/') || path.starts_with("..") {
            return None;
        }
        std::fs::read_to_string(self.root.join(path)).ok()
    }

    /// How a file imports something.
    fn import(&self, path: &str, specifier: &str) -> Option<SourceImport> {
        let source = sources::read(path, &self.text(path)?)?;
        let mut imports = source.imports.into_iter();
        imports.find(|import| import.specifier == specifier)
    }
}

/// The ways into a bundle.
pub(super) struct Ways<'a> {
    pub(super) sources: &'a Sources<'a>,
    graph: Graph,
    /// What stays outside, where a metafile tells: the module's number, and the specifier.
    external: Vec<(usize, String)>,
}

impl<'a> Ways<'a> {
    /// The ways that the metafile tells; else those that the map's files tell.
    pub(super) fn new(
        sources: &'a Sources,
        metafile: Option<Metafile>,
        of_map: Option<Vec<Module>>,
    ) -> Self {
        let (graph, external) = match (metafile, of_map) {
            (Some(metafile), _) => {
                let graph = Graph {
                    modules: metafile.modules,
                    edges: metafile.edges,
                    entries: metafile.entries,
                };
                (graph, metafile.external)
            }
            (None, Some(modules)) => {
                let text = |module: &Module| sources.texts.get(&module.path).map(AsRef::as_ref);
                let texts: Vec<Option<&str>> = modules.iter().map(text).collect();
                let graph = rebuild(modules, &texts, &|path| sources.file(path));
                (graph, Vec::new())
            }
            (None, None) => (Graph::default(), Vec::new()),
        };
        Self {
            sources,
            graph,
            external,
        }
    }

    /// The links on the way to one of these files; none where nobody knows.
    pub(super) fn to_file(&self, paths: &[&str]) -> Vec<Link> {
        self.links(|number| paths.contains(&self.path(number))).0
    }

    /// The links on the way to an import from outside, and the import itself.
    pub(super) fn to_import(&self, specifier: &str, original: Option<&Original>) -> Vec<Link> {
        let (mut chain, goal) = if self.external.is_empty() {
            self.links(|number| original.is_some_and(|one| self.path(number) == one.file))
        } else {
            let imports =
                |(from, what): &(usize, String), number| *from == number && what == specifier;
            self.links(|number| self.external.iter().any(|one| imports(one, number)))
        };
        let file = goal.map(|goal| self.path(goal).to_owned());
        let Some(file) = file.or_else(|| original.map(|one| one.file.clone())) else {
            return chain;
        };
        let import = self.sources.import(&file, specifier);
        let line = import.as_ref().map(|import| import.line);
        chain.push(Link {
            line: line.or(original.filter(|one| one.file == file).map(|one| one.line)),
            file,
            imports: specifier.to_owned(),
            passed_on: import.is_some_and(|import| import.passed_on),
        });
        chain
    }

    fn links(&self, is_goal: impl Fn(usize) -> bool) -> (Vec<Link>, Option<usize>) {
        match self.graph.way(is_goal) {
            None => (Vec::new(), None),
            Some((steps, goal)) => (
                steps.iter().map(|step| self.link(step)).collect(),
                Some(goal),
            ),
        }
    }

    fn link(&self, (at, edge): &Step) -> Link {
        let file = self.path(*at).to_owned();
        let (mut line, mut passed_on) = (edge.line, edge.passed_on);
        // esbuild's metafile tells neither; the file itself does.
        if line.is_none()
            && let Some(import) = self.sources.import(&file, &edge.specifier)
        {
            (line, passed_on) = (Some(import.line), import.passed_on);
        }
        Link {
            file,
            line,
            imports: edge.specifier.clone(),
            passed_on,
        }
    }

    fn path(&self, number: usize) -> &str {
        let module = self.graph.modules.get(number);
        module.map_or("", |module| module.path.as_str())
    }
}
