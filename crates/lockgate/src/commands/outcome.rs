//! What a deploy comes to: printed, and an error where a gateway does not run the build.

use crate::deploy::events::{GatewayOutcome, Outcome, Verdict};
use crate::error::CommandError;
use crate::views::progress::Progress;
use crate::views::text;

/// Prints the result, and makes an error of gateways that do not run the build.
pub(crate) fn show(progress: Progress, outcome: &Outcome) -> Result<(), CommandError> {
    let screen = progress.screen();
    progress.finish(outcome)?;
    match error(outcome) {
        None => Ok(()),
        // Nothing failed: those that were told run it, and what becomes of them is theirs.
        Some(_) if outcome.ok => {
            screen.say(&format!("\n{}", left_on_trial(outcome)));
            Err(CommandError::said_interrupted())
        }
        Some(error) => Err(error.in_result()),
    }
}

/// What is told who ends the command while the build is on trial.
fn left_on_trial(outcome: &Outcome) -> String {
    let (env, build) = (&outcome.env, &outcome.build);
    let all = text::count(outcome.gateways.len(), "gateway");
    format!(
        "interrupted: build {build} runs on {all} and is on trial; an agent whose trial fails \
         goes back by itself, `lockgate status {env}` tells"
    )
}

/// The error that an outcome is, if it is one.
fn error(outcome: &Outcome) -> Option<CommandError> {
    if outcome.ok && !outcome.interrupted {
        return None;
    }
    let env = &outcome.env;
    let untouched = with(outcome, |verdict| *verdict == Verdict::Untouched);
    let error = if outcome.interrupted {
        let have = with(outcome, Verdict::is_good).len();
        CommandError::interrupted(format!(
            "interrupted: {have} of {} run build `{}`",
            text::count(outcome.gateways.len(), "gateway"),
            outcome.build
        ))
        .hint(format!(
            "what was published stays, and gateways go on by themselves; `lockgate status {env}` shows how far they are"
        ))
    } else {
        failed(outcome)
    };
    if untouched.is_empty() {
        return Some(error);
    }
    let names: Vec<String> = untouched
        .iter()
        .map(|one| format!("`{}`", one.gateway))
        .collect();
    let told = format!("{} left untouched", were(&names));
    let mut ways = Vec::new();
    // A build that was refused would be refused again.
    if with(outcome, is_refused).is_empty() {
        ways.push(format!("`lockgate deploy {env}` goes on from here"));
    }
    if !with(outcome, Verdict::is_good).is_empty() {
        ways.push(format!("`lockgate rollback {env}` takes the build back"));
    }
    Some(error.hint(if ways.is_empty() {
        told
    } else {
        format!("{told}; {}", ways.join(", "))
    }))
}

fn were(names: &[String]) -> String {
    let verb = if names.len() == 1 { "was" } else { "were" };
    format!("{} {verb}", names.join(", "))
}

fn with(outcome: &Outcome, fits: impl Fn(&Verdict) -> bool) -> Vec<&GatewayOutcome> {
    let all = outcome.gateways.iter();
    all.filter(|gateway| fits(&gateway.verdict)).collect()
}

fn failed(outcome: &Outcome) -> CommandError {
    let (env, build) = (&outcome.env, &outcome.build);
    let told = with(outcome, |verdict| *verdict != Verdict::Untouched).len();
    let bad = with(outcome, |verdict| {
        !verdict.is_good() && *verdict != Verdict::Untouched
    });
    let on_trial = |one: &&GatewayOutcome| one.verdict == Verdict::OnTrial;
    if !bad.is_empty() && bad.iter().all(on_trial) {
        return CommandError::failed(format!(
            "build `{build}` is still on trial on {}",
            text::count(bad.len(), "gateway")
        ))
        .hint(
            "time was up: `--timeout` covers the trial, too; `--wait ready` does not wait for it",
        );
    }
    let what = if bad.iter().any(|one| settings_only(&one.verdict)) {
        format!("build `{build}` with its new settings")
    } else {
        format!("build `{build}`")
    };
    let message = match bad.as_slice() {
        [only] => format!("gateway `{}` does not run {what}", only.gateway),
        all if all.len() == told => format!("none of {told} gateways runs {what}"),
        some => format!("{} of {told} gateways do not run {what}", some.len()),
    };
    let more = if bad.iter().any(|one| is_refused(&one.verdict)) {
        format!(
            "`lockgate logs {env} --crash` and `lockgate status {env}` show more; fix the build and deploy again"
        )
    } else if bad.iter().any(|one| is_stuck(&one.verdict)) {
        format!(
            "what cannot start catches up by itself once that is mended; `lockgate status {env}` shows more"
        )
    } else {
        format!("gateways catch up by themselves; `lockgate status {env}` shows how far they are")
    };
    CommandError::failed(message).hint(more)
}

fn is_refused(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Kept { .. })
}

/// Whether its agent cannot start until somebody does something about it.
fn is_stuck(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::NotDone { stuck: true, .. })
}

/// Whether the gateway runs the build, but as it was started before.
fn settings_only(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Kept {
            settings_only: true,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::strategy::DeployStrategy;
    use crate::views::paint::Paint;
    use lockgate_model::{BuildId, EnvName, GatewayName, Timings};

    fn outcome(interrupted: bool, verdicts: &[Verdict]) -> Outcome {
        let env = EnvName::parse("dev-001").unwrap();
        let gateway = |(number, verdict): (u32, &Verdict)| GatewayOutcome {
            gateway: GatewayName::new(&env, number),
            http_port: 7100,
            running_build: None,
            verdict: verdict.clone(),
            ready_ms: None,
            good: false,
            took_ms: 0,
            change: None,
            timings: Timings::default(),
        };
        let gateways: Vec<_> = (0..).zip(verdicts).map(gateway).collect();
        Outcome {
            ok: gateways.iter().all(|one| one.verdict.is_good()),
            interrupted,
            build: BuildId::parse(&"b".repeat(12)).unwrap(),
            seq: 1,
            strategy: DeployStrategy::Rolling,
            took_ms: 0,
            gateways,
            pinned: Vec::new(),
            seen: None,
            env,
        }
    }

    fn kept() -> Verdict {
        Verdict::Kept {
            runs: None,
            settings_only: false,
            reason: "threw".to_owned(),
            unavailable_ms: None,
            log: Vec::new(),
        }
    }

    fn check(interrupted: bool, verdicts: &[Verdict], code: u8, expected: &[&str]) {
        let error = error(&outcome(interrupted, verdicts)).unwrap();
        let text = error.render(Paint::new(false));
        assert_eq!(error.exit_code(), code, "{text}");
        for part in expected {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }

    #[test]
    fn who_does_not_run_the_build_is_told() {
        use Verdict::{OnTrial, Runs, Stopped, Untouched};
        assert!(error(&outcome(false, &[Runs, Stopped])).is_none());
        check(
            false,
            &[kept(), Runs],
            1,
            &["gateway `gw-pool-dev-001-0` does not run build `bbbbbbbbbbbb`"],
        );
        check(false, &[kept(), kept()], 1, &["none of 2 gateways runs"]);
        check(
            false,
            &[kept(), kept(), Runs],
            1,
            &["2 of 3 gateways do not run"],
        );
        let on_trial = "is still on trial on 2 gateways";
        check(
            false,
            &[OnTrial, Runs, OnTrial],
            1,
            &[on_trial, "--wait ready"],
        );
        check(
            false,
            &[kept(), Untouched, Untouched],
            1,
            &[
                "gateway `gw-pool-dev-001-0` does not run",
                "`gw-pool-dev-001-1`, `gw-pool-dev-001-2` were left untouched\n",
            ],
        );
        let stuck = || Verdict::NotDone {
            phase: None,
            problem: Some("no image".to_owned()),
            stuck: true,
        };
        check(
            false,
            &[Runs, stuck(), Runs],
            1,
            &[
                "gateway `gw-pool-dev-001-1` does not run",
                "what cannot start catches up by itself once that is mended",
            ],
        );
        check(
            false,
            &[Runs, kept(), Untouched],
            1,
            &[
                "gateway `gw-pool-dev-001-1` does not run",
                "`gw-pool-dev-001-2` was left untouched; `lockgate rollback dev-001` takes the build back\n",
            ],
        );
    }

    #[test]
    fn an_interruption_has_an_exit_code_of_its_own() {
        use Verdict::{Runs, Untouched};
        check(true, &[Runs], 130, &[]);
        check(
            true,
            &[Runs, Untouched],
            130,
            &[
                "interrupted: 1 of 2 gateways run build",
                "was left untouched; `lockgate deploy dev-001` goes on from here, `lockgate rollback",
            ],
        );
        let told = left_on_trial(&outcome(true, &[Runs, Runs]));
        assert!(
            told.contains("runs on 2 gateways and is on trial"),
            "{told}"
        );
    }
}
