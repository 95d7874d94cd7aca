//! What there is of the workspace around the current folder.

use std::path::{Path, PathBuf};

use lockgate_model::EnvName;

use super::super::check::{Check, Finding, Group};
use super::super::{environment, workspace};
use super::{Facts, find, of_files};
use crate::commands::init::FIRST_ENV;
use crate::deploy::prepare::newer;
use crate::error::CommandError;
use crate::workspace::{FILE_NAME, Resolved, Workspace};

const GROUP: Group = Group::Workspace;

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let (cwd, named) = (facts.ctx.cwd.clone(), facts.named.cloned());
    let path = facts.ctx.config.of_user("PATH").cloned();
    let known: Vec<(EnvName, PathBuf)> = facts
        .environments
        .iter()
        .map(|it| (it.name.clone(), it.workspace.clone()))
        .collect();
    of_files(GROUP, "folder", move || {
        let found = match Workspace::around(&cwd) {
            Ok(found) if found.is_recognised() => found,
            Ok(_) => {
                let finding = Finding::skipped(format!("`{}` is no workspace", cwd.display()));
                return vec![Check::new(GROUP, "folder", finding)];
            }
            Err(error) => return settings(&[error.into()]),
        };
        let folder = Finding::ok(format!("`{}`", found.root().display()));
        let mut all = vec![Check::new(GROUP, "folder", folder)];
        let Some(env) = meant(&found, named, &known) else {
            return all;
        };
        let problems: Vec<CommandError> =
            found.problems(&env).into_iter().map(Into::into).collect();
        all.extend(settings(&problems));
        if let Ok(resolved) = found.resolve(&env) {
            let find = |program: &str| program_of(found.root(), path.as_deref(), program);
            all.extend(built(found.root(), &resolved, &find));
        }
        all
    })
    .await
}

/// For which environment: named, or the file's default, or one that is deployed from here, or the one
/// that `up` would make.
fn meant(
    workspace: &Workspace,
    named: Option<EnvName>,
    known: &[(EnvName, PathBuf)],
) -> Option<EnvName> {
    let here = known.iter().find(|(_, path)| path == workspace.root());
    named
        .or_else(|| workspace.default_env().cloned())
        .or_else(|| here.map(|(env, _)| env.clone()))
        .or_else(|| EnvName::parse(FIRST_ENV).ok())
}

fn settings(problems: &[CommandError]) -> Vec<Check> {
    let all = environment::settings(problems).into_iter();
    all.map(|it| Check::new(GROUP, FILE_NAME, it)).collect()
}

fn built(root: &Path, resolved: &Resolved, find: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<Check> {
    let there = resolved.bundle.is_file();
    let mut all = vec![("bundle", workspace::bundle(root, resolved, there))];
    if there {
        let mut map = resolved.bundle.clone().into_os_string();
        map.push(".map");
        let map = PathBuf::from(map);
        let is_there = map.is_file();
        all.push(("source map", workspace::map(root, &map, is_there)));
        all.push((
            "sources",
            workspace::sources(resolved, newer(root, resolved)),
        ));
    }
    let is_module = |name: &str| root.join("node_modules/.bin").join(name).exists();
    let tool = workspace::needed(resolved.build_command.as_deref(), find, &is_module);
    all.push(("build tool", workspace::tool(resolved, &tool)));
    let check = |(name, finding)| Check::new(GROUP, name, finding);
    all.into_iter().map(check).collect()
}

/// A program as a shell in the workspace would find it.
fn program_of(root: &Path, path: Option<&std::ffi::OsStr>, program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        let program = root.join(program);
        return program.is_file().then_some(program);
    }
    find(path, program)
}
