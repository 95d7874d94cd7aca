//! What must not be imported or held, by whom it is told apart, and what is allowed.

mod sets;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::modules::within;

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Told, and nothing else.
    Note,
    /// Told loudly; the bundle may be packed.
    Warning,
    /// The bundle is not packed.
    Error,
}

/// What must not be imported or held by a back-end bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The groups, in the order of the report. The first that fits counts.
    pub rules: Vec<Rule>,
    /// What is fine all the same.
    pub allowed: Vec<Allowed>,
    /// How bad a require is that a program can do without:
    /// `try { require("react") } catch {}`.
    pub guarded: Severity,
    /// How bad an import of types alone is; `None` to not look for them.
    pub types: Option<Severity>,
    /// Where the bundler's metafile lies, from the workspace; looked for beside the bundle
    /// where it is not said.
    pub metafile: Option<std::path::PathBuf>,
}

/// One group of forbidden packages and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Shown in the report: `React`.
    pub label: String,
    /// Globs over specifiers and over files of packages: `react`, `react/*`,
    /// `*/frontend.js`. A star also stands for slashes.
    pub packages: Vec<String>,
    /// Globs over the workspace's own files: `*/src/frontend.ts`.
    pub files: Vec<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Globs over bundles that it is for; none means all.
    pub bundles: Vec<String>,
}

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Globs as in [`Rule::packages`] or [`Rule::files`].
    pub what: String,
    /// Why, for whoever reads the report.
    pub reason: String,
    /// Globs over bundles that it is for; none means all.
    pub bundles: Vec<String>,
}

impl Default for Rules {
    /// React in all its packages, and entry points for the browser.
    fn default() -> Self {
        Self {
            rules: sets::react(),
            allowed: Vec::new(),
            guarded: Severity::Note,
            types: None,
            metafile: None,
        }
    }
}

impl Rules {
    /// The rules of a built-in set, `None` where there is none of this name.
    pub fn set(name: &str) -> Option<Vec<Rule>> {
        match name {
            "react" => Some(sets::react()),
            "frontend" => Some(sets::frontend()),
            _ => None,
        }
    }

    /// The names of the built-in sets.
    pub const SETS: [&str; 2] = ["react", "frontend"];

    /// Whether all globs are globs. The error names the one that is none.
    pub fn check(&self) -> Result<(), String> {
        self.matcher("").map(drop)
    }

    /// Compiles the globs that are for a bundle. The error names the one that is none.
    pub(super) fn matcher(&self, bundle: &str) -> Result<Matcher<'_>, String> {
        let mut matcher = Matcher {
            rules: &self.rules,
            allowed: &self.allowed,
            packages: Globs::default(),
            files: Globs::default(),
            exceptions: Globs::default(),
        };
        for (number, rule) in self.rules.iter().enumerate() {
            let label = || format!("rule `{}`", rule.label);
            let counts = is_for(&rule.bundles, bundle, label)?;
            matcher
                .packages
                .add(&rule.packages, number, counts, label)?;
            matcher.files.add(&rule.files, number, counts, label)?;
        }
        for (number, allowed) in self.allowed.iter().enumerate() {
            let label = || "`[[validate.allow]]`".to_owned();
            let counts = is_for(&allowed.bundles, bundle, label)?;
            let what = std::slice::from_ref(&allowed.what);
            matcher.exceptions.add(what, number, counts, label)?;
        }
        for globs in [
            &mut matcher.packages,
            &mut matcher.files,
            &mut matcher.exceptions,
        ] {
            globs.compile()?;
        }
        Ok(matcher)
    }
}

fn is_for(bundles: &[String], bundle: &str, of: impl Fn() -> String) -> Result<bool, String> {
    let mut globs = Globs::default();
    globs.add(bundles, 0, true, of)?;
    globs.compile()?;
    Ok(bundles.is_empty() || globs.first(bundle).is_some())
}

/// Globs, and the number of the rule that each belongs to.
#[derive(Debug, Default)]
struct Globs {
    compiled: GlobSet,
    read: Vec<Glob>,
    numbers: Vec<usize>,
}

impl Globs {
    fn add(
        &mut self,
        globs: &[String],
        number: usize,
        counts: bool,
        of: impl Fn() -> String,
    ) -> Result<(), String> {
        for text in globs {
            let glob = GlobBuilder::new(text).literal_separator(false).build();
            let glob = glob
                .map_err(|error| format!("`{text}` of {} is not a glob: {}", of(), error.kind()))?;
            if counts {
                self.read.push(glob);
                self.numbers.push(number);
            }
        }
        Ok(())
    }

    fn compile(&mut self) -> Result<(), String> {
        let mut set = GlobSetBuilder::new();
        for glob in std::mem::take(&mut self.read) {
            set.add(glob);
        }
        self.compiled = set.build().map_err(|error| error.to_string())?;
        Ok(())
    }

    fn first(&self, text: &str) -> Option<usize> {
        let index = self.compiled.matches(text).into_iter().min()?;
        self.numbers.get(index).copied()
    }
}

/// Compiled rules. Each answer is the number of the first rule that fits.
#[derive(Debug)]
pub(super) struct Matcher<'r> {
    pub(super) rules: &'r [Rule],
    allowed: &'r [Allowed],
    packages: Globs,
    files: Globs,
    exceptions: Globs,
}

impl<'r> Matcher<'r> {
    /// Of a specifier. A path into `node_modules` counts as the package it leads to.
    pub(super) fn specifier(&self, specifier: &str) -> Option<usize> {
        let packages = &self.packages;
        packages
            .first(specifier)
            .or_else(|| packages.first(within(specifier)?))
    }

    /// Of a file that is in the bundle.
    pub(super) fn file(&self, path: &str) -> Option<usize> {
        match within(path) {
            Some(inside) => self.packages.first(inside),
            None => self.files.first(path),
        }
    }

    /// Why something is allowed.
    pub(super) fn reason(&self, what: &str) -> Option<&'r str> {
        let exceptions = &self.exceptions;
        let number = exceptions
            .first(what)
            .or_else(|| exceptions.first(within(what)?))?;
        self.allowed
            .get(number)
            .map(|allowed| allowed.reason.as_str())
    }
}

#[cfg(test)]
mod tests;
