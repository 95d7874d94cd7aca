//! The gateways of all environments as the server sees and keeps them: what env.toml wants, what the
//! runtime runs, what the agents report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockgate_builds::serve::{Notice, Received, Reports};
use lockgate_model::{EnvName, GatewayName, Report};
use tokio::sync::watch;
use tokio::time::timeout;

use super::ServerDescription;
use super::control::{GatewayView, GatewaysView};
use crate::environment::{Environment, EnvironmentError, Gateway, RuntimeKind};
use crate::home::Home;
use crate::runtime::{GatewaySpec, Observed, Runtime};

/// All gateways of a home.
#[derive(Debug)]
pub(super) struct Gateways {
    home: Home,
    runtime: Runtime,
    reports: Reports,
    notice: Notice,
    /// The build server as agents of the local runtime reach it.
    server: String,
    /// Where versions begin, so that those of an earlier server differ.
    first_version: u64,
    /// Counts changes of env.toml.
    changed: watch::Sender<u64>,
    /// One change of an environment at a time.
    turns: Mutex<BTreeMap<EnvName, Arc<tokio::sync::Mutex<()>>>>,
}

impl Gateways {
    pub(super) fn new(
        home: Home,
        runtime: Runtime,
        reports: Reports,
        notice: Notice,
        server: &ServerDescription,
    ) -> Self {
        let address = server.listeners.first();
        Self {
            home,
            runtime,
            reports,
            notice,
            server: address.map_or_else(String::new, |address| format!("http://{address}")),
            first_version: server.started_at,
            changed: watch::Sender::new(0),
            turns: Mutex::default(),
        }
    }

    /// Tells waiting agents that there may be something new for them, then makes the environment run
    /// what its file wants; returns when the gateways not wanted have ended.
    pub(super) async fn changed(&self, env: &EnvName) {
        self.notice.ring();
        self.reconcile(env).await;
    }

    /// Makes an environment run what its file wants. A file that cannot be read changes nothing.
    pub(super) async fn reconcile(&self, env: &EnvName) {
        let turn = Arc::clone(
            self.turns
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(env.clone())
                .or_default(),
        );
        let _mine = turn.lock().await;
        let environment = match Environment::load(&self.home, env) {
            Ok(environment) => Some(environment),
            Err(EnvironmentError::Unknown { .. }) => None,
            Err(error) => {
                tracing::error!(%env, %error, "environment stays as it is");
                return;
            }
        };
        let wanted = environment.as_ref().map_or_else(Vec::new, wanted);
        let specs = wanted
            .iter()
            .filter_map(|(environment, gateway)| self.spec(environment, gateway))
            .collect();
        self.runtime.reconcile(env, specs).await;
        self.forget_unwanted(env, environment.as_ref());
        self.changed.send_modify(|count| *count += 1);
    }

    fn spec(&self, environment: &Environment, gateway: &Gateway) -> Option<GatewaySpec> {
        GatewaySpec::local(&self.home, environment, gateway, &self.server)
            .inspect_err(|error| {
                let gateway = environment.gateway_name(gateway);
                tracing::error!(%gateway, %error, runtime = self.runtime.name(), "gateway cannot be started");
            })
            .ok()
    }

    /// An account of a gateway that is not wanted any more would be taken for its present.
    fn forget_unwanted(&self, env: &EnvName, environment: Option<&Environment>) {
        let wanted: Vec<GatewayName> = environment
            .filter(|environment| !environment.deleting)
            .into_iter()
            .flat_map(|environment| {
                let enabled = environment.gateways.iter().filter(|one| one.enabled);
                enabled.map(|one| environment.gateway_name(one))
            })
            .collect();
        for Received { report, .. } in self.reports.all() {
            if report.env == *env && !wanted.contains(&report.gateway) {
                self.reports.forget(&report.gateway);
            }
        }
    }

    /// Ends all gateways.
    pub(super) async fn end_all(&self) {
        self.runtime.end_all().await;
    }

    /// The gateways of an environment: at once when the version is not `after`, else when it changes
    /// or `wait` is over.
    pub(super) async fn view(
        &self,
        env: &EnvName,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<GatewaysView, EnvironmentError> {
        let mut seen = Seen {
            reports: self.reports.version(),
            runtime: self.runtime.changes(),
            files: self.changed.subscribe(),
        };
        // Runs out quietly: the answer then has the version that was asked with.
        let _ = timeout(wait, seen.differs(self.first_version, after)).await;
        // The version is read before the content, so that no change between them is missed.
        let version = seen.version(self.first_version);
        let environment = Environment::load(&self.home, env)?;
        let received = self.reports.all();
        let view = |gateway| self.view_one(&environment, gateway, &received);
        Ok(GatewaysView {
            version,
            gateways: environment.gateways.iter().map(view).collect(),
        })
    }

    fn view_one(
        &self,
        environment: &Environment,
        gateway: &Gateway,
        received: &[Received],
    ) -> GatewayView {
        let name = environment.gateway_name(gateway);
        let report = received.iter().find(|one| one.report.gateway == name);
        let report = report.map(|one| one.report.clone());
        let (pid, problem, report) = present(self.runtime.observe(&name), report);
        GatewayView {
            http_port: gateway.http_port,
            vpn_port: gateway.vpn_port,
            enabled: gateway.enabled,
            agent_pid: pid,
            agent_problem: problem,
            last_contact: self.reports.last_contact(&name),
            report,
            name,
        }
    }
}

/// What is true now of an agent's process, its problem and its own account. Where the runtime knows the
/// process, the account of another one is past; and an agent that reports speaks for itself, so what
/// ended the one before it is past.
fn present(
    observed: Option<Observed>,
    report: Option<Report>,
) -> (Option<u32>, Option<String>, Option<Report>) {
    let Some(Observed { pid, problem }) = observed else {
        return (None, None, report);
    };
    let report = report.filter(|report| Some(report.agent_pid) == pid);
    let problem = problem.filter(|_| report.is_none());
    (pid, problem, report)
}

/// The gateways that shall run in this server's runtime.
fn wanted(environment: &Environment) -> Vec<(&Environment, &Gateway)> {
    let here = environment.runtime == RuntimeKind::Local && !environment.deleting;
    let enabled = environment.gateways.iter().filter(|one| one.enabled);
    enabled
        .filter(|_| here)
        .map(|gateway| (environment, gateway))
        .collect()
}

/// Everything a view is made of. Each counter only grows, so their sum differs when one of them does.
struct Seen {
    reports: watch::Receiver<u64>,
    runtime: watch::Receiver<u64>,
    files: watch::Receiver<u64>,
}

impl Seen {
    fn version(&mut self, first: u64) -> u64 {
        first
            + *self.reports.borrow_and_update()
            + *self.runtime.borrow_and_update()
            + *self.files.borrow_and_update()
    }

    /// Waits until the version is not `after`.
    async fn differs(&mut self, first: u64, after: Option<u64>) {
        while Some(self.version(first)) == after {
            // A sender that is gone changes nothing any more; all of them live as long as the server.
            let _ = tokio::select! {
                changed = self.reports.changed() => changed,
                changed = self.runtime.changed() => changed,
                changed = self.files.changed() => changed,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::{Phase, Timings};

    use super::*;

    fn report(agent_pid: u32) -> Report {
        let env = EnvName::parse("dev-001").unwrap();
        Report {
            on_trial: false,
            change: None,
            gateway: GatewayName::new(&env, 0),
            env,
            agent_version: "0.1.0".into(),
            agent_pid,
            seq: 0,
            settled: 0,
            desired_build: None,
            phase: Phase::Ready,
            running: None,
            restarts: 0,
            refused: None,
            problem: None,
            server: None,
            timings: Timings::default(),
        }
    }

    #[test]
    fn only_the_running_agents_account_counts() {
        let check = |observed: Option<(Option<u32>, Option<&str>)>, reported, expected| {
            let observed = observed.map(|(pid, problem)| Observed {
                pid,
                problem: problem.map(String::from),
            });
            let (pid, problem, report) = present(observed, reported);
            let agent = report.map(|report| report.agent_pid);
            assert_eq!((pid, problem.as_deref(), agent), expected);
        };
        // A runtime that does not know the process takes the agent's word.
        check(None, Some(report(1)), (None, None, Some(1)));
        check(Some((Some(7), None)), None, (Some(7), None, None));
        check(
            Some((Some(7), None)),
            Some(report(7)),
            (Some(7), None, Some(7)),
        );
        check(
            Some((Some(8), None)),
            Some(report(7)),
            (Some(8), None, None),
        );
        check(
            Some((None, Some("ended"))),
            Some(report(7)),
            (None, Some("ended"), None),
        );
        check(
            Some((Some(8), Some("ended"))),
            Some(report(7)),
            (Some(8), Some("ended"), None),
        );
        check(
            Some((Some(8), Some("ended"))),
            Some(report(8)),
            (Some(8), None, Some(8)),
        );
    }
}
