//! Reads what a bundler says of its work: esbuild's metafile, webpack's statistics.
//!
//! Both name every module with its size in the bundle, and who imports whom.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::modules::{Edge, Module, normal};

/// More than a module can have: a bundle is read into memory. So sizes add up.
const MOST_BYTES: u64 = u32::MAX as u64;

/// Modules, who imports whom, and where it begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metafile {
    pub(super) modules: Vec<Module>,
    /// For each module: what it imports.
    pub(super) edges: Vec<Vec<Edge>>,
    /// The numbers of the entry points.
    pub(super) entries: Vec<usize>,
    /// What stays outside the bundle: the module's number, and the specifier.
    pub(super) external: Vec<(usize, String)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Esbuild(Esbuild),
    Webpack(Webpack),
}

#[derive(Deserialize)]
struct Esbuild {
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    imports: Vec<InputImport>,
}

#[derive(Deserialize)]
struct InputImport {
    path: String,
    original: Option<String>,
    #[serde(default)]
    external: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    #[serde(default)]
    inputs: BTreeMap<String, OutputInput>,
    entry_point: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputInput {
    bytes_in_output: u64,
}

#[derive(Deserialize)]
struct Webpack {
    modules: Vec<WebpackModule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebpackModule {
    name: Option<String>,
    #[serde(default)]
    size: f64,
    #[serde(default)]
    reasons: Vec<Reason>,
    /// Those that it was joined from.
    #[serde(default)]
    modules: Vec<WebpackModule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reason {
    module_name: Option<String>,
    resolved_module: Option<String>,
    user_request: Option<String>,
    loc: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads a metafile for the bundle of this path. The error is a sentence without the
/// metafile's name.
pub(super) fn read(text: &str, bundle: &str) -> Result<Metafile, String> {
    match serde_json::from_str(text) {
        Ok(Written::Esbuild(written)) => esbuild(written, bundle),
        Ok(Written::Webpack(written)) => Ok(webpack(written)),
        Err(error) if error.is_data() => {
            Err("it is neither esbuild's metafile nor webpack's statistics".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn esbuild(written: Esbuild, bundle: &str) -> Result<Metafile, String> {
    let Esbuild { inputs, outputs } = written;
    let same = |path: &str| {
        let path = normal(path, "");
        path == bundle
            || path.ends_with(&format!("/{bundle}"))
            || bundle.ends_with(&format!("/{path}"))
    };
    let mut scripts = outputs
        .iter()
        .filter(|(_, output)| !output.inputs.is_empty());
    let output = match outputs.iter().find(|(path, _)| same(path)) {
        Some((_, output)) => output,
        None => match (scripts.next(), scripts.next()) {
            (Some((_, only)), None) => only,
            _ => return Err(format!("it does not tell of `{bundle}`")),
        },
    };
    let numbers: HashMap<&str, usize> = inputs
        .keys()
        .enumerate()
        .map(|(number, path)| (path.as_str(), number))
        .collect();
    let module = |path: &String| Module {
        path: normal(path, ""),
        bytes: output
            .inputs
            .get(path)
            .map_or(0, |input| input.bytes_in_output.min(MOST_BYTES)),
        first: None,
    };
    let edge = |import: &InputImport| {
        let to = *numbers
            .get(import.path.as_str())
            .filter(|_| !import.external)?;
        Some(Edge {
            to,
            specifier: import
                .original
                .clone()
                .unwrap_or_else(|| import.path.clone()),
            ..Edge::default()
        })
    };
    let entry = output.entry_point.as_ref();
    let external = inputs.values().enumerate().flat_map(|(number, input)| {
        let external = input.imports.iter().filter(|import| import.external);
        external.map(move |import| (number, import.path.clone()))
    });
    Ok(Metafile {
        external: external.collect(),
        modules: inputs.keys().map(module).collect(),
        edges: inputs
            .values()
            .map(|input| input.imports.iter().filter_map(edge).collect())
            .collect(),
        entries: entry
            .and_then(|path| numbers.get(path.as_str()))
            .copied()
            .into_iter()
            .collect(),
    })
}

fn webpack(written: Webpack) -> Metafile {
    let mut all = Vec::new();
    flatten(written.modules, &mut all);
    let mut found = Metafile::default();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (name, module) in &all {
        let path = normal(name, "");
        numbers.entry(path.clone()).or_insert_with(|| {
            found.edges.push(Vec::new());
            found.modules.push(Module {
                path,
                bytes: bytes(module.size),
                first: None,
            });
            found.modules.len() - 1
        });
    }
    for (name, module) in all {
        let Some(to) = numbers.get(&normal(&name, "")).copied() else {
            continue;
        };
        for reason in module.reasons {
            if reason.kind.as_deref() == Some("entry") {
                found.entries.push(to);
            }
            let from = reason.resolved_module.or(reason.module_name);
            let from = from.map(|from| normal(first_name(&from), ""));
            let Some(from) = from.and_then(|from| numbers.get(&from).copied()) else {
                continue;
            };
            if let Some(edges) = found.edges.get_mut(from).filter(|_| from != to) {
                edges.push(Edge {
                    to,
                    specifier: reason.user_request.unwrap_or_default(),
                    line: reason.loc.as_deref().and_then(line),
                    passed_on: reason
                        .kind
                        .is_some_and(|kind| kind.contains("export imported")),
                    types: false,
                });
            }
        }
    }
    found
}

/// Takes joined modules apart, which webpack lists inside the one that they became.
fn flatten(modules: Vec<WebpackModule>, all: &mut Vec<(String, WebpackModule)>) {
    for mut module in modules {
        let inner = std::mem::take(&mut module.modules);
        if inner.is_empty() {
            if let Some(name) = module.name.clone() {
                all.push((name, module));
            }
        } else {
            let own = module
                .name
                .as_deref()
                .map(first_name)
                .map(ToOwned::to_owned);
            let reasons = module.reasons;
            let before = all.len();
            flatten(inner, all);
            // Why the whole is there is why its first part is.
            let first = all
                .iter_mut()
                .skip(before)
                .find(|(name, _)| Some(name) == own.as_ref());
            if let Some((_, first)) = first {
                first.reasons.extend(reasons);
            }
        }
    }
}

/// `./src/main.ts + 3 modules` → `./src/main.ts`.
fn first_name(name: &str) -> &str {
    name.split_once(" + ").map_or(name, |(name, _)| name)
}

/// `4:0-26` → 4.
fn line(loc: &str) -> Option<usize> {
    loc.split([':', '-']).next()?.parse().ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size that is no number of bytes counts as none"
)]
fn bytes(size: f64) -> u64 {
    (size as u64).min(MOST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(found: &Metafile) -> Vec<(&str, u64)> {
        let modules = found.modules.iter();
        modules
            .map(|module| (module.path.as_str(), module.bytes))
            .collect()
    }

    #[test]
    fn esbuild_tells_of_several_bundles_and_the_right_one_counts() {
        let text = r#"{"inputs":{
            "src/a.ts":{"bytes":9,"imports":[
              {"path":"node_modules/react/index.js","kind":"import-statement","original":"react"},
              {"path":"fs","kind":"require-call","external":true}]},
            "node_modules/react/index.js":{"bytes":7,"imports":[]}},
          "outputs":{
            "dist/a/main.js":{"bytes":5,"entryPoint":"src/a.ts","imports":[],"exports":[],
              "inputs":{"src/a.ts":{"bytesInOutput":3},"node_modules/react/index.js":{"bytesInOutput":2}}},
            "dist/a/main.js.map":{"bytes":5,"inputs":{},"imports":[],"exports":[]},
            "dist/b/main.js":{"bytes":5,"imports":[],"exports":[],"inputs":{"src/a.ts":{"bytesInOutput":4}}}}}"#;
        let found = read(text, "dist/a/main.js").unwrap();
        assert_eq!(
            paths(&found),
            [("node_modules/react/index.js", 2), ("src/a.ts", 3)]
        );
        assert_eq!(found.entries, [1]);
        assert_eq!(found.external, [(1, "fs".to_owned())]);
        let edge = Edge {
            to: 0,
            specifier: "react".to_owned(),
            ..Edge::default()
        };
        assert_eq!(found.edges, [vec![], vec![edge]]);
        let other = read(text, "dist/b/main.js").unwrap();
        assert_eq!(
            paths(&other),
            [("node_modules/react/index.js", 0), ("src/a.ts", 4)]
        );
        let error = read(text, "dist/c.js").unwrap_err();
        assert!(error.contains("`dist/c.js`"), "{error}");
    }

    #[test]
    fn webpack_tells_of_joined_modules() {
        let text = r#"{"modules":[
            {"name":"./src/main.ts + 1 modules","size":30,"reasons":[{"type":"entry","moduleName":null}],
             "modules":[
               {"name":"./src/main.ts","size":10,"reasons":[]},
               {"name":"./src/hooks.ts","size":20,"reasons":[
                 {"type":"harmony import specifier","moduleName":"./src/main.ts","userRequest":"./hooks","loc":"2:0-20"}]}]},
            {"name":"./node_modules/react/index.js","size":7.5,"reasons":[
               {"type":"harmony export imported specifier","moduleName":"./src/main.ts + 1 modules",
                "resolvedModule":"./src/hooks.ts","userRequest":"react","loc":"1:0-9"}]}]}"#;
        let found = read(text, "dist/main.js").unwrap();
        assert_eq!(
            paths(&found),
            [
                ("src/main.ts", 10),
                ("src/hooks.ts", 20),
                ("node_modules/react/index.js", 7)
            ]
        );
        assert_eq!(found.entries, [0]);
        let edge = |to, specifier: &str, line, passed_on| Edge {
            to,
            specifier: specifier.to_owned(),
            line: Some(line),
            passed_on,
            types: false,
        };
        assert_eq!(
            found.edges,
            [
                vec![edge(1, "./hooks", 2, false)],
                vec![edge(2, "react", 1, true)],
                vec![]
            ]
        );
    }

    #[test]
    fn sizes_beyond_every_bundle_add_up_all_the_same() {
        let esbuild = format!(
            r#"{{"inputs":{{"a.js":{{}},"b.js":{{}}}},"outputs":{{"main.js":{{
            "inputs":{{"a.js":{{"bytesInOutput":{0}}},"b.js":{{"bytesInOutput":{0}}}}}}}}}}}"#,
            u64::MAX
        );
        let webpack = r#"{"modules":[{"name":"a.js","size":1e300},{"name":"b.js","size":1e300}]}"#;
        for text in [esbuild.as_str(), webpack] {
            let found = read(text, "main.js").unwrap();
            let sizes = found.modules.iter().map(|module| module.bytes);
            assert_eq!(sizes.sum::<u64>(), 2 * MOST_BYTES);
        }
    }

    #[test]
    fn what_is_no_metafile_is_a_sentence() {
        for (text, expected) in [
            ("{", "EOF"),
            ("{}", "neither"),
            (r#"{"inputs":{}}"#, "neither"),
            (
                r#"{"inputs":{},"outputs":{}}"#,
                "does not tell of `main.js`",
            ),
        ] {
            let error = read(text, "main.js").unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
