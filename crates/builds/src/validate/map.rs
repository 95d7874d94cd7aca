//! Reads a source map: which files a bundle was made of, and what came from where.
//!
//! Reads revision 3 with and without sections. File names are read at once; contents and
//! mappings, which are nearly all of a map, only when something was found.

mod survey;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use survey::{Origin, Survey, survey};

/// What some servers put before a map, so that it is no script.
const GUARD: &str = ")]}'";

/// A source map.
#[derive(Debug)]
pub(super) struct Map<'t> {
    /// All files of all sections, in the map's order.
    pub(super) sources: Vec<String>,
    sections: Vec<Section<'t>>,
}

/// A part of the bundle, and the map of it.
#[derive(Debug)]
struct Section<'t> {
    /// Where it begins: lines and UTF-16 units from 0.
    line: usize,
    column: usize,
    mappings: Cow<'t, str>,
    /// The number of its first file among all files.
    first: usize,
    count: usize,
    contents: Option<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'t> {
    version: Option<u32>,
    source_root: Option<String>,
    sources: Option<Vec<Option<String>>>,
    #[serde(borrow)]
    sources_content: Option<&'t RawValue>,
    #[serde(borrow, default)]
    mappings: Cow<'t, str>,
    #[serde(borrow)]
    sections: Option<Vec<WrittenSection<'t>>>,
}

#[derive(Deserialize)]
struct WrittenSection<'t> {
    offset: Offset,
    #[serde(borrow)]
    map: Option<Written<'t>>,
    url: Option<String>,
}

#[derive(Deserialize, Clone, Copy, Default)]
struct Offset {
    line: usize,
    column: usize,
}

/// Reads a map. The error is a sentence without the map's name.
pub(super) fn read(text: &str) -> Result<Map<'_>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = match text.strip_prefix(GUARD) {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    };
    let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut map = Map {
        sources: Vec::new(),
        sections: Vec::new(),
    };
    map.add(written, Offset::default())?;
    Ok(map)
}

impl<'t> Map<'t> {
    fn add(&mut self, written: Written<'t>, at: Offset) -> Result<(), String> {
        if let Some(version) = written.version.filter(|version| *version != 3) {
            return Err(format!("it is of version {version}; only 3 is read"));
        }
        if let Some(sections) = written.sections {
            for section in sections {
                let Offset { line, column } = section.offset;
                let column = if line == 0 {
                    column.saturating_add(at.column)
                } else {
                    column
                };
                let line = line.saturating_add(at.line);
                match (section.map, section.url) {
                    (Some(map), _) => self.add(map, Offset { line, column })?,
                    (None, Some(url)) => {
                        return Err(format!("a section of it lies elsewhere, at `{url}`"));
                    }
                    (None, None) => return Err("a section of it has no map".to_owned()),
                }
            }
            return Ok(());
        }
        let Some(sources) = written.sources else {
            return Err("it has no `sources`".to_owned());
        };
        let Offset { line, column } = at;
        let last = self.sections.last();
        if last.is_some_and(|last| (last.line, last.column) > (line, column)) {
            return Err("its sections are not in order".to_owned());
        }
        let root = written.source_root.unwrap_or_default();
        let first = self.sources.len();
        let count = sources.len();
        let named = sources.into_iter().map(|source| {
            let source = source.unwrap_or_default();
            if root.is_empty() || source.is_empty() || source.contains("://") {
                source
            } else {
                format!("{}/{source}", root.trim_end_matches('/'))
            }
        });
        self.sources.extend(named);
        self.sections.push(Section {
            line,
            column,
            mappings: written.mappings,
            first,
            count,
            contents: written.sources_content,
        });
        Ok(())
    }

    /// The text of each file, where the map has it.
    pub(super) fn contents(&self) -> Result<Vec<Option<Cow<'t, str>>>, String> {
        let mut all = vec![None; self.sources.len()];
        for section in &self.sections {
            let Some(contents) = section.contents else {
                continue;
            };
            let contents: Option<Vec<Option<Content>>> =
                serde_json::from_str(contents.get()).map_err(|error| error.to_string())?;
            let own = all.iter_mut().skip(section.first).take(section.count);
            for (place, content) in own.zip(contents.unwrap_or_default()) {
                *place = content.map(|content| content.0);
            }
        }
        Ok(all)
    }
}

/// A file's text, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Content<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
mod tests;
