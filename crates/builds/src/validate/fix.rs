//! Which change gets front-end code out of a bundle, and in which file.

use super::sources::{self, Uses};
use super::{Fix, FixKind, Link, modules};

/// Reads a file of the workspace.
type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The change that fits a way into a bundle: its links, from the entry point on. The last
/// one imports what is forbidden, or the package that brings it.
pub(super) fn fix(chain: &[Link], forbidden: &str, read: Read) -> Option<Fix> {
    let own: Vec<&Link> = chain
        .iter()
        .take_while(|link| modules::is_own(&link.file))
        .collect();
    let last = own.last()?;
    if let Some(typed) = own.iter().rev().find(|link| brings_types(link, read)) {
        return Some(of(
            FixKind::TypeKeyword,
            typed,
            format!(
                "write `import type … from \"{}\"`: only types of it are used",
                typed.imports
            ),
        ));
    }
    if own.len() < chain.len() {
        let via = chain
            .get(own.len())
            .and_then(|link| modules::package(&link.file));
        let via = via.unwrap_or(&last.imports);
        return Some(of(
            FixKind::Package,
            last,
            format!(
                "`{via}` brings `{forbidden}` along: import a part of it that does not, or allow it \
             in lockgate.toml with the reason"
            ),
        ));
    }
    let passes_on = own.iter().rev().find(|link| link.passed_on);
    if let Some(index) = passes_on {
        return Some(of(
            FixKind::BackEndIndex,
            index,
            format!(
                "move the export from \"{}\" to `{}`, the entry point for the browser",
                index.imports,
                modules::joined(modules::folder(&index.file), "frontend.ts")
            ),
        ));
    }
    if is_markup(&last.file) {
        if own.len() == 1 {
            return Some(exclude(last, read));
        }
        let before = own.get(own.len() - 2)?;
        return Some(of(
            FixKind::MixedFile,
            before,
            format!(
                "this file needs `{}`, which is front-end code: move what it needs of it to a file \
             of its own without `{forbidden}`",
                last.file
            ),
        ));
    }
    let text = read(&last.file)?;
    let mixed = sources::read(&last.file, &text)?.exports_own;
    mixed.then(|| {
        of(FixKind::MixedFile, last, format!(
            "move what uses `{forbidden}` to a file of its own, which back-end code does not import"
        ))
    })
}

fn of(kind: FixKind, link: &Link, advice: String) -> Fix {
    Fix {
        kind,
        file: link.file.clone(),
        line: link.line,
        advice,
    }
}

fn brings_types(link: &Link, read: Read) -> bool {
    let source = read(&link.file).and_then(|text| sources::read(&link.file, &text));
    source.is_some_and(|source| {
        source
            .imports
            .iter()
            .any(|import| import.specifier == link.imports && import.uses == Uses::TypesUnsaid)
    })
}

fn is_markup(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "tsx" | "jsx")))
}

/// A file with markup that nobody imports was compiled because a configuration took it in.
fn exclude(link: &Link, read: Read) -> Fix {
    let mut folder = modules::folder(&link.file);
    let configuration = loop {
        let names = ["tsconfig.lib.json", "tsconfig.app.json", "tsconfig.json"];
        let mut paths = names.iter().map(|name| modules::joined(folder, name));
        if let Some(path) = paths.find(|path| read(path).is_some()) {
            break path;
        }
        if folder.is_empty() {
            break "tsconfig.lib.json".to_owned();
        }
        folder = modules::folder(folder);
    };
    Fix {
        kind: FixKind::ExcludeMarkup,
        file: configuration,
        line: None,
        advice: "add `\"exclude\": [\"src/**/*.tsx\", \"src/frontend.ts\"]`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn link(file: &str, imports: &str, passed_on: bool) -> Link {
        Link {
            file: file.to_owned(),
            line: Some(1),
            imports: imports.to_owned(),
            passed_on,
        }
    }

    fn check(chain: &[Link], files: &[(&str, &str)], expected: Option<(FixKind, &str)>) {
        let files: HashMap<&str, &str> = files.iter().copied().collect();
        let read = |path: &str| files.get(path).map(ToString::to_string);
        let found = fix(chain, "react", &read);
        let found = found.as_ref().map(|fix| (fix.kind, fix.file.as_str()));
        assert_eq!(found, expected);
    }

    #[test]
    fn each_of_the_four_changes_is_told_where_it_fits() {
        check(
            &[link("src/main.ts", "@x/collab/frontend", false)],
            &[(
                "src/main.ts",
                "import { T } from '@x/collab/frontend'; let t: T",
            )],
            Some((FixKind::TypeKeyword, "src/main.ts")),
        );
        check(
            &[
                link("src/main.ts", "@x/collab", false),
                link("collab/src/index.ts", "./lib/hooks", true),
                link("collab/src/lib/hooks.ts", "react", false),
            ],
            &[(
                "collab/src/lib/hooks.ts",
                "import { u } from 'react'; export const a = u()",
            )],
            Some((FixKind::BackEndIndex, "collab/src/index.ts")),
        );
        check(
            &[
                link("src/main.ts", "./both", false),
                link("src/both.ts", "react", false),
            ],
            &[(
                "src/both.ts",
                "import { u } from 'react'; export class A {} export const b = u()",
            )],
            Some((FixKind::MixedFile, "src/both.ts")),
        );
        check(
            &[
                link("src/main.ts", "./view", false),
                link("src/view.tsx", "react", false),
            ],
            &[],
            Some((FixKind::MixedFile, "src/main.ts")),
        );
        check(
            &[link("lib/a/src/view.tsx", "react", false)],
            &[("lib/a/tsconfig.lib.json", "{}")],
            Some((FixKind::ExcludeMarkup, "lib/a/tsconfig.lib.json")),
        );
    }

    #[test]
    fn a_package_that_brings_it_is_named() {
        let chain = [
            link("src/main.ts", "toolkit", false),
            link("node_modules/toolkit/index.js", "react", false),
        ];
        check(&chain, &[], Some((FixKind::Package, "src/main.ts")));
        let advice = fix(&chain, "react", &|_| None).unwrap().advice;
        assert!(advice.contains("`toolkit` brings `react`"), "{advice}");
    }

    #[test]
    fn where_nothing_is_known_nothing_is_advised() {
        check(&[], &[], None);
        check(&[link("src/main.ts", "react", false)], &[], None);
    }
}
