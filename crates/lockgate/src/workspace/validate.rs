//! `[validate]`: what no bundle may hold, and what it may all the same.

use std::path::{Path, PathBuf};

use lockgate_builds::validate::{Allowed, Rule, Rules, Severity};
use serde::Deserialize;

use super::WorkspaceError;
use super::nearest::nearest;
use super::resolve::senseless;

/// `[validate]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ValidateTable {
    /// Built-in rule sets; `react` where nothing is said.
    sets: Option<Vec<String>>,
    /// How bad a require is that the program can do without.
    guarded: Option<Severity>,
    /// How bad an import of types alone is; nothing of them is told where this is not said.
    types: Option<Severity>,
    /// The bundler's metafile.
    metafile: Option<PathBuf>,
    /// Rules of one's own.
    forbid: Vec<ForbidTable>,
    /// Exceptions.
    allow: Vec<AllowTable>,
}

/// One of `[[validate.forbid]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForbidTable {
    label: String,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default = "error")]
    severity: Severity,
    #[serde(default)]
    bundles: Vec<String>,
}

/// One of `[[validate.allow]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowTable {
    what: String,
    reason: String,
    #[serde(default)]
    bundles: Vec<String>,
}

fn error() -> Severity {
    Severity::Error
}

/// The rules that the table says.
pub(super) fn rules(root: &Path, table: &ValidateTable) -> Result<Rules, WorkspaceError> {
    let senseless = |what: String| senseless(root, what);
    let mut rules = match &table.sets {
        None => Rules::default().rules,
        Some(sets) => {
            let mut rules = Vec::new();
            for name in sets {
                let set = Rules::set(name).ok_or_else(|| senseless(unknown_set(name)))?;
                rules.extend(set);
            }
            rules
        }
    };
    for forbid in &table.forbid {
        if forbid.packages.is_empty() && forbid.files.is_empty() {
            return Err(senseless(format!(
                "`[[validate.forbid]]` with `label = \"{}\"` names neither `packages` nor `files`",
                forbid.label
            )));
        }
        rules.push(Rule {
            label: forbid.label.clone(),
            packages: forbid.packages.clone(),
            files: forbid.files.clone(),
            severity: forbid.severity,
            bundles: forbid.bundles.clone(),
        });
    }
    let mut allowed = Vec::new();
    for allow in &table.allow {
        if allow.reason.trim().is_empty() {
            return Err(senseless(format!(
                "`[[validate.allow]]` for `{}` has no `reason`",
                allow.what
            )));
        }
        allowed.push(Allowed {
            what: allow.what.clone(),
            reason: allow.reason.trim().to_owned(),
            bundles: allow.bundles.clone(),
        });
    }
    let rules = Rules {
        rules,
        allowed,
        guarded: table.guarded.unwrap_or(Severity::Note),
        types: table.types,
        metafile: table.metafile.as_ref().map(|path| root.join(path)),
    };
    rules.check().map_err(senseless)?;
    Ok(rules)
}

fn unknown_set(name: &str) -> String {
    let known = Rules::SETS.iter().map(|set| format!("`{set}`"));
    let known: Vec<String> = known.collect();
    let meant = nearest(name, Rules::SETS.into_iter());
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    format!(
        "`[validate] sets` names `{name}`; there are {}{meant}",
        known.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rules, WorkspaceError> {
        rules(Path::new("/w"), &toml::from_str(text).unwrap())
    }

    fn check_refused(text: &str, expected: &str) {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn nothing_said_means_react() {
        assert_eq!(read("").unwrap(), Rules::default());
    }

    #[test]
    fn sets_own_rules_and_exceptions_come_together() {
        let rules = read(
            "sets = ['frontend']\nguarded = 'error'\nmetafile = 'dist/meta.json'\n\
             [[forbid]]\nlabel = 'Heavy'\npackages = ['moment']\nseverity = 'warning'\n\
             [[allow]]\nwhat = 'react-dom/server'\nreason = ' mails '\n",
        );
        let rules = rules.unwrap();
        let heavy = rules.rules.last().unwrap();
        assert_eq!(
            (heavy.label.as_str(), heavy.severity),
            ("Heavy", Severity::Warning)
        );
        assert!(rules.rules.iter().any(|rule| rule.label == "Vue"));
        assert_eq!(rules.allowed[0].reason, "mails");
        assert_eq!(rules.guarded, Severity::Error);
        assert!(read("sets = []").unwrap().rules.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        check_refused("sets = ['raect']", "did you mean `react`?");
        check_refused("[[forbid]]\nlabel = 'x'", "neither `packages` nor `files`");
        check_refused(
            "[[forbid]]\nlabel = 'x'\nfiles = ['[z-a]']",
            "`[z-a]` of rule `x`",
        );
        check_refused("[[allow]]\nwhat = 'react'\nreason = ' '", "has no `reason`");
    }
}
