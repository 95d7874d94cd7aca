//! The container engine: whether it answers, its networks, the gateway image, what a VPN takes.

use std::net::IpAddr;

use super::check::{Finding, State};
use crate::error::CommandError;

/// Why gateways care.
const WHY: &str = "an environment has its gateways in containers";

/// The engine itself; `seen` is what it says of itself. `absent` says that nobody is there at all.
pub(super) fn engine(needed: bool, absent: bool, seen: Result<String, &CommandError>) -> Finding {
    match seen {
        Ok(said) => Finding::ok(said),
        Err(error) if needed => Finding::of(State::Warning, error).because(WHY),
        Err(_) if absent => Finding::ok("none; gateways of the local runtime need none"),
        Err(error) => Finding::of(State::Warning, error),
    }
}

/// The host's address in a network.
pub(super) fn network(network: &str, needed: bool, seen: &Result<IpAddr, CommandError>) -> Finding {
    match seen {
        Ok(address) => Finding::ok(format!("`{network}`, in which this host is {address}")),
        Err(error) if needed => Finding::of(State::Error, error)
            .because("containers find the build server at that address")
            .or_mended_by(format!("`docker network create {network}` makes it; `[docker] network` in lockgate.toml names another")),
        Err(error) => Finding::skipped(error.in_two().0),
    }
}

/// An image that gateways are made from; `missing` is what a command says where it is not there.
pub(super) fn image(image: &str, needed: bool, missing: Option<&CommandError>) -> Finding {
    match missing {
        None => Finding::ok(format!("`{image}`")),
        Some(error) if needed => Finding::of(State::Error, error).because(WHY),
        Some(_) => Finding::skipped(format!(
            "`{image}` is not there; `lockgate image build` makes it, for `create --runtime docker`"
        )),
    }
}

/// What OpenVPN in a container takes of the host. `near` says that the engine is on this machine.
pub(super) fn tun(needed: bool, near: bool, there: bool) -> Finding {
    if !near {
        return Finding::skipped("the engine is on another machine");
    }
    if there {
        return Finding::ok("/dev/net/tun is there");
    }
    let found = "/dev/net/tun is not there";
    if needed {
        Finding::warning(found)
            .because("a gateway that serves an organization has a VPN")
            .mended_by("`modprobe tun`")
    } else {
        Finding::skipped(format!("{found}; only gateways in containers need it"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::check;
    use super::*;

    fn away() -> CommandError {
        CommandError::failed("no engine answers at `unix:///x`").hint("start Docker")
    }

    #[test]
    fn an_engine_that_is_away_matters_where_one_is_needed() {
        let away = away();
        let said = || Ok("unix:///x: Docker 27, API 1.47".to_owned());
        check(&engine(true, false, said()), State::Ok, "Docker 27", None);
        let start = Some("start Docker");
        check(
            &engine(true, false, Err(&away)),
            State::Warning,
            "no engine answers",
            start,
        );
        check(
            &engine(false, false, Err(&away)),
            State::Warning,
            "no engine",
            start,
        );
        check(&engine(false, true, Err(&away)), State::Ok, "none; ", None);
    }

    #[test]
    fn images_and_networks_matter_to_environments_that_use_them() {
        let missing =
            CommandError::failed("no image `a:1`").hint("`lockgate image build --tag a:1`");
        check(&image("a:1", true, None), State::Ok, "`a:1`", None);
        let build = Some("`lockgate image build --tag a:1`");
        check(
            &image("a:1", true, Some(&missing)),
            State::Error,
            "no image `a:1`",
            build,
        );
        check(
            &image("a:1", false, Some(&missing)),
            State::Skipped,
            "not there",
            None,
        );
        let there = Ok([172, 17, 0, 1].into());
        check(
            &network("bridge", true, &there),
            State::Ok,
            "172.17.0.1",
            None,
        );
        let gone = Err(CommandError::failed("did not show the network `own`"));
        let make = Some("`docker network create own`");
        check(
            &network("own", true, &gone),
            State::Error,
            "did not show",
            make,
        );
        check(
            &network("own", false, &gone),
            State::Skipped,
            "did not show",
            None,
        );
    }

    #[test]
    fn a_vpn_takes_a_device_of_the_engine_s_machine() {
        for (needed, near, there, state, remedy) in [
            (true, true, true, State::Ok, None),
            (true, true, false, State::Warning, Some("`modprobe tun`")),
            (false, true, false, State::Skipped, None),
            (true, false, false, State::Skipped, None),
        ] {
            check(&tun(needed, near, there), state, "", remedy);
        }
    }
}
