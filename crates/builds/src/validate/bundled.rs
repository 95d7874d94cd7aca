//! For others who found something in a bundle: which source it came from.

pub(crate) use super::lines::characters;

use super::lines::Lines;
use super::{map, modules};

/// Where places of a bundle came from.
#[derive(Debug)]
pub(crate) struct Bundled {
    /// For each place that was asked for: the source file and its line.
    pub(crate) origins: Vec<Option<(String, usize)>>,
}

impl Bundled {
    /// Looks places up in the text of a map. They are bytes of the bundle, ascending. `None`
    /// where the map is of no use.
    pub(crate) fn locate(bundle: &str, map: &str, places: &[usize]) -> Option<Self> {
        let map = map::read(map).ok()?;
        let survey = map::survey(&map, &Lines::of(bundle), places).ok()?;
        if survey.misfit.is_some() {
            return None;
        }
        let origin = |origin: map::Origin| {
            let path = modules::normal(map.sources.get(origin.source)?, "");
            Some((path, origin.line))
        };
        let origins = survey
            .origins
            .into_iter()
            .map(|found| found.and_then(origin));
        Some(Self {
            origins: origins.collect(),
        })
    }
}

/// The sources of a map and their texts; `None` where it is no map.
pub(crate) fn sources_of_map(text: &str) -> Option<Vec<(String, Option<String>)>> {
    let map = map::read(text).ok()?;
    let texts = map.contents().ok()?;
    let sources = map.sources.iter().map(|name| modules::normal(name, ""));
    let texts = texts
        .into_iter()
        .map(|text| text.map(std::borrow::Cow::into_owned));
    Some(sources.zip(texts).collect())
}
