//! Writes `BUILD_INFO.txt`: for people in a container who ask what they look at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use lockgate_model::{AppSettings, BuildId, EnvName, ManifestFile};

use super::Provenance;

/// What the file says.
pub(super) struct BuildInfo<'a> {
    pub(super) env: &'a EnvName,
    pub(super) build: &'a BuildId,
    pub(super) workspace: &'a Path,
    pub(super) provenance: &'a Provenance,
    pub(super) validated: bool,
    /// Sorted, without `BUILD_INFO.txt` itself.
    pub(super) files: &'a [ManifestFile],
}

/// One `Key: value` a line; the contents follow indented, a line for each top folder.
pub(super) fn render(info: &BuildInfo) -> String {
    let from = info.provenance;
    let env = info.env;
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let lines = [
        ("Environment", env.to_string()),
        (
            "Built",
            humantime::format_rfc3339_seconds(from.built_at).to_string(),
        ),
        ("Workspace", info.workspace.display().to_string()),
        ("Node Version", known(&from.node_version)),
        ("Contents", contents(info.files)),
        (
            "Extraction",
            format!("tar -xzf gateway-{env}.tar.gz -C /opt/"),
        ),
        ("Run", run()),
        ("Build", info.build.to_string()),
        ("Commit", known(&from.commit)),
        ("Branch", known(&from.branch)),
        ("Dirty", from.dirty.map_or("unknown", yes_or_no).to_owned()),
        ("Tool", from.tool.clone()),
        ("Validated", yes_or_no(info.validated).to_owned()),
    ];
    let mut text = String::new();
    for (key, value) in lines {
        // Branches and folders are named elsewhere: one line stays one line.
        let value = value.replace(|c: char| c.is_control(), " ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key}: {value}");
        if key == "Contents" {
            for (top, count, bytes) in tops(info.files) {
                let _ = writeln!(text, "  - {top} ({})", amount(count, bytes));
            }
        }
    }
    text
}

fn contents(files: &[ManifestFile]) -> String {
    amount(files.len(), files.iter().map(|file| file.size).sum())
}

/// What lies in the top folder, with the number of files and their bytes.
fn tops(files: &[ManifestFile]) -> Vec<(String, usize, u64)> {
    let mut tops: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for file in files {
        let path = file.path.as_str();
        let top = path.split_once('/').map(|(folder, _)| format!("{folder}/"));
        let (count, bytes) = tops
            .entry(top.unwrap_or_else(|| path.to_owned()))
            .or_default();
        *count += 1;
        *bytes += file.size;
    }
    let flat = |(top, (count, bytes))| (top, count, bytes);
    tops.into_iter().map(flat).collect()
}

fn amount(count: usize, bytes: u64) -> String {
    let files = if count == 1 { "file" } else { "files" };
    format!("{count} {files}, {bytes} bytes")
}

/// The command by hand; an agent takes it from the statement instead.
fn run() -> String {
    let app = AppSettings::default();
    format!("cd /opt/gateway/{} && {}", app.cwd, app.command.join(" "))
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use lockgate_model::{Digest, FilePath};

    use super::*;

    fn file(path: &str, size: u64) -> ManifestFile {
        ManifestFile {
            path: FilePath::parse(path).unwrap(),
            mode: 0o644,
            size,
            sha256: Digest::from_bytes([0; 32]),
        }
    }

    fn check(provenance: &Provenance, validated: bool, expected: &str) {
        let text = render(&BuildInfo {
            env: &EnvName::parse("dev-001").unwrap(),
            build: &BuildId::parse("0123456789ab").unwrap(),
            workspace: Path::new("/home/dev/mono\nrepo"),
            provenance,
            validated,
            files: &[
                file("app-gateway/main.js", 900),
                file("app-gateway/main.js.map", 100),
                file("run.sh", 5),
            ],
        });
        assert_eq!(text, expected);
    }

    #[test]
    fn every_line_of_the_shell_system_is_there_and_ours_follow() {
        let provenance = Provenance {
            built_at: UNIX_EPOCH + Duration::from_hours(490_200),
            commit: Some("4f2a".to_owned()),
            branch: Some("main".to_owned()),
            dirty: Some(true),
            node_version: Some("v24.1.0".to_owned()),
            tool: "lockgate 0.1.0".to_owned(),
        };
        let expected = "\
Environment: dev-001
Built: 2025-12-03T00:00:00Z
Workspace: /home/dev/mono repo
Node Version: v24.1.0
Contents: 3 files, 1005 bytes
  - app-gateway/ (2 files, 1000 bytes)
  - run.sh (1 file, 5 bytes)
Extraction: tar -xzf gateway-dev-001.tar.gz -C /opt/
Run: cd /opt/gateway/app-gateway && node --enable-source-maps main.js
Build: 0123456789ab
Commit: 4f2a
Branch: main
Dirty: yes
Tool: lockgate 0.1.0
Validated: yes
";
        check(&provenance, true, expected);
        let unknown = Provenance {
            commit: None,
            branch: None,
            dirty: None,
            node_version: None,
            ..provenance
        };
        let expected = expected
            .replace("v24.1.0", "unknown")
            .replace("4f2a", "unknown")
            .replace("main\nDirty: yes", "unknown\nDirty: unknown")
            .replace("Validated: yes", "Validated: no");
        check(&unknown, false, &expected);
    }
}
