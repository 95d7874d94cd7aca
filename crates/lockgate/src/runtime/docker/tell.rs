//! What is wrong with a gateway, in one sentence that says what to do.

use lockgate_model::GatewayName;

use super::blueprint::{ENVIRONMENT, HOME};
use super::engine::Listed;
use super::ledger::Failure;
use super::plan::{State, Want};

/// All that is known of one gateway.
pub(super) struct Told<'a> {
    /// Which.
    pub(super) gateway: &'a GatewayName,
    /// What it should be.
    pub(super) want: &'a Want,
    /// What its own container does, and whether that ended because of its configuration.
    pub(super) own: Option<(State, bool)>,
    /// The code it ended with.
    pub(super) exit_code: Option<i64>,
    /// What its agent said last.
    pub(super) words: Option<String>,
    /// The container that has its name and is not of this home.
    pub(super) foreign: Option<&'a Listed>,
    /// What keeps it from being made or reached.
    pub(super) unclear: Option<&'a String>,
    /// The step that failed last.
    pub(super) failed: Option<&'a Failure>,
}

/// The gateway's problem, the one that has to be mended first.
pub(super) fn problem(told: &Told<'_>) -> Option<String> {
    let wanted = *told.want != Want::Stopped;
    if let Some(other) = told.foreign.filter(|_| wanted) {
        return Some(foreign(told.gateway, other));
    }
    if let Some(failed) = told.failed {
        return Some(failed.problem.clone());
    }
    if !wanted {
        return None;
    }
    let ended = match told.own {
        Some((State::Exited | State::Restarting, misconfigured)) => {
            Some(ended(told, misconfigured))
        }
        Some((State::Paused, _)) => Some(format!(
            "its container is paused; `docker unpause {}` lets it go on",
            told.gateway
        )),
        _ => None,
    };
    ended.or_else(|| told.unclear.cloned())
}

/// Whether a gateway that should run does not come up until somebody does something about it. An
/// agent that has ended and is started again may come up, and so may one that runs.
pub(super) fn is_stuck(told: &Told<'_>) -> bool {
    if *told.want == Want::Stopped {
        return false;
    }
    let state = told.own.map(|(state, _)| state);
    let has_ended = matches!(state, Some(State::Exited | State::Restarting));
    let misconfigured = told.own.is_some_and(|(_, misconfigured)| misconfigured);
    let may_come_up = matches!(
        state,
        Some(State::Running | State::Paused | State::Restarting)
    );
    let cannot_be_made =
        *told.want == Want::Unclear || told.failed.is_some_and(|failed| failed.lasts);
    told.foreign.is_some() || (has_ended && misconfigured) || (cannot_be_made && !may_come_up)
}

fn foreign(gateway: &GatewayName, other: &Listed) -> String {
    let id: String = other.id.chars().take(12).collect();
    let whose = match other.labels.get(HOME) {
        Some(home) => format!("belongs to the Lockgate home {home}"),
        None => "was not made by Lockgate".to_owned(),
    };
    let adopt = match other.labels.get(ENVIRONMENT) {
        Some(env) if *env == gateway.env().as_str() => {
            format!(", `lockgate adopt {env}` takes over one of the shell system")
        }
        Some(_) | None => String::new(),
    };
    format!(
        "a container of this name ({id}, image `{}`) {whose} and is left alone; \
         `docker rename {gateway} OTHER` or `docker rm -f {gateway}` makes room{adopt}",
        other.image
    )
}

fn ended(told: &Told<'_>, misconfigured: bool) -> String {
    let words = told.words.as_deref().unwrap_or_default();
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    if misconfigured {
        let (env, number) = (told.gateway.env(), told.gateway.number());
        return format!(
            "its container is stopped, since the agent cannot use its configuration (exit code 78){words}; \
             `lockgate start {env} {number}` tries again"
        );
    }
    match told.exit_code {
        Some(code) => format!("its container ended with exit code {code}{words}"),
        None => format!("its container ended{words}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use lockgate_model::EnvName;

    use super::super::servers::Files;
    use super::*;

    fn failure(lasts: bool) -> Failure {
        Failure {
            problem: "no image".to_owned(),
            lasts,
        }
    }

    #[test]
    fn what_nobody_mends_is_stuck_and_what_is_starting_is_not() {
        let gateway = GatewayName::new(&EnvName::parse("dev").unwrap(), 1);
        let running = Want::Running {
            digest: String::new(),
            files: Files::default(),
        };
        let other = other();
        let (lasting, passing) = (failure(true), failure(false));
        let check = |want: &Want, own, foreign, failed, expected: bool| {
            let told = Told {
                gateway: &gateway,
                want,
                own,
                exit_code: None,
                words: None,
                foreign,
                unclear: None,
                failed,
            };
            assert_eq!(
                is_stuck(&told),
                expected,
                "{want:?} {own:?} {foreign:?} {failed:?}"
            );
        };
        let own = |state| Some((state, false));
        check(&running, None, None, None, false);
        check(&running, None, Some(&other), None, true);
        check(&Want::Stopped, None, Some(&other), None, false);
        // No image, a port that is taken: its container is not there, or was never started.
        check(&running, None, None, Some(&lasting), true);
        check(&running, own(State::Created), None, Some(&lasting), true);
        check(&running, own(State::Exited), None, Some(&lasting), true);
        check(&running, None, None, Some(&passing), false);
        check(&Want::Stopped, None, None, Some(&lasting), false);
        // Something else failed, and its agent runs.
        check(&running, own(State::Running), None, Some(&lasting), false);
        // Exit code 78, and any other one.
        check(&running, Some((State::Exited, true)), None, None, true);
        check(&running, Some((State::Restarting, true)), None, None, true);
        check(&running, Some((State::Running, true)), None, None, false);
        check(&running, own(State::Exited), None, None, false);
        check(&running, own(State::Restarting), None, None, false);
        // Its network is gone.
        check(&Want::Unclear, None, None, None, true);
        check(&Want::Unclear, own(State::Running), None, None, false);
    }

    fn other() -> Listed {
        Listed {
            id: "0123456789abcdef".into(),
            name: "gw-pool-dev-1".into(),
            image: "busybox".into(),
            image_id: None,
            labels: HashMap::new(),
            state: State::Running,
            exit_code: None,
            network_mode: String::new(),
            networks: std::collections::BTreeMap::new(),
        }
    }

    fn check<'a>(
        gateway: &'a GatewayName,
        want: &'a Want,
        change: impl FnOnce(&mut Told<'a>),
        expected: Option<&str>,
    ) {
        let mut told = Told {
            gateway,
            want,
            own: Some((State::Running, false)),
            exit_code: None,
            words: None,
            foreign: None,
            unclear: None,
            failed: None,
        };
        change(&mut told);
        let found = problem(&told);
        match expected {
            Some(expected) => assert!(
                found.as_ref().is_some_and(|it| it.contains(expected)),
                "{found:?}"
            ),
            None => assert_eq!(found, None),
        }
    }

    #[test]
    fn what_keeps_a_gateway_from_running_is_told_with_what_to_do() {
        let other = other();
        let labelled = Listed {
            labels: HashMap::from([(HOME.to_owned(), "other-home".to_owned())]),
            ..other.clone()
        };
        let unclear = "no network".to_owned();
        let failed = failure(true);
        let gateway = GatewayName::new(&EnvName::parse("dev").unwrap(), 1);
        let running = Want::Running {
            digest: String::new(),
            files: Files::default(),
        };
        macro_rules! check {
            ($change:expr, $expected:expr $(,)?) => {
                check(&gateway, &running, $change, $expected)
            };
        }
        check!(|_| {}, None);
        check!(|told| told.unclear = Some(&unclear), Some("no network"));
        check!(
            |told| {
                told.unclear = Some(&unclear);
                told.failed = Some(&failed);
            },
            Some("no image"),
        );
        check!(
            |told| told.foreign = Some(&other),
            Some("(0123456789ab, image `busybox`) was not made by Lockgate"),
        );
        check!(
            |told| told.foreign = Some(&labelled),
            Some("belongs to the Lockgate home other-home"),
        );
        check!(
            |told| {
                told.own = Some((State::Exited, true));
                told.words = Some("error: `DOMAIN` is not set".to_owned());
            },
            Some("(exit code 78): error: `DOMAIN` is not set; `lockgate start dev 1` tries again"),
        );
        check!(
            |told| {
                told.own = Some((State::Restarting, false));
                told.exit_code = Some(137);
            },
            Some("its container ended with exit code 137"),
        );
        check!(
            |told| told.own = Some((State::Paused, false)),
            Some("docker unpause gw-pool-dev-1"),
        );
        check(
            &gateway,
            &Want::Stopped,
            |told| {
                told.own = Some((State::Exited, true));
                told.foreign = Some(&other);
            },
            None,
        );
    }
}
