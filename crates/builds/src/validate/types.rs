//! Imports of types alone: nothing of them reaches a bundle. Who asks for it is told of them.

use std::borrow::Cow;

use super::composition::Sayings;
use super::explain::Case;
use super::modules::{is_own, normal};
use super::sources::{self, Uses};
use super::{Finding, Fix, FixKind, ImportKind, Link, Original, map};

/// The forbidden imports of types alone in the user's own sources, as bad as is asked for.
pub(super) fn types(case: &Case, sayings: &Sayings) -> Vec<Finding> {
    let Case { root, matcher, .. } = *case;
    let Some(severity) = case.types else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (path, text) in own_sources(sayings) {
        let text = text.map(Cow::into_owned);
        let Some(text) = text.or_else(|| std::fs::read_to_string(root.join(&path)).ok()) else {
            continue;
        };
        let Some(source) = sources::read(&path, &text) else {
            continue;
        };
        for import in source.imports {
            let Some(rule) = matcher.specifier(&import.specifier) else {
                continue;
            };
            if import.uses == Uses::Values || matcher.reason(&import.specifier).is_some() {
                continue;
            }
            let label = matcher.rules.get(rule).map(|rule| rule.label.clone());
            findings.push(Finding {
                label: label.unwrap_or_default(),
                severity,
                guarded: false,
                kind: ImportKind::TypeOnly,
                line: 0,
                column: 0,
                code: String::new(),
                bytes: None,
                modules: None,
                original: Some(Original {
                    file: path.clone(),
                    line: import.line,
                }),
                chain: vec![Link {
                    file: path.clone(),
                    line: Some(import.line),
                    imports: import.specifier.clone(),
                    passed_on: import.passed_on,
                }],
                fix: (import.uses == Uses::TypesUnsaid).then(|| Fix {
                    kind: FixKind::TypeKeyword,
                    file: path.clone(),
                    line: Some(import.line),
                    advice: format!("write `import type … from \"{}\"`", import.specifier),
                }),
                frame: None,
                specifier: import.specifier,
            });
        }
    }
    findings
}

/// The user's own files that went into the bundle, with their texts where the map has them.
fn own_sources(sayings: &Sayings) -> Vec<(String, Option<Cow<'_, str>>)> {
    let mut all = Vec::new();
    if let Some((text, folder)) = &sayings.map
        && let Ok(map) = map::read(text)
    {
        let texts = map.contents().unwrap_or_default();
        let texts = texts.into_iter().chain(std::iter::repeat(None));
        let paths = map.sources.iter().map(|name| normal(name, folder));
        all.extend(paths.zip(texts));
    } else if let Some(metafile) = &sayings.metafile {
        let paths = metafile.modules.iter().map(|module| module.path.clone());
        all.extend(paths.map(|path| (path, None)));
    }
    all.retain(|(path, _)| is_own(path) && !path.starts_with("..") && !path.starts_with('/'));
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Rules, Severity};
    use super::*;

    #[test]
    fn imports_of_types_are_told_to_who_asks() {
        let map = serde_json::json!({
            "version": 3,
            "sources": ["../src/a.ts", "../src/b.ts", "../node_modules/x/c.ts"],
            "sourcesContent": [
                "import type { FC } from 'react';\nimport { useState } from 'react'; useState();",
                "\nimport { FC } from 'react'; let a: FC;",
                "import type { FC } from 'react';",
            ],
            "mappings": "",
        });
        let sayings = Sayings {
            map: Some((map.to_string(), "dist".to_owned())),
            ..Sayings::default()
        };
        let rules = Rules::default();
        let matcher = rules.matcher("main.js").unwrap();
        let case = Case {
            root: Path::new("/nowhere"),
            text: "",
            matcher: &matcher,
            guarded: Severity::Note,
            types: Some(Severity::Warning),
        };
        let found = types(&case, &sayings);
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                let original = one.original.as_ref().unwrap();
                (original.file.as_str(), original.line, one.fix.is_some())
            })
            .collect();
        assert_eq!(told, [("src/a.ts", 1, false), ("src/b.ts", 2, true)]);
        assert!(found.iter().all(|one| one.severity == Severity::Warning));
    }
}
