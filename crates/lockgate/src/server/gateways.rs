//! The gateways of all environments as the server sees and keeps them: what env.toml wants, what the
//! runtime runs, what the agents report. And their services with them, since both follow one file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockgate_builds::serve::{Notice, Received, Reports};
use lockgate_model::{EnvName, GatewayName, Report};
use tokio::sync::watch;
use tokio::time::timeout;

use super::bridge::Bridges;
use super::control::{GatewayView, GatewaysView};
use super::services::Services;
use crate::environment::{Environment, EnvironmentError, Gateway, RuntimeKind};
use crate::home::Home;
use crate::runtime::{GatewaySpec, Observed, Reach, Runtimes, Wanted};

/// How long the first start in a home may wait for what the front door has to sign: a moment, in
/// which keys are made.
const SIGNED_WITHIN: Duration = Duration::from_secs(2);

/// All gateways of a home.
#[derive(Debug)]
pub(super) struct Gateways {
    home: Home,
    runtimes: Runtimes,
    services: Services,
    reports: Reports,
    notice: Notice,
    /// The build server as agents of the local runtime reach it.
    server: String,
    /// Whether there is a front door.
    front_is_open: bool,
    /// Where versions begin, so that those of an earlier server differ.
    first_version: u64,
    /// Counts changes of env.toml.
    changed: watch::Sender<u64>,
    /// The version that the front door serves.
    served: watch::Sender<u64>,
    /// One change of an environment at a time.
    turns: Mutex<BTreeMap<EnvName, Arc<tokio::sync::Mutex<()>>>>,
}

impl Gateways {
    pub(super) fn new(
        home: Home,
        (runtimes, services): (Runtimes, Services),
        reports: Reports,
        notice: Notice,
        bridges: &Bridges,
    ) -> Self {
        let server = bridges.description();
        let address = server.listeners.first();
        Self {
            home,
            runtimes,
            services,
            reports,
            notice,
            server: address.map_or_else(String::new, |address| format!("http://{address}")),
            front_is_open: server.front.https_port.is_some(),
            first_version: server.started_at,
            changed: watch::Sender::new(0),
            served: watch::Sender::new(0),
            turns: Mutex::default(),
        }
    }

    /// Whose they are.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Tells waiting agents that there may be something new for them, then makes the environment run
    /// what its file wants; returns when the gateways not wanted have ended.
    pub(super) async fn changed(&self, env: &EnvName) {
        self.notice.ring();
        self.reconcile(env).await;
    }

    /// As `changed`, where nothing is started or ended by it: nobody waits for a gateway that ends
    /// at this moment.
    pub(super) fn told(&self) {
        self.notice.ring();
        self.changed.send_modify(|count| *count += 1);
    }

    /// The front door serves what was known at this version.
    pub(super) fn serves(&self, version: u64) {
        self.served.send_replace(version);
    }

    /// Waits until the front door serves what is known now. It ends with the server, not before.
    pub(super) async fn is_served(&self) {
        let now = self.seen().version(self.first_version);
        // Its sender lives as long as this.
        let _ = self.served.subscribe().wait_for(|it| *it >= now).await;
    }

    /// As `changed`, and gateways that were given up are tried again: one, or all.
    pub(super) async fn start(&self, env: &EnvName, number: Option<u32>) {
        self.changed(env).await;
        if let Ok(environment) = Environment::load(&self.home, env) {
            let gateways = environment.gateways.iter();
            let meant = gateways.filter(|one| number.is_none_or(|number| number == one.number));
            let names = meant.map(|one| environment.gateway_name(one));
            self.runtimes.of(environment.runtime).try_again(names);
        }
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
        if environment.as_ref().is_some_and(|it| !it.deleting) {
            self.trust_is_known().await;
        }
        let gateways = async {
            for (kind, runtime) in self.runtimes.each() {
                let wanted = environment
                    .as_ref()
                    .filter(|environment| environment.runtime == kind && !environment.deleting)
                    .map_or_else(Vec::new, |environment| self.wanted(environment));
                runtime.reconcile(env, wanted).await;
            }
        };
        tokio::join!(gateways, self.services.reconcile(env, environment.as_ref()));
        self.forget_unwanted(env, environment.as_ref());
        self.changed.send_modify(|count| *count += 1);
    }

    /// What is started is told whom to trust. Where nobody has signed anything yet, that is done
    /// first: by the front door, once it knows of this environment.
    async fn trust_is_known(&self) {
        if self.front_is_open && !self.home.trusted_file().exists() {
            self.changed.send_modify(|count| *count += 1);
            // Without it the gateway starts all the same, and is told later.
            let _ = timeout(SIGNED_WITHIN, self.is_served()).await;
        }
    }

    /// The gateways of an environment as its runtime shall have them.
    fn wanted(&self, environment: &Environment) -> Vec<Wanted> {
        let gateways = environment.gateways.iter();
        let one = |gateway: &Gateway| {
            let name = environment.gateway_name(gateway);
            if !gateway.enabled {
                return Wanted::Stopped(name);
            }
            let spec = match environment.runtime {
                RuntimeKind::Local => {
                    GatewaySpec::local(&self.home, environment, gateway, &self.server)
                }
                RuntimeKind::Docker => GatewaySpec::docker(&self.home, environment, gateway),
            };
            spec.map_or_else(
                |error| {
                    tracing::error!(gateway = %name, %error, "gateway cannot be started");
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    let why = format!("{error}: {}", cause.unwrap_or_default());
                    Wanted::Unclear(name.clone(), why)
                },
                Wanted::Running,
            )
        };
        gateways.map(one).collect()
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

    /// Ends what ends with the server.
    pub(super) async fn end(&self) {
        for (_, runtime) in self.runtimes.each() {
            runtime.end().await;
        }
        // After the gateways: they may need services for what they finish.
        self.services.end().await;
    }

    /// The gateways of an environment: at once when the version is not `after`, else when it changes
    /// or `wait` is over.
    pub(super) async fn view(
        &self,
        env: &EnvName,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<GatewaysView, EnvironmentError> {
        let mut seen = self.seen();
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
            services: self.services.view(&environment),
        })
    }

    fn seen(&self) -> Seen {
        Seen {
            reports: self.reports.version(),
            runtimes: self.runtimes.each().map(|(_, runtime)| runtime.changes()),
            services: self.services.changes(),
            files: self.changed.subscribe(),
        }
    }

    /// Waits until the version is not `after`, and gives it.
    pub(super) async fn changes(&self, after: Option<u64>) -> u64 {
        let mut seen = self.seen();
        seen.differs(self.first_version, after).await;
        seen.version(self.first_version)
    }

    /// All environments and what is known of their gateways. An environment whose file cannot be read
    /// is left out.
    pub(super) fn everything(&self) -> Vec<(Environment, Vec<GatewayView>)> {
        let received = self.reports.all();
        let names = Environment::names(&self.home).unwrap_or_default();
        let read = |env: &EnvName| match Environment::load(&self.home, env) {
            Ok(environment) => Some(environment),
            Err(error) => {
                tracing::warn!(%env, %error, "environment is left out");
                None
            }
        };
        let all = names.iter().filter_map(read);
        all.map(|environment| {
            let view = |gateway| self.view_one(&environment, gateway, &received);
            let views = environment.gateways.iter().map(view).collect();
            (environment, views)
        })
        .collect()
    }

    fn view_one(
        &self,
        environment: &Environment,
        gateway: &Gateway,
        received: &[Received],
    ) -> GatewayView {
        let name = environment.gateway_name(gateway);
        let report = received.iter().find(|one| one.report.gateway == name);
        let observed = self.runtimes.of(environment.runtime).observe(&name);
        let container = observed.as_ref().and_then(|it| it.container.clone());
        let reach = Reach {
            address: self.runtimes.reach(&name),
            problem: observed.as_ref().and_then(|it| it.reach.problem.clone()),
        };
        let stuck = observed.as_ref().is_some_and(|it| it.stuck);
        let (pid, problem, report) = present(observed, report.cloned());
        GatewayView {
            http_port: gateway.http_port,
            vpn_port: gateway.vpn_port,
            enabled: gateway.enabled,
            agent_pid: pid,
            agent_problem: problem,
            // An agent that speaks is at it.
            agent_stuck: stuck && report.is_none(),
            container,
            reach,
            last_contact: self.reports.last_contact(&name),
            report,
            name,
        }
    }
}

/// What is true now of an agent's process, its problem and its own account.
///
/// Where the runtime knows the process, the account of another one is past; and an agent that reports
/// speaks for itself, so what ended the one before it is past. In a container every agent is process
/// 1: there the account counts that came since the container's start, and the runtime's problem is
/// of now.
fn present(
    observed: Option<Observed>,
    received: Option<Received>,
) -> (Option<u32>, Option<String>, Option<Report>) {
    let Some(Observed {
        pid,
        problem,
        doubt,
        container,
        stuck: _,
        reach: _,
    }) = observed
    else {
        return (None, None, received.map(|one| one.report));
    };
    if let Some(container) = container {
        let since = container.started.filter(|_| container.running);
        let received = received.filter(|one| since.is_some_and(|since| one.reported_at >= since));
        let problem = problem.or_else(|| doubt.filter(|_| received.is_none()));
        return (None, problem, received.map(|one| one.report));
    }
    let report = received.map(|one| one.report);
    let report = report.filter(|report| Some(report.agent_pid) == pid);
    let problem = problem.filter(|_| report.is_none());
    (pid, problem, report)
}

/// Everything a view is made of. Each counter only grows, so their sum differs when one of them does.
struct Seen {
    reports: watch::Receiver<u64>,
    runtimes: [watch::Receiver<u64>; 2],
    services: watch::Receiver<u64>,
    files: watch::Receiver<u64>,
}

impl Seen {
    fn version(&mut self, first: u64) -> u64 {
        let [local, docker] = &mut self.runtimes;
        first
            + *self.reports.borrow_and_update()
            + *local.borrow_and_update()
            + *docker.borrow_and_update()
            + *self.services.borrow_and_update()
            + *self.files.borrow_and_update()
    }

    /// Waits until the version is not `after`.
    async fn differs(&mut self, first: u64, after: Option<u64>) {
        while Some(self.version(first)) == after {
            // A sender that is gone changes nothing any more; all of them live as long as the server.
            let [local, docker] = &mut self.runtimes;
            let _ = tokio::select! {
                changed = self.reports.changed() => changed,
                changed = local.changed() => changed,
                changed = docker.changed() => changed,
                changed = self.services.changed() => changed,
                changed = self.files.changed() => changed,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::{Phase, Timings};

    use super::*;
    use crate::runtime::Container;

    fn report(agent_pid: u32) -> Received {
        let env = EnvName::parse("dev-001").unwrap();
        let report = Report {
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
        };
        Received {
            report,
            last_contact: 2000,
            reported_at: 1000,
        }
    }

    #[test]
    fn in_a_container_the_account_since_its_start_counts() {
        let check = |running, started, problem: Option<&str>, expected| {
            let observed = Observed {
                problem: problem.map(String::from),
                container: Some(Container {
                    id: "id".into(),
                    image: "image".into(),
                    started,
                    running,
                }),
                ..Observed::default()
            };
            let (pid, told, report) = present(Some(observed), Some(report(1)));
            assert_eq!((pid, told.as_deref()), (None, problem));
            assert_eq!(report.is_some(), expected);
        };
        check(true, Some(999), None, true);
        check(true, Some(1000), Some("the engine is away"), true);
        check(true, Some(1001), None, false);
        check(false, None, Some("ended"), false);
    }

    #[test]
    fn a_doubt_is_told_until_the_agent_reports() {
        let check = |started, problem: Option<&str>, expected: Option<&str>| {
            let observed = Observed {
                problem: problem.map(String::from),
                doubt: Some("doubt".into()),
                container: Some(Container {
                    id: "id".into(),
                    image: "image".into(),
                    started: Some(started),
                    running: true,
                }),
                ..Observed::default()
            };
            let (_, told, _) = present(Some(observed), Some(report(1)));
            assert_eq!(told.as_deref(), expected);
        };
        check(1001, None, Some("doubt"));
        check(1001, Some("taken"), Some("taken"));
        check(999, None, None);
    }

    #[test]
    fn only_the_running_agents_account_counts() {
        let check = |observed: Option<(Option<u32>, Option<&str>)>, reported, expected| {
            let observed = observed.map(|(pid, problem)| Observed {
                pid,
                problem: problem.map(String::from),
                ..Observed::default()
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
