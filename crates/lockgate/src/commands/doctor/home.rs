//! The home: its folder, who can read its secrets, and what lies about in it.

use std::path::{Path, PathBuf};

use lockgate_model::EnvName;

use super::check::{Finding, State};
use crate::error::CommandError;
use crate::views::text::count;

/// A file or folder as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its owner's number.
    pub(super) owner: u32,
}

/// The folder; `None` where there is none yet. `user` asks.
pub(super) fn folder(path: &Path, seen: Option<&Seen>, user: u32) -> Finding {
    let shown = path.display();
    let Some(Seen { mode, owner, .. }) = seen else {
        return Finding::ok(format!("`{shown}`, made when it is needed"));
    };
    if *owner != user {
        return Finding::error(format!(
            "`{shown}` belongs to user {owner}, and this is user {user}"
        ))
        .because("what one user's server has made, another can neither read nor change")
        .mended_by("work as its owner, or name a home of your own: LOCKGATE_HOME");
    }
    if mode & 0o077 != 0 {
        return Finding::error_if(
            mode & 0o022 != 0,
            format!("`{shown}` is open to others: its mode is {mode:o}"),
        )
        .because("keys and tokens lie in it")
        .mended_by(format!("`chmod 700 {shown}`"));
    }
    Finding::ok(format!("`{shown}`, mode {mode:o}"))
}

/// Keys, tokens and what else is nobody else's; `None` where they cannot be looked at.
pub(super) fn secrets(all: Option<&[Seen]>, user: u32) -> Finding {
    let Some(all) = all else {
        return Finding::skipped("not known: their folders cannot be read");
    };
    let why = "whoever reads a key can publish builds, whoever reads a token can fetch them";
    let names = |wrong: &[&Seen]| {
        let names = wrong.iter().map(|it| it.path.display().to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    let open: Vec<&Seen> = all.iter().filter(|it| it.mode & 0o077 != 0).collect();
    let foreign: Vec<&Seen> = all.iter().filter(|it| it.owner != user).collect();
    let told = |wrong: &[&Seen], what: &dyn Fn(&Seen) -> String| {
        let each = wrong
            .iter()
            .map(|it| format!("`{}` {}", it.path.display(), what(it)));
        each.collect::<Vec<_>>().join(", ")
    };
    if !open.is_empty() {
        let found = told(&open, &|it| {
            format!("is open to others (mode {:04o})", it.mode)
        });
        return Finding::error(found)
            .because(why)
            .mended_by(format!("`chmod 600 {}`", names(&open)));
    }
    if !foreign.is_empty() {
        let found = told(&foreign, &|it| format!("belongs to user {}", it.owner));
        return Finding::error(found)
            .because("its owner can change it, and this user may not be able to read it")
            .mended_by(format!("`chown {user} {}`", names(&foreign)));
    }
    match all.len() {
        0 => Finding::ok("none yet"),
        some => Finding::ok(format!("{}, each its owner's alone", count(some, "file"))),
    }
}

/// The environments that can be read; so many broken ones are told one by one.
pub(super) fn environments(names: &[EnvName], broken: usize) -> Finding {
    let all: Vec<&str> = names.iter().map(EnvName::as_str).collect();
    match (all.as_slice(), broken) {
        ([], 0) => Finding::ok("none yet; `lockgate up` makes one"),
        ([], _) => Finding::skipped("none that can be read"),
        (all, _) => Finding::ok(all.join(", ")),
    }
}

/// An environment whose file says nothing.
pub(super) fn broken(error: &CommandError) -> Finding {
    Finding::of(State::Error, error)
        .because("no command works on it, and its gateways are not kept")
}

/// What was left half-made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// A `create` that did not come to its end.
    Made(PathBuf),
    /// A `delete` that did not: the environment is marked.
    Marked(EnvName),
    /// A `delete` whose last step failed: a folder without its file.
    Folder(EnvName, PathBuf),
}

/// What an interrupted command has left.
pub(super) fn left(left: &Left) -> Finding {
    match left {
        Left::Made(path) => Finding::warning(format!(
            "`{}` is of a `create` that is under way or was interrupted",
            path.display()
        ))
        .mended_by("the next `lockgate create` takes it away"),
        Left::Marked(env) => {
            Finding::warning(format!("`{env}` is being deleted, and is still there"))
                .because("it keeps its name and its ports")
                .mended_by(format!(
                    "`lockgate delete {env} --yes` takes the rest of it"
                ))
        }
        Left::Folder(env, path) => Finding::warning(format!(
            "`{}` has no `env.toml`: a `delete` was interrupted",
            path.display()
        ))
        .because("it keeps its name")
        .mended_by(format!(
            "`lockgate delete {env} --yes` takes the rest of it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::check;
    use super::*;

    fn seen(mode: u32, owner: u32) -> Seen {
        Seen {
            path: "/h/key".into(),
            mode,
            owner,
        }
    }

    #[test]
    fn a_home_is_its_owner_s_alone() {
        let of = |seen: Option<Seen>| folder(Path::new("/h"), seen.as_ref(), 1000);
        let chmod = Some("`chmod 700 /h`");
        for (found, state, part, remedy) in [
            (None, State::Ok, "made when", None),
            (Some(seen(0o700, 1000)), State::Ok, "mode 700", None),
            (
                Some(seen(0o750, 1000)),
                State::Warning,
                "mode is 750",
                chmod,
            ),
            (Some(seen(0o777, 1000)), State::Error, "mode is 777", chmod),
            (
                Some(seen(0o700, 0)),
                State::Error,
                "belongs to user 0",
                Some("LOCKGATE_HOME"),
            ),
        ] {
            check(&of(found), state, part, remedy);
        }
    }

    #[test]
    fn a_secret_that_others_read_is_named_with_the_command_that_closes_it() {
        let of = |all: &[Seen]| secrets(Some(all), 1000);
        check(&secrets(None, 1000), State::Skipped, "not known", None);
        check(&of(&[]), State::Ok, "none yet", None);
        check(
            &of(&[seen(0o600, 1000), seen(0o400, 1000)]),
            State::Ok,
            "2 files",
            None,
        );
        check(
            &of(&[seen(0o600, 1000), seen(0o644, 1000)]),
            State::Error,
            "`/h/key` is open to others (mode 0644)",
            Some("`chmod 600 /h/key`"),
        );
        check(
            &of(&[seen(0o600, 7)]),
            State::Error,
            "belongs to user 7",
            Some("`chown 1000 /h/key`"),
        );
    }

    #[test]
    fn what_is_left_half_made_is_told_with_what_takes_it_away() {
        let env = || EnvName::parse("dev").unwrap();
        for (one, found, remedy) in [
            (
                Left::Made("/e/.new-1".into()),
                "`/e/.new-1`",
                "`lockgate create`",
            ),
            (
                Left::Marked(env()),
                "is being deleted",
                "`lockgate delete dev --yes`",
            ),
            (
                Left::Folder(env(), "/e/dev".into()),
                "no `env.toml`",
                "`lockgate delete dev --yes`",
            ),
        ] {
            check(&left(&one), State::Warning, found, Some(remedy));
        }
        check(&environments(&[], 0), State::Ok, "none yet", None);
        check(&environments(&[], 1), State::Skipped, "can be read", None);
        check(
            &environments(&[env(), env()], 1),
            State::Ok,
            "dev, dev",
            None,
        );
        let malformed =
            CommandError::failed("`e` is not an environment's file").hint("correct `e`");
        check(
            &broken(&malformed),
            State::Error,
            "not an environment's file",
            Some("correct"),
        );
    }
}
