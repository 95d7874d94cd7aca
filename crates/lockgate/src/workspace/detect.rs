//! What can be told of a workspace by looking at it.

use std::path::Path;

/// The bundle of the default layout.
pub(crate) const BUNDLE: &str = "dist/packages/app-gateway/main.js";
/// What is packed in the default layout, and where it lands.
pub(crate) const PARTS: [(&str, &str, bool); 2] = [
    ("dist/packages/app-gateway", "app-gateway", true),
    ("docker-images/backend-images/gateway/app", "app", false),
];
/// The bundles that are validated in the default layout.
pub(crate) const VALIDATE: &str = "dist/packages/app-*/main.js";
/// Folders that usually hold sources.
pub(crate) const SOURCES: [&str; 3] = ["packages", "src", "libs"];

/// What can be told of a workspace by looking at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Detected {
    /// The command that makes the bundle.
    pub(crate) build_command: Option<String>,
    /// The folders with sources that are there.
    pub(crate) sources: Vec<String>,
    /// Whether the default layout's bundle is there.
    pub(crate) bundle: bool,
    /// Whether the default layout's scripts are there.
    pub(crate) scripts: bool,
}

impl Detected {
    /// Looks at a workspace.
    pub(crate) fn look(root: &Path) -> Self {
        Self {
            build_command: build_command(root),
            sources: SOURCES
                .into_iter()
                .filter(|name| root.join(name).is_dir())
                .map(str::to_owned)
                .collect(),
            bundle: root.join(BUNDLE).is_file(),
            scripts: PARTS
                .last()
                .is_some_and(|(from, ..)| root.join(from).is_dir()),
        }
    }
}

/// Whether anything says that this is a workspace.
pub(crate) fn is_workspace(root: &Path) -> bool {
    ["package.json", "nx.json", "packages", "dist"]
        .iter()
        .any(|name| root.join(name).exists())
}

fn build_command(root: &Path) -> Option<String> {
    if root.join("nx.json").is_file() {
        return Some("npx nx build app-gateway".to_owned());
    }
    let text = std::fs::read(root.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let script = package.get("scripts")?.get("build")?.as_str()?;
    (!script.is_empty()).then(|| "npm run build".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(
            Detected::look(folder.path()).build_command.as_deref(),
            expected,
            "{files:?}"
        );
    }

    #[test]
    fn the_build_command_follows_the_tool_that_is_there() {
        check(&[], None);
        check(&[("nx.json", "{}")], Some("npx nx build app-gateway"));
        check(
            &[("package.json", r#"{"scripts":{"build":"x"}}"#)],
            Some("npm run build"),
        );
        check(&[("package.json", r#"{"scripts":{"test":"x"}}"#)], None);
        check(&[("package.json", "no json")], None);
    }
}
