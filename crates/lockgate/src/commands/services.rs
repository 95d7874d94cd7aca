//! Single services: brought up to date with lockgate.toml, and waited for.

use std::time::{Duration, SystemTime};

use lockgate_model::{EnvName, LogStream, ServiceDescription, ServiceName};

use super::logs::last_lines;
use crate::context::Context;
use crate::deploy::clock;
use crate::deploy::services::is_ready;
use crate::environment::{Environment, services};
use crate::error::CommandError;
use crate::server::control::{ControlClient, ServiceView};
use crate::workspace::Workspace;
use crate::workspace::services::Service;

/// What a service's keeper needs beside what it gives the service: its own start, and to be heard.
const MARGIN: Duration = Duration::from_secs(10);

/// How long one question to the server waits for something new.
const WAIT: Duration = Duration::from_secs(20);

/// How many lines are shown of a service that is not ready.
const LAST_LINES: usize = 20;

/// The services that the environment's own workspace has for it.
pub(crate) fn of_workspace(environment: &Environment) -> Result<Vec<Service>, CommandError> {
    let workspace = Workspace::open(&environment.workspace)?;
    Ok(workspace.resolve(&environment.name)?.services)
}

/// A service as the environment's workspace describes it now.
pub(crate) fn describe(
    ctx: &Context,
    environment: &Environment,
    all: &[Service],
    name: &ServiceName,
) -> Result<ServiceDescription, CommandError> {
    let (env, home) = (&environment.name, &ctx.config.home);
    let Some(service) = all.iter().find(|service| service.name == *name) else {
        return Err(CommandError::failed(format!(
            "`{}` has no `[services.{name}]` for `{env}` any more",
            environment.workspace.join("lockgate.toml").display()
        ))
        .hint(format!(
            "`lockgate deploy {env}` ends and forgets it, `lockgate stop {env} {name}` only ends it"
        )));
    };
    let described = services::describe(home, environment, std::slice::from_ref(service))?;
    described.into_iter().next().ok_or_else(CommandError::said)
}

/// Waits until a service is ready; `None` where that takes too long. One that fails meanwhile is
/// given back as it stands: its keeper goes on trying.
pub(crate) async fn settled(
    control: &ControlClient,
    env: &EnvName,
    description: &ServiceDescription,
    within: Option<Duration>,
) -> Result<Option<ServiceView>, CommandError> {
    let within = within.unwrap_or(description.ready_timeout + MARGIN);
    let deadline = clock() + within;
    let mut after = None;
    loop {
        let left = deadline.saturating_duration_since(clock());
        let view = control.gateways(env, after, left.min(WAIT)).await?;
        after = Some(view.version);
        let mut named = view.services.into_iter();
        let found = named.find(|view| view.name == description.name);
        if let Some(view) = found.filter(|view| is_ready(view) || view.problem().is_some()) {
            return Ok(Some(view));
        }
        if left.is_zero() {
            return Ok(None);
        }
    }
}

/// The error that a service is that is not ready; what it has written last since then is shown to
/// people first.
pub(crate) async fn not_ready(
    ctx: &Context,
    env: &EnvName,
    description: &ServiceDescription,
    view: Option<&ServiceView>,
    since: SystemTime,
) -> CommandError {
    let name = &description.name;
    let mut lines = last_lines(ctx, env, description, since, LAST_LINES).await;
    lines.retain(|line| line.stream != Some(LogStream::Agent));
    for line in &lines {
        ctx.screen.say(&format!("  {}", line.text));
    }
    let error = CommandError::failed(format!("service `{name}` of `{env}` is not ready"));
    let error = match view.and_then(ServiceView::problem) {
        Some(problem) => error.because_of(problem.clone()),
        None => error.because_of("it is still starting"),
    };
    let above = if lines.is_empty() {
        "it has written nothing"
    } else {
        "the last lines of its log are above"
    };
    error.hint(format!(
        "{above}; it is tried again and again, `lockgate status {env}` shows how far it is, \
         `lockgate logs {env} {name} --crash` what it said before it failed"
    ))
}
