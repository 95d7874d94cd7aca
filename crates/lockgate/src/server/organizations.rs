//! Organizations by the control socket: what `lockgate org` does, for a platform's own controller.
//!
//! ```text
//! GET    /v1/environments/{env}/organizations          who serves whom
//! GET    /v1/environments/{env}/organizations/{uuid}   one of them
//! PUT    …                     {"gateway": NUMBER}?    gives it a gateway; the same again changes nothing
//! DELETE …                                             takes it away
//! ```
//!
//! The statement is published, the front door knows it, and the gateway follows; nobody waits for that. A change is made
//! under the environment's lock, which a deploy holds to its end: then the answer is 409 at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use lockgate_builds::store::{Store, StoreError};
use lockgate_model::{EnvName, GatewayName, OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::api::Control;
use super::front::FrontDescription;
use crate::context::now_ms;
use crate::environment::lock::{DeployLock, LockError};
use crate::environment::organizations::OrganizationError;
use crate::environment::publish::{self, PublishError, What};
use crate::environment::{Environment, EnvironmentError, Gateway};
use crate::error::in_one_line;
use crate::home::Home;

/// After how many seconds who found the environment locked may ask again.
const RETRY_AFTER: &str = "1";
/// How long the front door may take to read what was written: a busy disk, and more than it needs.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

/// Why an organization is served as before.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    /// What was asked cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The environment, or its gateway, is not there.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// It is on its way out.
    #[error("environment `{0}` is being deleted")]
    Deleting(EnvName),
    /// Somebody else changes it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be served so.
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    /// The builds cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway cannot be told.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The work ended early.
    #[error("the work ended early")]
    Work(#[from] tokio::task::JoinError),
}

impl ChangeError {
    /// The status, and the word by which a program tells what is to be done.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Environment(EnvironmentError::Unknown { .. }) => {
                (StatusCode::NOT_FOUND, "unknown-environment")
            }
            Self::Environment(EnvironmentError::UnknownGateway { .. }) => {
                (StatusCode::NOT_FOUND, "unknown-gateway")
            }
            Self::Deleting(_) => (StatusCode::CONFLICT, "deleting"),
            Self::Lock(LockError::Held { .. }) => (StatusCode::CONFLICT, "locked"),
            Self::Organization(error) => match error {
                OrganizationError::Served { .. } => (StatusCode::CONFLICT, "served"),
                OrganizationError::Busy { .. } => (StatusCode::CONFLICT, "busy"),
                OrganizationError::NoneLeft { .. } => (StatusCode::CONFLICT, "none-left"),
                OrganizationError::Unserved { .. } => (StatusCode::NOT_FOUND, "unserved"),
            },
            Self::Environment(
                EnvironmentError::File { .. }
                | EnvironmentError::Malformed { .. }
                | EnvironmentError::Misplaced { .. },
            )
            | Self::Lock(LockError::File { .. })
            | Self::Store(_)
            | Self::Publish(_)
            | Self::Work(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        }
    }

    /// The error and its causes on one line.
    fn in_one_line(&self) -> String {
        in_one_line(self)
    }
}

impl IntoResponse for ChangeError {
    fn into_response(self) -> Response {
        let (status, reason) = self.kind();
        let body = json!({"error": self.in_one_line(), "reason": reason});
        let mut response = (status, Json(body)).into_response();
        if reason == "locked" {
            let later = HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, later);
        }
        response
    }
}

/// An organization and who serves it.
#[derive(Debug, Serialize)]
struct Served {
    organization: OrganizationId,
    env: EnvName,
    gateway: GatewayName,
    number: u32,
    /// Where the front door serves it; `null` where that is closed.
    url: Option<String>,
}

impl Served {
    fn new(
        environment: &Environment,
        gateway: &Gateway,
        organization: &OrganizationId,
        front: &FrontDescription,
    ) -> Self {
        Self {
            organization: organization.clone(),
            env: environment.name.clone(),
            gateway: environment.gateway_name(gateway),
            number: gateway.number,
            url: front.url(organization, &environment.domain),
        }
    }
}

/// What may be asked for with an assignment.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    /// This gateway, by number.
    gateway: Option<u32>,
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path(env): Path<String>,
) -> Result<Response, ChangeError> {
    let env = EnvName::parse(&env).map_err(malformed)?;
    let front = control.bridges.description().front;
    let all = with(&control, move |home| {
        let environment = Environment::load(home, &env)?;
        let one = |gateway: &Gateway| {
            let organization = gateway.organization.as_ref()?;
            Some(Served::new(&environment, gateway, organization, &front))
        };
        Ok(environment
            .gateways
            .iter()
            .filter_map(one)
            .collect::<Vec<_>>())
    });
    let all = all.await?;
    Ok(Json(json!({ "organizations": all })).into_response())
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(named): Path<(String, String)>,
) -> Result<Response, ChangeError> {
    let (env, organization) = parse(&named)?;
    let front = control.bridges.description().front;
    let served = with(&control, move |home| {
        let environment = Environment::load(home, &env)?;
        let gateway = environment.serving(&organization);
        let gateway = gateway.ok_or_else(|| OrganizationError::Unserved {
            env: env.clone(),
            organization: organization.clone(),
        })?;
        Ok(Served::new(&environment, gateway, &organization, &front))
    });
    let served = served.await?;
    Ok(Json(served).into_response())
}

pub(super) async fn assign(
    State(control): State<Arc<Control>>,
    Path(named): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ChangeError> {
    let (env, organization) = parse(&named)?;
    let wish = wish(&body)?;
    let front = control.bridges.description().front;
    let asked = organization.clone();
    let turn = control.organizations.lock().await;
    let assigned = with(&control, move |home| {
        change(home, &env, "org assign", |environment| {
            if let Some(number) = wish.gateway {
                environment.gateway(number)?;
            }
            Ok(environment.assign(&organization, wish.gateway)?)
        })
    });
    let (environment, number, is_new) = assigned.await?;
    drop(turn);
    let served = Served::new(&environment, environment.gateway(number)?, &asked, &front);
    if is_new {
        tracing::info!(organization = %asked, gateway = %served.gateway, "organization assigned");
        followed(&control, &front).await;
    }
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(with_field(&served, "new", is_new))).into_response())
}

pub(super) async fn release(
    State(control): State<Arc<Control>>,
    Path(named): Path<(String, String)>,
) -> Result<Response, ChangeError> {
    let (env, organization) = parse(&named)?;
    let asked = organization.clone();
    let turn = control.organizations.lock().await;
    let released = with(&control, move |home| {
        change(home, &env, "org release", |environment| {
            Ok((environment.release(&organization)?, true))
        })
    });
    let (environment, number, _) = released.await?;
    drop(turn);
    let gateway = GatewayName::new(&environment.name, number);
    tracing::info!(organization = %asked, %gateway, "organization released");
    followed(&control, &control.bridges.description().front).await;
    let released = json!({
        "organization": asked, "env": environment.name, "gateway": gateway, "number": number,
    });
    Ok(Json(released).into_response())
}

fn parse((env, organization): &(String, String)) -> Result<(EnvName, OrganizationId), ChangeError> {
    let env = EnvName::parse(env).map_err(malformed)?;
    let organization = OrganizationId::parse(organization).map_err(malformed)?;
    Ok((env, organization))
}

#[expect(clippy::needless_pass_by_value, reason = "the way of `map_err`")]
fn malformed(error: impl ToString) -> ChangeError {
    ChangeError::Malformed(error.to_string())
}

/// Nothing at all is a wish for any gateway.
fn wish(body: &[u8]) -> Result<Wish, ChangeError> {
    if body.trim_ascii().is_empty() {
        return Ok(Wish::default());
    }
    serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the body is no `{{\"gateway\": NUMBER}}`: {error}")))
}

/// Files are read and written on a thread of their own.
async fn with<T: Send + 'static>(
    control: &Control,
    work: impl FnOnce(&Home) -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, ChangeError> {
    let home = control.gateways.home().clone();
    tokio::task::spawn_blocking(move || work(&home)).await?
}

/// Under the environment's lock: tells the gateway, then writes down who serves whom, so that what
/// could not be told is not taken for done. The environment, the gateway, and whether that is new.
fn change(
    home: &Home,
    env: &EnvName,
    what: &str,
    change: impl FnOnce(&mut Environment) -> Result<(u32, bool), ChangeError>,
) -> Result<(Environment, u32, bool), ChangeError> {
    // Where there is no environment there is no lock either.
    Environment::load(home, env)?;
    let now = now_ms();
    let _lock = DeployLock::take(home, env, what, now)?;
    let mut environment = Environment::load(home, env)?;
    if environment.deleting {
        return Err(ChangeError::Deleting(env.clone()));
    }
    let (number, is_new) = change(&mut environment)?;
    if is_new {
        let store = Store::open(home.builds())?;
        let seq = publish::number(home, &store, &environment, now)?;
        let what = What::Variables;
        publish::publish(home, &store, &environment, &what, &[number], seq, now)?;
        environment.save(home)?;
    }
    Ok((environment, number, is_new))
}

/// Agents hear of it, and the front door serves it from now on.
async fn followed(control: &Control, front: &FrontDescription) {
    control.gateways.told();
    if front.https_port.is_some() {
        // Late it is served all the same.
        let _ = timeout(SERVED_WITHIN, control.gateways.is_served()).await;
    }
}

fn with_field(served: &Served, name: &str, value: bool) -> serde_json::Value {
    let mut told = json!(served);
    if let Some(fields) = told.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
    told
}
