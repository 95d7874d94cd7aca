//! What must not be imported, by whom it is told apart.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// What must not be imported by a back-end bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The groups, in the order of the report. The first that fits a specifier counts.
    pub rules: Vec<Rule>,
}

/// One group of forbidden specifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Shown in the report: `React`.
    pub label: String,
    /// Globs over specifiers: `react`, `react/*`, `*/frontend.js`. A star also stands for slashes.
    pub specifiers: Vec<String>,
}

impl Default for Rules {
    /// React in all its packages, and a package's entry point for the browser.
    fn default() -> Self {
        let rule = |label: &str, specifiers: &[&str]| Rule {
            label: label.to_owned(),
            specifiers: specifiers.iter().map(ToString::to_string).collect(),
        };
        let react = [
            "react",
            "react/*",
            "react-dom",
            "react-dom/*",
            "react-hotkeys-hook",
        ];
        let frontend = [
            "*/frontend",
            "*/frontend.js",
            "*/frontend.mjs",
            "*/frontend.cjs",
        ];
        Self {
            rules: vec![rule("React", &react), rule("Frontend", &frontend)],
        }
    }
}

impl Rules {
    /// Compiles the globs. The error names the one that is none.
    pub(super) fn matcher(&self) -> Result<Matcher, String> {
        let mut globs = GlobSetBuilder::new();
        let mut labels = Vec::new();
        for rule in &self.rules {
            for specifier in &rule.specifiers {
                let glob = GlobBuilder::new(specifier).literal_separator(false).build();
                let glob = glob.map_err(|error| {
                    format!(
                        "`{specifier}` of rule `{}` is not a glob: {}",
                        rule.label,
                        error.kind()
                    )
                })?;
                globs.add(glob);
                labels.push(rule.label.clone());
            }
        }
        let globs = globs.build().map_err(|error| error.to_string())?;
        Ok(Matcher { globs, labels })
    }
}

/// Compiled rules.
#[derive(Debug)]
pub(super) struct Matcher {
    globs: GlobSet,
    /// The label of each glob.
    labels: Vec<String>,
}

impl Matcher {
    /// The label of the first rule that forbids the specifier. A path into
    /// `node_modules` counts as the package it leads to.
    pub(super) fn label(&self, specifier: &str) -> Option<&str> {
        let package = specifier.rsplit_once("node_modules/").map(|(_, rest)| rest);
        let first = |text: &str| self.globs.matches(text).into_iter().min();
        let index = first(specifier).or_else(|| first(package?))?;
        self.labels.get(index).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(specifier: &str, expected: Option<&str>) {
        let matcher = Rules::default().matcher().unwrap();
        assert_eq!(matcher.label(specifier), expected, "{specifier}");
    }

    #[test]
    fn react_is_told_from_what_only_sounds_like_it() {
        for specifier in [
            "react",
            "react/jsx-runtime",
            "react/jsx-dev-runtime",
            "react-dom",
            "react-dom/client",
            "react-dom/server.node",
            "react-hotkeys-hook",
            "../../node_modules/react/index.js",
            "/home/x/node_modules/.pnpm/a/node_modules/react-dom/client",
        ] {
            check(specifier, Some("React"));
        }
        for specifier in [
            "",
            "React",
            "preact",
            "reactive",
            "react-is",
            "./react",
            "@scope/react",
            "react-native",
            "./react/index.js",
            "node_modules/preact",
        ] {
            check(specifier, None);
        }
    }

    #[test]
    fn entry_points_for_the_browser_are_front_end() {
        for specifier in [
            "@scope/collab/frontend",
            "./frontend.js",
            "../lib/frontend",
            "x/dist/frontend.mjs",
        ] {
            check(specifier, Some("Frontend"));
        }
        for specifier in [
            "frontend",
            "frontend-api",
            "./frontend/api.js",
            "./my-frontend.js",
            "x/frontend.json",
        ] {
            check(specifier, None);
        }
    }

    #[test]
    fn a_glob_that_is_none_is_named() {
        let rules = Rules {
            rules: vec![Rule {
                label: "Mine".to_owned(),
                specifiers: vec!["a".to_owned(), "[z-a]".to_owned()],
            }],
        };
        let error = rules.matcher().unwrap_err();
        assert!(
            error.contains("`[z-a]`") && error.contains("Mine"),
            "{error}"
        );
    }

    #[test]
    fn no_rules_forbid_nothing() {
        let rules = Rules { rules: Vec::new() };
        assert_eq!(rules.matcher().unwrap().label("react"), None);
    }
}
