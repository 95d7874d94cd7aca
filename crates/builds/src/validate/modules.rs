//! The modules that a bundle was made of: what they are called and whose they are.

/// A module of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Module {
    /// Its file, from the workspace: `packages/app/src/main.ts`.
    pub(super) path: String,
    /// Bytes of the bundle that came from it.
    pub(super) bytes: u64,
    /// The first byte of the bundle that came from it, where that is known.
    pub(super) first: Option<usize>,
}

/// A module's imports of other modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edge {
    /// The number of the module.
    pub(super) to: usize,
    /// What it is imported as.
    pub(super) specifier: String,
    /// The line that says so, from 1.
    pub(super) line: Option<usize>,
    /// Whether it is passed on: `export … from`.
    pub(super) passed_on: bool,
    /// Whether only types are used of it, and that is not said.
    pub(super) types: bool,
}

impl Module {
    /// Whether it is of the user's own: not of an installed package, nor made by a tool.
    pub(super) fn is_own(&self) -> bool {
        is_own(&self.path)
    }
}

pub(super) fn is_own(path: &str) -> bool {
    package(path).is_none() && !is_made(path)
}

/// Whether a tool made it: it has no file.
fn is_made(path: &str) -> bool {
    path.is_empty() || path.starts_with("webpack/") || path.starts_with(['\0', '<', '('])
}

/// The name of the installed package that a file belongs to: `@scope/name`.
pub(super) fn package(path: &str) -> Option<&str> {
    let inside = within(path)?;
    let mut slashes = inside.match_indices('/').map(|(at, _)| at);
    let end = if inside.starts_with('@') {
        slashes.nth(1)
    } else {
        slashes.next()
    };
    inside.get(..end.unwrap_or(inside.len()))
}

/// The folder of that package: `node_modules/a/node_modules/b`.
pub(super) fn package_folder(path: &str) -> Option<&str> {
    let (inside, name) = (within(path)?, package(path)?);
    path.get(..path.len() - inside.len() + name.len())
}

/// A file as its package calls it: `react/cjs/react.development.js`.
pub(super) fn within(path: &str) -> Option<&str> {
    const FOLDER: &str = "node_modules/";
    let at = path.rfind(FOLDER)?;
    let begins = at == 0 || path.as_bytes().get(at - 1) == Some(&b'/');
    path.get(at + FOLDER.len()..)
        .filter(|inside| begins && !inside.is_empty())
}

/// A file as a map or a bundler names it, made into a path from the workspace. `folder` is
/// where the map lies.
pub(super) fn normal(name: &str, folder: &str) -> String {
    let name = name.rsplit('!').next().unwrap_or(name);
    let (name, folder) = match name.split_once("://") {
        // webpack://name/./src/main.ts; its namespace is no folder.
        Some((_, rest)) => (rest.split_once('/').map_or(rest, |(_, path)| path), ""),
        None => (name, folder),
    };
    let name = name.split(['?', '#']).next().unwrap_or(name);
    joined(folder, name)
}

/// A path from a folder, with `.` and `..` carried out. Absolute ones stay.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let folder = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') || folder.starts_with('/') {
        "/"
    } else {
        ""
    };
    format!("{root}{}", parts.join("/"))
}

/// The folder of a path, `""` where it has none.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_innermost_package() {
        for (path, expected) in [
            ("node_modules/react/index.js", Some("react")),
            ("node_modules/@a/b/c/d.js", Some("@a/b")),
            ("node_modules/a/node_modules/b/x.js", Some("b")),
            (
                "node_modules/.pnpm/react@18.2.0/node_modules/react/index.js",
                Some("react"),
            ),
            ("../../node_modules/react-dom/client.js", Some("react-dom")),
            (
                "/home/x/.yarn/cache/a.zip/node_modules/@s/a/i.js",
                Some("@s/a"),
            ),
            ("packages/react/src/index.ts", None),
            ("my_node_modules/react/index.js", None),
            ("node_modules/", None),
        ] {
            assert_eq!(package(path), expected, "{path}");
        }
        let path = "x/node_modules/a/node_modules/@s/b/c.js";
        let folder = "x/node_modules/a/node_modules/@s/b";
        assert_eq!(package_folder(path), Some(folder));
        assert_eq!(within(path), Some("@s/b/c.js"));
    }

    #[test]
    fn names_of_every_bundler_become_paths_from_the_workspace() {
        for (name, folder, expected) in [
            (
                "../../../packages/app/src/main.ts",
                "dist/packages/app",
                "packages/app/src/main.ts",
            ),
            (
                "../node_modules/react/index.js",
                "dist",
                "node_modules/react/index.js",
            ),
            ("webpack://app/./src/main.ts", "dist", "src/main.ts"),
            ("webpack:///./src/main.ts?1a2b", "dist", "src/main.ts"),
            (
                "webpack://app/./node_modules/a/b.js",
                "dist",
                "node_modules/a/b.js",
            ),
            ("webpack://@s/app/./src/a.ts", "dist", "app/src/a.ts"),
            ("swc-loader!./src/a.ts", "", "src/a.ts"),
            ("/abs/a.ts", "dist", "/abs/a.ts"),
            ("../../a.ts", "dist", "../a.ts"),
        ] {
            assert_eq!(normal(name, folder), expected, "{name}");
        }
    }

    #[test]
    fn what_a_tool_made_is_nobodys() {
        for path in [
            "",
            "webpack/bootstrap",
            "\0commonjsHelpers.js",
            "<define:X>",
            "(disabled):fs",
        ] {
            assert!(!is_own(path), "{path}");
        }
        assert!(is_own("src/main.ts"));
        assert!(!is_own("node_modules/a/b.js"));
    }
}
