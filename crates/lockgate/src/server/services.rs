//! The services of all environments as the server sees and keeps them.

use std::sync::Arc;

use lockgate_model::EnvName;
use tokio::sync::watch;

use super::control::ServiceView;
use crate::environment::{Environment, Service, services};
use crate::home::Home;
use crate::runtime::local::Program;
use crate::runtime::services::{ServiceSpec, Services as Runtime};

/// All services of a home.
#[derive(Debug)]
pub(super) struct Services {
    home: Home,
    runtime: Runtime,
}

impl Services {
    pub(super) fn new(home: &Home, program: &Arc<Program>) -> Self {
        Self {
            home: home.clone(),
            runtime: Runtime::new(Arc::clone(program)),
        }
    }

    /// Makes an environment run the services that its file wants; `None` where there is no such
    /// environment. Returns when those not wanted have ended.
    pub(super) async fn reconcile(&self, env: &EnvName, environment: Option<&Environment>) {
        let wanted = environment.filter(|environment| !environment.deleting);
        let wanted = wanted.map_or([].as_slice(), |environment| &environment.services);
        let (mut specs, mut unclear) = (Vec::new(), Vec::new());
        for service in wanted.iter().filter(|service| service.enabled) {
            let (name, restart) = (&service.name, service.restart);
            match ServiceSpec::read(&self.home, env, name, restart) {
                Ok(spec) => specs.push(spec),
                Err(error) => {
                    tracing::error!(%env, service = %name, %error, "service stays as it is");
                    unclear.push(name.clone());
                }
            }
        }
        self.runtime.reconcile(env, specs, &unclear).await;
    }

    /// The services of an environment, by name.
    pub(super) fn view(&self, environment: &Environment) -> Vec<ServiceView> {
        let view = |service: &Service| {
            let (env, name) = (&environment.name, &service.name);
            let observed = self.runtime.observe(env, name).unwrap_or_default();
            let described = services::described(&self.home, env, name);
            let unreadable = described.is_none().then(|| {
                let path = self.home.service_file(env, name);
                format!("cannot read `{}`", path.display())
            });
            ServiceView {
                name: name.clone(),
                enabled: service.enabled,
                log: described.map_or_else(|| self.home.service_log(env, name), |it| it.log),
                agent_pid: observed.agent_pid,
                agent_problem: observed.agent_problem.or(unreadable),
                report: observed.report,
            }
        };
        environment.services.iter().map(view).collect()
    }

    /// Changes whenever `view` may answer something else.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.runtime.changes()
    }

    /// Ends all, and returns when they are gone.
    pub(super) async fn end(&self) {
        self.runtime.end_all().await;
    }
}
