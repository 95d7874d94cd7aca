//! This machine: the two programs, Node, room, limits, the folder of sockets.

use std::io;
use std::path::{Path, PathBuf};

use super::check::{Finding, State};
use crate::error::CommandError;
use crate::home::HomeError;
use crate::image::failure::{check_version, no_agent};
use crate::views::text;

/// The oldest Node that the gate is tried with.
const OLDEST_NODE: (u32, u32) = (20, 0);
/// The oldest Node with a compile cache.
const CACHING_NODE: (u32, u32) = (22, 1);
/// Less free than this is worth a word, in bytes: a few dozen builds.
const LITTLE_ROOM: u64 = 1_000_000_000;
/// With less than this the next build may not fit, in bytes: an archive in two forms, and a log.
const NO_ROOM: u64 = 100_000_000;
/// What kernels gave each user before they went by memory.
const FEW_WATCHES: u64 = 8192;
const FEW_INSTANCES: u64 = 128;
/// What most systems give a process; a front door holds one for each connection.
const FEW_FILES: u64 = 1024;

/// The agent as it was found.
#[derive(Debug)]
pub(super) enum Agent {
    /// Its file cannot be read.
    Missing(io::Error),
    /// It cannot be started, or does not say what it is.
    Silent(String),
    /// What it says of itself.
    Said(Vec<String>),
}

/// The agent beside this program.
pub(super) fn agent(path: &Path, seen: &Agent, own: &str) -> Finding {
    let why = "the server starts it as each local gateway, and `lockgate image build` puts it into the image";
    let wrong = |error: &CommandError| Finding::of(State::Error, error).because(why);
    match seen {
        Agent::Missing(error) => wrong(&no_agent(path, error)),
        Agent::Silent(cause) => {
            let what = format!("the agent `{}` does not say what it is", path.display());
            let error = CommandError::failed(what).because_of(cause.clone());
            wrong(&error.hint("both come out of one build: `just build`"))
        }
        Agent::Said(lines) => match check_version(path, lines, own) {
            Ok(()) => Finding::ok(format!("{own}, `{}`", path.display())),
            Err(error) => wrong(&error),
        },
    }
}

/// Node as it was found on `PATH`.
#[derive(Debug)]
pub(super) enum Node {
    Missing,
    /// It does not say its version: why.
    Silent(PathBuf, String),
    Said(PathBuf, String),
}

/// Who needs Node on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Gateways run in it.
    Gateways,
    /// Nobody yet; gateways will, unless they are containers.
    Perhaps,
    /// All gateways are containers, which have their own.
    Nobody,
}

/// Node on `PATH`.
pub(super) fn node(need: Need, seen: &Node) -> Finding {
    let needed = need == Need::Gateways;
    let install = "install Node 20, 22 or 24; from 22.1 on it has a compile cache";
    let why = "gateways of the local runtime start the application in it";
    let wrong = |what: String| {
        if need == Need::Nobody {
            return Finding::skipped(format!("{what}; gateways in containers have their own"));
        }
        Finding::error_if(needed, what)
            .because(why)
            .mended_by(install)
    };
    match seen {
        Node::Missing => wrong("there is no `node` on PATH".to_owned()),
        Node::Silent(path, cause) => wrong(format!(
            "`{}` does not say its version: {cause}",
            path.display()
        )),
        Node::Said(path, said) => {
            let path = path.display();
            match version(said) {
                None => wrong(format!("`{path}` says `{said}`, which is no version")),
                Some(version) if version < OLDEST_NODE => wrong(format!(
                    "`{path}` is {said}, older than any that the gate is tried with"
                )),
                Some(version) if version < CACHING_NODE => Finding::ok(format!(
                    "{said}, `{path}`; without a compile cache, which 22.1 and later have"
                )),
                Some(_) => Finding::ok(format!("{said}, `{path}`")),
            }
        }
    }
}

/// `v20.20.0`
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix('v')?.split('.').map(|it| it.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Room below a folder; `seen` is what is free, in bytes.
pub(super) fn room(folder: &Path, seen: &Result<u64, String>) -> Finding {
    let folder = folder.display();
    let free = match seen {
        Ok(free) => *free,
        Err(why) => {
            return Finding::warning(format!("free space below `{folder}` is not known: {why}"));
        }
    };
    let found = format!("{} free below `{folder}`", text::size(free));
    if free >= LITTLE_ROOM {
        return Finding::ok(found);
    }
    Finding::error_if(free < NO_ROOM, found)
        .because("the newest 20 builds of each environment are kept, and gateways keep releases and logs")
        .mended_by("make room there, or name another folder: LOCKGATE_HOME, or LOCKGATE_BUILDS for builds alone")
}

/// How much a user may watch, where the kernel says.
pub(super) fn watches(most: Option<u64>, instances: Option<u64>) -> Finding {
    let (Some(most), Some(instances)) = (most, instances) else {
        return Finding::skipped("this kernel does not say how much may be watched");
    };
    let found = format!("{most} watches, {instances} watchers for each user");
    if most >= FEW_WATCHES && instances >= FEW_INSTANCES {
        return Finding::ok(found);
    }
    Finding::warning(found)
        .because(
            "where they are used up, `--watch` and `up` look twice a second instead of being told",
        )
        .mended_by(format!(
            "`sysctl -w fs.inotify.max_user_watches={} fs.inotify.max_user_instances={}`",
            most.max(524_288),
            instances.max(512)
        ))
}

/// How many files a process may have open.
pub(super) fn files(seen: &Result<(u64, u64), String>) -> Finding {
    match seen {
        Err(why) => Finding::skipped(format!("the limit is not known: {why}")),
        Ok((soft, _)) if *soft >= FEW_FILES => Finding::ok(format!("at most {soft} for a process")),
        Ok((soft, hard)) => Finding::warning(format!("at most {soft} for a process"))
            .because("the server has one for each connection at its doors")
            .mended_by(if *hard >= FEW_FILES {
                format!("`ulimit -n {hard}` before the server is started")
            } else {
                "raise `nofile` in /etc/security/limits.conf, and log in again".to_owned()
            }),
    }
}

/// The folder of sockets. `seen` is what the home says of it, whether it is there; `writable`
/// whether it, or what it is made in, can be written.
pub(super) fn sockets(folder: &Path, seen: &Result<bool, HomeError>, writable: bool) -> Finding {
    let shown = folder.display();
    let why = "agents and the server are spoken to by sockets in it, which nobody else may reach";
    match seen {
        Ok(_) if !writable => Finding::error(format!("`{shown}` cannot be written"))
            .because(why)
            .mended_by("set XDG_RUNTIME_DIR to a folder of your own"),
        Ok(true) => Finding::ok(format!("`{shown}`")),
        Ok(false) => Finding::ok(format!("`{shown}`, made when it is needed")),
        Err(error) => {
            let told = Finding::error(error.to_string()).because(why);
            match error {
                HomeError::SocketPathTooLong { .. } => {
                    told.mended_by("set XDG_RUNTIME_DIR to a folder with a shorter path")
                }
                HomeError::NotPrivate { owner, user, .. } if owner == user => {
                    told.mended_by(format!("`chmod 700 {shown}`"))
                }
                HomeError::NotPrivate { .. } | HomeError::Unusable { .. } => {
                    told.mended_by("set XDG_RUNTIME_DIR to a folder of your own")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::check;
    use super::*;

    #[test]
    fn an_agent_is_there_and_of_this_program_s_version() {
        let of = |seen| agent(Path::new("/opt/lockgate-agent"), &seen, "1.2.3");
        let said = |line: &str| Agent::Said(vec![line.to_owned()]);
        check(&of(said("lockgate-agent 1.2.3")), State::Ok, "1.2.3", None);
        let missing = Agent::Missing(io::ErrorKind::NotFound.into());
        check(
            &of(missing),
            State::Error,
            "cannot read the agent `/opt/lockgate-agent`: entity not found",
            Some("LOCKGATE_AGENT"),
        );
        let build = Some("`just build`");
        check(
            &of(said("lockgate-agent 1.2.2")),
            State::Error,
            "is version 1.2.2",
            build,
        );
        check(
            &of(said("bash")),
            State::Error,
            "is no `lockgate-agent`",
            build,
        );
        let silent = Agent::Silent("no answer within 5 s".to_owned());
        check(
            &of(silent),
            State::Error,
            "does not say what it is: no answer",
            build,
        );
    }

    #[test]
    fn node_is_needed_by_local_gateways() {
        let said = |text: &str| Node::Said("/bin/node".into(), text.to_owned());
        let install = Some("install Node 20");
        for (need, seen, state, found, remedy) in [
            (
                Need::Gateways,
                said("v24.1.0"),
                State::Ok,
                "v24.1.0, `/bin/node`",
                None,
            ),
            (Need::Nobody, said("v24.1.0"), State::Ok, "v24.1.0", None),
            (
                Need::Gateways,
                said("v22.1.0"),
                State::Ok,
                "v22.1.0, `/bin/node`",
                None,
            ),
            (
                Need::Gateways,
                said("v22.0.0"),
                State::Ok,
                "without a compile cache",
                None,
            ),
            (
                Need::Gateways,
                said("v18.19.0"),
                State::Error,
                "older than any",
                install,
            ),
            (
                Need::Gateways,
                said("weird"),
                State::Error,
                "no version",
                install,
            ),
            (
                Need::Gateways,
                Node::Missing,
                State::Error,
                "no `node` on PATH",
                install,
            ),
            (
                Need::Perhaps,
                Node::Missing,
                State::Warning,
                "no `node` on PATH",
                install,
            ),
            (
                Need::Nobody,
                Node::Missing,
                State::Skipped,
                "have their own",
                None,
            ),
        ] {
            check(&node(need, &seen), state, found, remedy);
        }
    }

    #[test]
    fn little_room_is_told_before_there_is_none() {
        let of = |seen| room(Path::new("/h"), &seen);
        check(
            &of(Ok(LITTLE_ROOM)),
            State::Ok,
            "1.0 GB free below `/h`",
            None,
        );
        let remedy = Some("make room");
        check(
            &of(Ok(LITTLE_ROOM - 1)),
            State::Warning,
            "1000.0 MB free",
            remedy,
        );
        check(&of(Ok(NO_ROOM - 1)), State::Error, "100.0 MB free", remedy);
        check(
            &of(Err("why".to_owned())),
            State::Warning,
            "not known: why",
            None,
        );
    }

    #[test]
    fn limits_are_told_with_the_command_that_raises_them() {
        let sysctl = Some("sysctl -w");
        for (most, instances, state, remedy) in [
            (Some(FEW_WATCHES), Some(FEW_INSTANCES), State::Ok, None),
            (
                Some(FEW_WATCHES - 1),
                Some(FEW_INSTANCES),
                State::Warning,
                sysctl,
            ),
            (
                Some(FEW_WATCHES),
                Some(FEW_INSTANCES - 1),
                State::Warning,
                sysctl,
            ),
            (None, Some(1), State::Skipped, None),
        ] {
            check(&watches(most, instances), state, "", remedy);
        }
        for (seen, state, remedy) in [
            (Ok((1024, 4096)), State::Ok, None),
            (Ok((256, 4096)), State::Warning, Some("`ulimit -n 4096`")),
            (Ok((256, 256)), State::Warning, Some("limits.conf")),
            (Err("no".to_owned()), State::Skipped, None),
        ] {
            check(&files(&seen), state, "", remedy);
        }
    }

    #[test]
    fn sockets_need_a_private_folder_with_a_short_path() {
        let of = |seen, writable| sockets(Path::new("/run/lg"), &seen, writable);
        let not_private = |owner| HomeError::NotPrivate {
            path: "/run/lg".into(),
            owner,
            mode: 0o755,
            user: 1000,
        };
        let long = HomeError::SocketPathTooLong { path: "/s".into() };
        let own = Some("folder of your own");
        check(&of(Ok(true), true), State::Ok, "`/run/lg`", None);
        check(&of(Ok(false), true), State::Ok, "when it is needed", None);
        check(&of(Ok(true), false), State::Error, "cannot be written", own);
        check(
            &of(Err(not_private(1000)), true),
            State::Error,
            "mode 755",
            Some("`chmod 700 /run/lg`"),
        );
        check(&of(Err(not_private(7)), true), State::Error, "user 7", own);
        check(
            &of(Err(long), true),
            State::Error,
            "too long for a socket",
            Some("shorter path"),
        );
    }
}
