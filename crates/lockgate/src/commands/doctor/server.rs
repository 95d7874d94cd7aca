//! The server of this home, its listeners and its front door.

use std::net::SocketAddr;

use super::check::{Finding, State};
use crate::error::CommandError;
use crate::server::ServerDescription;
use crate::server::front::FrontDescription;
use crate::views::text;

/// What starts a server.
const SERVE: &str = "`lockgate serve --detach`";

/// Whether a server runs.
pub(super) enum Seen<'a> {
    Runs(&'a ServerDescription),
    /// Nobody answers.
    Away(&'a CommandError),
    /// Somebody has the socket and gives no answer that can be used.
    Unclear(&'a CommandError),
}

/// The server; `wanted` where gateways or services shall run.
pub(super) fn server(seen: &Seen<'_>, wanted: bool, own: &str, now_ms: u64) -> Finding {
    match seen {
        Seen::Runs(server) if server.version == own => Finding::ok(format!(
            "process {}, version {own}, started {}",
            server.pid,
            text::ago(server.started_at, now_ms)
        )),
        Seen::Runs(server) => Finding::warning(format!(
            "version {}, and this is {own}",
            server.version
        ))
        .because(
            "gateways of the local runtime have its agent; what this program asks it may not know",
        )
        .mended_by(format!("`lockgate serve stop`, then {SERVE}")),
        Seen::Away(error) if wanted => Finding::of(State::Error, error).because(
            "gateways of the local runtime run in it, and all others get their builds from it",
        ),
        Seen::Away(_) => Finding::ok(format!("none runs; `lockgate up` or {SERVE} starts one")),
        Seen::Unclear(error) => Finding::of(State::Error, error).or_mended_by(format!(
            "`lockgate serve stop`, then {SERVE}; its log is `server.log` in the home"
        )),
    }
}

/// A listener of the build server; `seen` is the status that `/healthz` has.
pub(super) fn listener(address: SocketAddr, seen: &Result<u16, String>) -> Finding {
    let url = format!("http://{address}/healthz");
    let found = match seen {
        Ok(200) => return Finding::ok(format!("{url} answers")),
        Ok(status) => format!("{url} answers {status}"),
        Err(why) => format!("{url} does not answer: {why}"),
    };
    Finding::error(found)
        .because("gateways get their builds there")
        .mended_by(format!("`lockgate serve stop`, then {SERVE}"))
}

/// The build server's port while no server has it; `taken` is what a server would say.
pub(super) fn port(address: SocketAddr, taken: Option<&CommandError>) -> Finding {
    match taken {
        None => Finding::ok(format!("{address} is free")),
        Some(error) => Finding::of(State::Error, error)
            .because("no server starts as long as somebody else has its port"),
    }
}

/// The front door of a server that runs.
pub(super) fn front(front: &FrontDescription) -> Finding {
    if let Some(complaint) = front.complaint() {
        return Finding::warning(complaint)
            .because("names of organizations lead to it")
            .mended_by("`lockgate serve status` shows it; once that is mended, `lockgate serve stop`, then `lockgate serve --detach`");
    }
    let Some(https) = front.https_port else {
        return Finding::ok("it is off");
    };
    let http = front.http_port.map(|port| format!(", http port {port}"));
    Finding::ok(format!("https port {https}{}", http.unwrap_or_default()))
}

/// A port of the front door while no server has it: whether one was asked for by number, and who
/// has those that it may be.
pub(super) fn front_port(name: &str, given: bool, taken: &[Option<String>]) -> Finding {
    let holders: Vec<&str> = taken.iter().flatten().map(String::as_str).collect();
    if holders.len() < taken.len() || taken.is_empty() {
        return Finding::ok(format!("{name} has a free port"));
    }
    let told = Finding::error_if(given, holders.join(", "));
    let variable = format!("LOCKGATE_{}_PORT", name.to_uppercase());
    told.because("names of organizations lead to it")
        .mended_by(format!("end that one, or set {variable} to a free port"))
}

/// nginx, which shall serve the front door; the error is what a server says that does not start.
pub(super) fn nginx(seen: Result<String, &CommandError>) -> Finding {
    match seen {
        Ok(program) => Finding::ok(format!("`{program}`")),
        Err(error) => Finding::of(State::Error, error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::check;
    use super::*;

    fn description(version: &str) -> ServerDescription {
        ServerDescription {
            pid: 7,
            version: version.to_owned(),
            home: "/h".into(),
            builds: "/h/builds".into(),
            listeners: Vec::new(),
            front: FrontDescription::default(),
            started_at: 0,
        }
    }

    #[test]
    fn a_server_runs_where_one_is_wanted_and_is_of_this_version() {
        let of = |seen: &Seen<'_>, wanted| server(seen, wanted, "1.2.3", 60_000);
        let (new, old) = (description("1.2.3"), description("1.2.2"));
        let away =
            CommandError::failed("no server answers at `/s`").hint("`lockgate serve --detach`");
        let unclear = CommandError::failed("the server at `/s` gave no usable answer");
        let detach = Some("`lockgate serve --detach`");
        check(
            &of(&Seen::Runs(&new), true),
            State::Ok,
            "process 7, version 1.2.3, started 1 min ago",
            None,
        );
        check(
            &of(&Seen::Runs(&old), true),
            State::Warning,
            "version 1.2.2, and this is 1.2.3",
            detach,
        );
        check(
            &of(&Seen::Away(&away), true),
            State::Error,
            "no server answers",
            detach,
        );
        check(&of(&Seen::Away(&away), false), State::Ok, "none runs", None);
        check(
            &of(&Seen::Unclear(&unclear), false),
            State::Error,
            "no usable answer",
            detach,
        );
    }

    #[test]
    fn a_listener_answers_and_a_port_is_ours_to_have() {
        let address: SocketAddr = "127.0.0.1:8090".parse().unwrap();
        let stop = Some("`lockgate serve stop`");
        check(
            &listener(address, &Ok(200)),
            State::Ok,
            "http://127.0.0.1:8090/healthz answers",
            None,
        );
        check(
            &listener(address, &Ok(404)),
            State::Error,
            "answers 404",
            stop,
        );
        check(
            &listener(address, &Err("late".to_owned())),
            State::Error,
            "does not answer: late",
            stop,
        );
        check(&port(address, None), State::Ok, "is free", None);
        let taken = CommandError::failed("`127.0.0.1:8090` is taken by process 5").hint("`--port`");
        check(
            &port(address, Some(&taken)),
            State::Error,
            "taken by process 5",
            Some("`--port`"),
        );
    }

    #[test]
    fn a_front_door_has_its_ports_or_is_off() {
        let door = |https_port, problem: Option<&str>| FrontDescription {
            https_port,
            problem: problem.map(str::to_owned),
            ..FrontDescription::default()
        };
        check(
            &front(&door(Some(443), None)),
            State::Ok,
            "https port 443",
            None,
        );
        check(&front(&door(None, None)), State::Ok, "off", None);
        check(
            &front(&door(None, Some("`127.0.0.1:443` is taken"))),
            State::Warning,
            "the front door is not whole: `127.0.0.1:443` is taken",
            Some("`lockgate serve status`"),
        );
        let taken = || Some("`127.0.0.1:443` is taken".to_owned());
        let variable = Some("LOCKGATE_HTTPS_PORT");
        check(
            &front_port("https", false, &[taken(), None]),
            State::Ok,
            "free",
            None,
        );
        check(
            &front_port("https", false, &[taken(), taken()]),
            State::Warning,
            "taken",
            variable,
        );
        check(
            &front_port("https", true, &[taken()]),
            State::Error,
            "taken",
            variable,
        );
        check(&front_port("https", false, &[]), State::Ok, "", None);
    }

    #[test]
    fn nginx_is_there_where_it_shall_serve() {
        let missing = CommandError::failed("no `nginx` is installed here").hint("install it");
        let there = nginx(Ok("/usr/sbin/nginx".to_owned()));
        check(&there, State::Ok, "/usr/sbin/nginx", None);
        check(
            &nginx(Err(&missing)),
            State::Error,
            "no `nginx`",
            Some("install it"),
        );
    }
}
