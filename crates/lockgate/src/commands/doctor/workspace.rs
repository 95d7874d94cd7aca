//! The workspace around the current folder: what a deploy would find in it.

use std::path::{Path, PathBuf};

use super::check::Finding;
use crate::deploy::prepare::build_hint;
use crate::workspace::Resolved;
use crate::workspace::bundles::relative;

/// The bundle that is started.
pub(super) fn bundle(root: &Path, resolved: &Resolved, there: bool) -> Finding {
    let bundle = relative(root, &resolved.bundle);
    let bundle = bundle.display();
    if there {
        return Finding::ok(format!("`{bundle}`"));
    }
    Finding::warning(format!("`{bundle}` is not there"))
        .because("it is what a deploy packs")
        .mended_by(build_hint(resolved))
}

/// The source map beside it.
pub(super) fn map(root: &Path, map: &Path, there: bool) -> Finding {
    let map = relative(root, map);
    let map = map.display();
    if there {
        return Finding::ok(format!("`{map}`"));
    }
    Finding::warning(format!("`{map}` is not there"))
        .because("without it, errors and findings name lines of the bundle, not of your sources")
        .mended_by("have the build tool write source maps (esbuild: `--sourcemap`)")
}

/// Whether the bundle is older than what it is made from, in the words of a deploy.
pub(super) fn sources(resolved: &Resolved, newer: Option<String>) -> Finding {
    match newer {
        None => Finding::ok("none is newer than the bundle"),
        Some(newer) => Finding::warning(newer)
            .because("a deploy packs what was built")
            .mended_by(match &resolved.build_command {
                Some(command) => format!("`lockgate deploy --build` runs `{command}` first"),
                None => "build, or set `[build] command` in lockgate.toml".to_owned(),
            }),
    }
}

/// What `[build] command` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tool {
    /// There is no command.
    None,
    /// It is more than a program with arguments: a shell's matter.
    Script,
    /// Its program is here.
    Found(PathBuf),
    /// Its program is nowhere.
    Missing(String),
    /// `npx` would have to fetch what it is to run.
    Unfetched(String),
}

/// The build tool.
pub(super) fn tool(resolved: &Resolved, tool: &Tool) -> Finding {
    let command = resolved.build_command.as_deref().unwrap_or_default();
    let why = "`up`, `restart` and `deploy --build` run it";
    match tool {
        Tool::None => Finding::skipped("no `[build] command`; deploys pack what is there"),
        Tool::Script => Finding::ok(format!("`{command}`")),
        Tool::Found(program) => Finding::ok(format!("`{command}`, by `{}`", program.display())),
        Tool::Missing(program) => {
            Finding::warning(format!("`{command}`: there is no `{program}` on PATH"))
                .because(why)
                .mended_by(format!(
                    "install `{program}`, or set `[build] command` in lockgate.toml"
                ))
        }
        Tool::Unfetched(program) => Finding::warning(format!(
            "`{command}`: `{program}` is not in the workspace's node_modules"
        ))
        .because(why)
        .mended_by("`npm ci` in the workspace installs it"),
    }
}

/// What a command takes, by what is there: programs on `PATH`, and in `node_modules`.
pub(super) fn needed(
    command: Option<&str>,
    find: &dyn Fn(&str) -> Option<PathBuf>,
    is_module: &dyn Fn(&str) -> bool,
) -> Tool {
    let Some(command) = command else {
        return Tool::None;
    };
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else {
        return Tool::None;
    };
    let is_plain = |word: &str| {
        word.chars()
            .all(|it| it.is_ascii_alphanumeric() || "-_./@".contains(it))
    };
    if !is_plain(program) || program == "cd" {
        return Tool::Script;
    }
    let Some(found) = find(program) else {
        return Tool::Missing(program.to_owned());
    };
    let run = words.find(|word| !word.starts_with('-'));
    match run {
        Some(run) if program == "npx" && is_plain(run) && !is_module(run) => {
            Tool::Unfetched(run.to_owned())
        }
        _ => Tool::Found(found),
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::EnvName;

    use super::super::check::State;
    use super::super::check::tests::check;
    use super::*;
    use crate::workspace::Workspace;

    fn resolved(root: &Path, command: Option<&str>) -> Resolved {
        let workspace = Workspace::open(root).unwrap();
        let resolved = workspace.resolve(&EnvName::parse("dev").unwrap()).unwrap();
        Resolved {
            build_command: command.map(str::to_owned),
            ..resolved
        }
    }

    #[test]
    fn what_a_deploy_would_miss_is_told_with_what_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (with, without) = (resolved(&root, Some("make")), resolved(&root, None));
        check(
            &bundle(&root, &with, true),
            State::Ok,
            "`dist/packages/app-gateway/main.js`",
            None,
        );
        check(
            &bundle(&root, &with, false),
            State::Warning,
            "is not there",
            Some("`make` makes the bundle"),
        );
        check(
            &bundle(&root, &without, false),
            State::Warning,
            "is not there",
            Some("build first"),
        );
        let file = root.join("main.js.map");
        check(&map(&root, &file, true), State::Ok, "`main.js.map`", None);
        check(
            &map(&root, &file, false),
            State::Warning,
            "is not there",
            Some("source maps"),
        );
        check(&sources(&with, None), State::Ok, "none is newer", None);
        let newer = || Some("`a.ts` is newer than `main.js`".to_owned());
        check(
            &sources(&with, newer()),
            State::Warning,
            "is newer",
            Some("`lockgate deploy --build` runs `make`"),
        );
        check(
            &sources(&without, newer()),
            State::Warning,
            "is newer",
            Some("`[build] command`"),
        );
    }

    #[test]
    fn a_build_command_s_program_is_looked_for() {
        let find = |program: &str| (program != "bun").then(|| PathBuf::from("/bin").join(program));
        let is_module = |name: &str| name == "nx";
        let of = |command| needed(command, &find, &is_module);
        assert_eq!(of(None), Tool::None);
        assert_eq!(of(Some("npx nx build app")), Tool::Found("/bin/npx".into()));
        assert_eq!(
            of(Some("npx --yes vite build")),
            Tool::Unfetched("vite".to_owned())
        );
        assert_eq!(of(Some("bun run build")), Tool::Missing("bun".to_owned()));
        assert_eq!(of(Some("A=1 make")), Tool::Script);
        assert_eq!(of(Some("cd app && make")), Tool::Script);
        let folder = tempfile::tempdir().unwrap();
        let resolved = resolved(folder.path(), Some("npx nx build"));
        for (one, state, remedy) in [
            (Tool::None, State::Skipped, None),
            (Tool::Script, State::Ok, None),
            (Tool::Found("/bin/npx".into()), State::Ok, None),
            (
                Tool::Missing("npx".to_owned()),
                State::Warning,
                Some("install `npx`"),
            ),
            (
                Tool::Unfetched("nx".to_owned()),
                State::Warning,
                Some("`npm ci`"),
            ),
        ] {
            check(&tool(&resolved, &one), state, "", remedy);
        }
    }
}
