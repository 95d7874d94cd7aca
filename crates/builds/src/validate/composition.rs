//! What a bundle was made of, as far as somebody says so: the bundler's metafile, the
//! source map, or the bundler's own marks in the bundle.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::find::Mark;
use super::metafile::{self, Metafile};
use super::modules::{folder, joined};

/// Names under which bundlers and their users keep a metafile beside a bundle.
const METAFILES: [&str; 4] = [
    "meta.json",
    "metafile.json",
    "stats.json",
    "esbuild-meta.json",
];

/// How a bundle says where its map is.
const MAP_URL: &str = "sourceMappingURL=";

/// How far from the end that may stand; a map in the bundle itself is longer, and found by
/// its beginning.
const MAP_URL_WITHIN: usize = 4096;

/// Who says what a bundle was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ToldBy {
    /// esbuild's metafile or webpack's statistics.
    Metafile,
    /// The source map.
    Map,
    /// The bundler's marks in the bundle: comments and keys with files' names.
    Marks,
    /// Nobody: only what is imported from outside is known.
    Nobody,
}

/// The texts that say it, and what went wrong with them.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    pub(super) metafile: Option<Metafile>,
    /// The map's text, and the folder that it counts from.
    pub(super) map: Option<(String, String)>,
    pub(super) notes: Vec<String>,
}

/// Reads metafile and map of a bundle. Paths count from `root`. One that cannot be read is
/// a note, since the bundle can be judged without it.
pub(super) fn gather(root: &Path, bundle: &str, text: &str, named: Option<&Path>) -> Sayings {
    let mut sayings = Sayings::default();
    match metafile(root, bundle, named) {
        Ok(found) => sayings.metafile = found,
        Err(note) => sayings.notes.push(note),
    }
    match map(root, bundle, text) {
        Ok(found) => sayings.map = found,
        Err(note) => sayings.notes.push(note),
    }
    sayings
}

fn metafile(root: &Path, bundle: &str, named: Option<&Path>) -> Result<Option<Metafile>, String> {
    let beside = || {
        let own = format!("{}.meta.json", bundle.rsplit('/').next().unwrap_or(bundle));
        let names = METAFILES.iter().map(ToString::to_string).chain([own]);
        names.map(|name| joined(folder(bundle), &name)).collect()
    };
    let paths: Vec<String> = match named {
        Some(path) => vec![path.to_string_lossy().into_owned()],
        None => beside(),
    };
    for path in paths {
        let Some(text) = file(root, &path)? else {
            continue;
        };
        return match metafile::read(&text, bundle) {
            Ok(found) => Ok(Some(found)),
            // Other tools' files have these names as well.
            Err(_) if named.is_none() => continue,
            Err(why) => Err(format!("the metafile `{path}` is of no use: {why}")),
        };
    }
    match named {
        Some(path) => Err(format!("there is no metafile `{}`", path.display())),
        None => Ok(None),
    }
}

fn map(root: &Path, bundle: &str, text: &str) -> Result<Option<(String, String)>, String> {
    if let Some(url) = map_url(text) {
        if let Some(data) = url.strip_prefix("data:") {
            let text = inline(data).ok_or("the map inside the bundle cannot be read")?;
            return Ok(Some((text, folder(bundle).to_owned())));
        }
        if !url.contains("://") {
            let path = joined(folder(bundle), url);
            if let Some(text) = file(root, &path)? {
                return Ok(Some((text, folder(&path).to_owned())));
            }
        }
    }
    let path = format!("{bundle}.map");
    let text = file(root, &path)?;
    Ok(text.map(|text| (text, folder(&path).to_owned())))
}

/// What the last comment of a bundle says about its map.
fn map_url(text: &str) -> Option<&str> {
    let end = text.trim_end();
    let mut from = end.len().saturating_sub(MAP_URL_WITHIN);
    while !end.is_char_boundary(from) {
        from -= 1;
    }
    let near = end.get(from..)?;
    let url = if let Some(at) = near.rfind(MAP_URL) {
        near.get(at + MAP_URL.len()..)?
    } else {
        let line = end.rsplit('\n').next()?;
        let comment = line.starts_with("//");
        line.split_once(MAP_URL).filter(|_| comment)?.1
    };
    let url = url.split(char::is_whitespace).next()?;
    Some(url.trim_end_matches("*/")).filter(|url| !url.is_empty())
}

/// `application/json;charset=utf-8;base64,e30=`.
fn inline(data: &str) -> Option<String> {
    let (kind, data) = data.split_once(',')?;
    if !kind.ends_with(";base64") {
        return None;
    }
    let bytes = STANDARD.decode(data).ok()?;
    String::from_utf8(bytes).ok()
}

/// A text below the root; `None` where there is none.
fn file(root: &Path, path: &str) -> Result<Option<String>, String> {
    match std::fs::read(root.join(path)) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(format!("`{path}` is not UTF-8")),
        },
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(format!("cannot read `{path}`: {error}")),
    }
}

/// How many bytes follow each mark, up to the next.
pub(super) fn after_marks(marks: &[Mark], text: &str) -> Vec<u64> {
    let ends = marks.iter().skip(1).map(|mark| mark.offset);
    let ends = ends.chain([text.len()]);
    marks
        .iter()
        .zip(ends)
        .map(|(mark, end)| end.saturating_sub(mark.offset) as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(map_url(text), expected, "{text}");
    }

    #[test]
    fn a_bundle_says_where_its_map_is() {
        check(
            "x;\n//# sourceMappingURL=main.js.map\n",
            Some("main.js.map"),
        );
        check("x;\n/*# sourceMappingURL=a.map */", Some("a.map"));
        check("x;\n//# sourceMappingURL=", None);
        check("x;", None);
        check("", None);
        let long = format!(
            "x;\n//# {MAP_URL}data:application/json;base64,{}",
            "A".repeat(9000)
        );
        assert!(map_url(&long).unwrap().starts_with("data:"));
    }

    #[test]
    fn a_map_in_the_bundle_itself_is_read() {
        let text = format!("x;\n//# {MAP_URL}data:application/json;charset=utf-8;base64,e30=");
        let found = map(Path::new("/nowhere"), "dist/main.js", &text).unwrap();
        assert_eq!(found, Some(("{}".to_owned(), "dist".to_owned())));
        let broken = format!("x;\n//# {MAP_URL}data:application/json,%7B%7D");
        assert!(map(Path::new("/nowhere"), "main.js", &broken).is_err());
    }

    #[test]
    fn a_metafile_that_was_named_must_be_there_and_one_beside_need_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("stats.json"), "{\"something\":\"else\"}").unwrap();
        assert_eq!(metafile(root.path(), "main.js", None).unwrap(), None);
        let missing = metafile(root.path(), "main.js", Some(Path::new("m.json"))).unwrap_err();
        assert!(missing.contains("`m.json`"), "{missing}");
        let other = metafile(root.path(), "main.js", Some(Path::new("stats.json"))).unwrap_err();
        assert!(other.contains("neither"), "{other}");
    }
}
