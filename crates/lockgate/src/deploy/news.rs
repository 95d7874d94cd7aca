//! What becomes of gateways and services between deploys: told while `up` and `deploy --watch` wait.
//!
//! A build may crash long after it was ready, and the one who watches a terminal should not
//! have to ask for it.

use std::convert::Infallible;
use std::time::Duration;

use lockgate_model::{EnvName, Phase, Report};

use super::events::{Event, News as Told};
use super::services;
use crate::context::Context;
use crate::server::control::{ControlClient, GatewayView, GatewaysView};
use crate::views::progress::Progress;

/// How long one question to the server waits for something new.
const WAIT: Duration = Duration::from_secs(30);
/// How long to let a server be that does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells what becomes of gateways.
#[derive(Debug)]
pub(crate) struct News {
    /// How they stood when somebody was told of it last.
    known: Option<GatewaysView>,
    /// Whether the server does not answer.
    gone: bool,
    /// The refusals whose last lines were shown; other gateways wrote the same.
    shown: Vec<String>,
}

impl News {
    /// From what a deploy has shown on; from now on, where there was none.
    pub(crate) fn since(known: Option<GatewaysView>) -> Self {
        Self {
            known,
            gone: false,
            shown: Vec::new(),
        }
    }

    /// Tells until nobody waits for it any more; then it can be asked again.
    pub(crate) async fn tell(
        &mut self,
        ctx: &Context,
        control: &ControlClient,
        env: &EnvName,
    ) -> Infallible {
        let mut progress = Progress::new(ctx.screen);
        loop {
            let after = self.known.as_ref().map(|view| view.version);
            match control.gateways(env, after, WAIT).await {
                Ok(view) => {
                    if self.gone {
                        ctx.screen.say("the server is back");
                    }
                    let before = self.known.as_ref().unwrap_or(&view);
                    for mut news in news(before, &view) {
                        if self.shown.contains(&news.message) && !ctx.screen.is_json() {
                            news.log.clear();
                        } else if !news.log.is_empty() {
                            self.shown.push(news.message.clone());
                        }
                        progress.tell(&Event::News(news));
                    }
                    for news in services::news(before, &view) {
                        progress.tell(&Event::ServiceNews(news));
                    }
                    (self.known, self.gone) = (Some(view), false);
                }
                Err(error) => {
                    if !self.gone && error.is_unreachable() {
                        progress.tell(&Event::warning(
                            "the server is away; `lockgate serve --detach` starts it",
                        ));
                    }
                    self.gone = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// What differs, gateway by gateway, as far as a reader has to know.
fn news(before: &GatewaysView, now: &GatewaysView) -> Vec<Told> {
    let one = |now: &GatewayView| {
        let before = before.gateways.iter().find(|it| it.name == now.name)?;
        difference(before, now)
    };
    now.gateways.iter().filter_map(one).collect()
}

fn difference(before: &GatewayView, now: &GatewayView) -> Option<Told> {
    let told = |good, message| Told {
        gateway: now.name.clone(),
        good,
        message,
        log: Vec::new(),
    };
    if let Some(problem) = &now.agent_problem
        && before.agent_problem.is_none()
    {
        return Some(told(false, problem.clone()));
    }
    let (before, now) = (before.report.as_ref()?, now.report.as_ref()?);
    if let Some(refused) = &now.refused
        && before.refused.as_ref().map(|it| (&it.build, it.seq))
            != Some((&refused.build, refused.seq))
    {
        let (build, reason) = (&refused.build, &refused.reason);
        return Some(Told {
            log: refused.log.clone(),
            ..told(false, format!("refused {build} because it {reason}"))
        });
    }
    if now.phase == Phase::Backoff && before.phase != Phase::Backoff {
        let why = now.problem.as_deref().unwrap_or("ended");
        return Some(told(false, format!("{why}; it is started again")));
    }
    let back = ready(now)? != ready(before).unwrap_or_default() && now.restarts > 0;
    let again = |report: &Report| matches!(report.phase, Phase::Backoff | Phase::Starting);
    (back && again(before)).then(|| {
        let runs = now.running.as_ref().map(|running| &running.build);
        let runs = runs.map_or(String::new(), |build| format!(" with {build}"));
        told(true, format!("ready again{runs}"))
    })
}

/// The process that answers, if one does.
fn ready(report: &Report) -> Option<u32> {
    let running = report.running.as_ref()?;
    (report.phase == Phase::Ready).then_some(running.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, GatewayName, Refusal, Running};

    fn build(digit: char) -> BuildId {
        BuildId::parse(&digit.to_string().repeat(12)).unwrap()
    }

    fn report(phase: Phase, runs: Option<(char, u32)>) -> Report {
        let name = GatewayName::parse("gw-pool-dev-001-0").unwrap();
        Report {
            seq: 1,
            settled: 1,
            phase,
            running: runs.map(|(digit, pid)| Running {
                build: build(digit),
                pid,
                since: 0,
            }),
            restarts: 1,
            problem: Some("exited with code 1".to_owned()),
            ..Report::of_new_agent(name, "0.1.0", 1)
        }
    }

    fn view(report: Report) -> GatewaysView {
        let gateway = GatewayView {
            name: report.gateway.clone(),
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: Some(1),
            agent_problem: None,
            agent_stuck: false,
            container: None,
            reach: crate::runtime::Reach::default(),
            last_contact: None,
            report: Some(report),
        };
        GatewaysView {
            services: Vec::new(),
            version: 1,
            gateways: vec![gateway],
        }
    }

    fn check(before: Report, now: Report, expected: Option<&str>) {
        let told = news(&view(before), &view(now));
        let told: Vec<_> = told.iter().map(|news| news.message.as_str()).collect();
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_crash_and_the_way_back_are_told_once() {
        let up = || report(Phase::Ready, Some(('a', 7)));
        let down = || report(Phase::Backoff, None);
        let starting = || report(Phase::Starting, Some(('a', 8)));
        let crashed = "exited with code 1; it is started again";
        check(up(), up(), None);
        check(up(), down(), Some(crashed));
        check(down(), down(), None);
        check(down(), starting(), None);
        let back = report(Phase::Ready, Some(('a', 8)));
        check(starting(), back, Some("ready again with aaaaaaaaaaaa"));
    }

    #[test]
    fn a_build_that_is_refused_later_is_told() {
        let refused = |seq| Report {
            refused: Some(Refusal {
                unavailable_ms: None,
                build: build('b'),
                seq,
                reason: "exited with code 1, 3 times".to_owned(),
                log: vec!["Error: no such table".to_owned()],
            }),
            ..report(Phase::Starting, Some(('a', 9)))
        };
        let told = "refused bbbbbbbbbbbb because it exited with code 1, 3 times";
        check(report(Phase::Ready, Some(('b', 8))), refused(2), Some(told));
        check(refused(2), refused(2), None);
        check(refused(2), refused(3), Some(told));
        let before = view(report(Phase::Ready, Some(('b', 8))));
        let news = news(&before, &view(refused(2)));
        assert_eq!(news[0].log, ["Error: no such table"]);
    }
}
