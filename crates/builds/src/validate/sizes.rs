//! What makes a bundle large: its packages and files, by their bytes in it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use super::composition::{ToldBy, gather};
use super::lines::Lines;
use super::modules::{Module, joined, package, package_folder};
use super::{ValidateError, inside, map};

/// What a bundle is made of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sizes {
    /// Its size.
    pub size_bytes: u64,
    /// Who says what it is made of.
    pub told_by: ToldBy,
    /// Its parts, the largest first.
    pub parts: Vec<Part>,
    /// What nobody says the origin of: the bundler's own code, for instance.
    pub other_bytes: u64,
    /// What could not be used, each a sentence.
    pub notes: Vec<String>,
}

/// A package at one place, or the files of a folder of one's own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Part {
    /// The package, or the folder.
    pub name: String,
    /// The package's version, where its folder is there to tell.
    pub version: Option<String>,
    /// The package's folder; two of one package are two of its versions, mostly.
    pub folder: String,
    /// Whether it is of the workspace's own.
    pub own: bool,
    /// Bytes of the bundle.
    pub bytes: u64,
    /// Files.
    pub modules: usize,
    /// Whether the package is in the bundle more than once.
    pub duplicate: bool,
}

/// How many folders of a path of one's own name a part: `packages/collab`.
const OWN_DEPTH: usize = 2;

/// Measures a bundle; paths count from `root`.
pub fn sizes(root: &Path, path: &Path, metafile: Option<&Path>) -> Result<Sizes, ValidateError> {
    let full = root.join(path);
    let text = super::text(&full)?;
    let bundle = path.to_string_lossy();
    let sayings = gather(root, &bundle, &text, metafile);
    let mut notes = sayings.notes;
    let (modules, told_by) = match (sayings.metafile, sayings.map) {
        (Some(metafile), _) => (metafile.modules, ToldBy::Metafile),
        (None, Some((map_text, folder))) => match of_map(&text, &map_text, &folder) {
            Ok(modules) => (modules, ToldBy::Map),
            Err(why) => {
                notes.push(format!("the source map cannot be used: {why}"));
                (Vec::new(), ToldBy::Nobody)
            }
        },
        (None, None) => (Vec::new(), ToldBy::Nobody),
    };
    let size_bytes = text.len() as u64;
    let told: u64 = modules.iter().map(|module| module.bytes).sum();
    Ok(Sizes {
        size_bytes,
        told_by,
        parts: parts(&modules, &|folder| version(root, folder)),
        other_bytes: size_bytes.saturating_sub(told),
        notes,
    })
}

fn of_map(text: &str, map_text: &str, folder: &str) -> Result<Vec<Module>, String> {
    let map = map::read(map_text)?;
    let survey = map::survey(&map, &Lines::of(text), &[])?;
    if let Some(why) = &survey.misfit {
        return Err(format!("it is not of this bundle: {why}"));
    }
    let mut modules = inside::modules_of(&map, folder);
    inside::weigh(&mut modules, &survey);
    Ok(modules)
}

fn parts(modules: &[Module], version: &dyn Fn(&str) -> Option<String>) -> Vec<Part> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for module in modules.iter().filter(|module| module.bytes > 0) {
        let installed = package(&module.path).zip(package_folder(&module.path));
        let own = installed.is_none();
        let folder =
            installed.map_or_else(|| own_folder(&module.path), |(_, folder)| folder.to_owned());
        let name = installed
            .map_or(folder.as_str(), |(name, _)| name)
            .to_owned();
        let part = parts.entry(folder.clone()).or_insert_with(|| Part {
            version: (!own).then(|| version(&folder)).flatten(),
            name,
            folder,
            own,
            bytes: 0,
            modules: 0,
            duplicate: false,
        });
        part.bytes += module.bytes;
        part.modules += 1;
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts.values() {
        *times.entry(part.name.clone()).or_default() += 1;
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    for part in &mut parts {
        part.duplicate = !part.own && times.get(&part.name).is_some_and(|times| *times > 1);
    }
    parts.sort_by_key(|part| (Reverse(part.bytes), part.folder.clone()));
    parts
}

/// `packages/collab/src/index.ts` → `packages/collab`.
fn own_folder(path: &str) -> String {
    let folders: Vec<&str> = super::modules::folder(path)
        .split('/')
        .take(OWN_DEPTH)
        .collect();
    let folder = folders.join("/");
    if folder.is_empty() {
        ".".to_owned()
    } else {
        folder
    }
}

/// The version of an installed package, by its folder.
fn version(root: &Path, folder: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Package<'t> {
        #[serde(borrow)]
        version: Cow<'t, str>,
    }
    let text = std::fs::read_to_string(root.join(joined(folder, "package.json"))).ok()?;
    let package: Package = serde_json::from_str(&text).ok()?;
    Some(package.version.into_owned())
}

/// A part that has another size than before.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Difference {
    /// The package, or the folder.
    pub name: String,
    /// Its folder.
    pub folder: String,
    /// Its version before, where it is known.
    pub version_before: Option<String>,
    /// Its version now, where it is known.
    pub version: Option<String>,
    /// Bytes before; 0 where it was not there.
    pub bytes_before: u64,
    /// Bytes now; 0 where it is gone.
    pub bytes: u64,
}

/// What came, went, grew and shrank from one bundle to another, the largest change first.
pub fn difference(before: &Sizes, now: &Sizes) -> Vec<Difference> {
    type Pair<'p> = (Option<&'p Part>, Option<&'p Part>);
    let mut pairs: BTreeMap<&str, Pair> = BTreeMap::new();
    for part in &before.parts {
        pairs.entry(&part.folder).or_default().0 = Some(part);
    }
    for part in &now.parts {
        pairs.entry(&part.folder).or_default().1 = Some(part);
    }
    let difference = |(before, now): Pair| {
        let any = now.or(before)?;
        Some(Difference {
            name: any.name.clone(),
            folder: any.folder.clone(),
            version_before: before.and_then(|part| part.version.clone()),
            version: now.and_then(|part| part.version.clone()),
            bytes_before: before.map_or(0, |part| part.bytes),
            bytes: now.map_or(0, |part| part.bytes),
        })
    };
    let mut all: Vec<Difference> = pairs.into_values().filter_map(difference).collect();
    all.retain(|one| one.bytes != one.bytes_before || one.version != one.version_before);
    all.sort_by_key(|one| {
        (
            Reverse(one.bytes.abs_diff(one.bytes_before)),
            one.folder.clone(),
        )
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, bytes: u64) -> Module {
        Module {
            path: path.to_owned(),
            bytes,
            first: None,
        }
    }

    fn sizes_of(modules: &[Module]) -> Sizes {
        Sizes {
            size_bytes: 100,
            told_by: ToldBy::Map,
            parts: parts(modules, &|folder| Some(format!("v-{folder}"))),
            other_bytes: 0,
            notes: Vec::new(),
        }
    }

    #[test]
    fn parts_are_packages_and_folders_the_largest_first() {
        let found = sizes_of(&[
            module("packages/app/src/main.ts", 5),
            module("packages/app/src/lib/a.ts", 6),
            module("main.ts", 1),
            module("node_modules/zod/a.js", 20),
            module("node_modules/zod/b.js", 10),
            module("node_modules/x/node_modules/zod/a.js", 7),
            module("node_modules/none/a.js", 0),
        ]);
        let told: Vec<_> = found
            .parts
            .iter()
            .map(|part| {
                (
                    part.folder.as_str(),
                    part.bytes,
                    part.modules,
                    part.duplicate,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("node_modules/zod", 30, 2, true),
                ("packages/app", 11, 2, false),
                ("node_modules/x/node_modules/zod", 7, 1, true),
                (".", 1, 1, false),
            ]
        );
        assert_eq!(
            found.parts[0].version.as_deref(),
            Some("v-node_modules/zod")
        );
        assert_eq!(found.parts[1].version, None);
    }

    #[test]
    fn what_came_and_went_is_told_the_largest_change_first() {
        let before = sizes_of(&[
            module("node_modules/a/i.js", 10),
            module("node_modules/b/i.js", 30),
            module("node_modules/same/i.js", 5),
        ]);
        let now = sizes_of(&[
            module("node_modules/a/i.js", 12),
            module("node_modules/c/i.js", 8),
            module("node_modules/same/i.js", 5),
        ]);
        let told: Vec<_> = difference(&before, &now)
            .into_iter()
            .map(|one| (one.name, one.bytes_before, one.bytes))
            .collect();
        let expected = [("b", 30, 0), ("c", 0, 8), ("a", 10, 12)];
        let expected = expected.map(|(name, before, now)| (name.to_owned(), before, now));
        assert_eq!(told, expected);
    }
}
