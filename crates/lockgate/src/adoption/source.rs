//! Whether a container of the shell system finds its build when it is started again: the way back
//! leads there.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use lockgate_builds::client::{Client, Endpoint};
use lockgate_model::{EnvName, environment as variable, ports};

use crate::runtime::docker::engine::{Engine, EngineError};
use crate::runtime::docker::found::Found;
use crate::server::PROGRAM;

/// How long a build server may take to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// What a container gets where it fetches its build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A build.
    Gives,
    /// Something else: at this URL, with this status.
    Refuses(String, u16),
    /// Nothing that could be seen from here.
    Silent(String),
}

/// Asks from this host, as the container would.
pub(crate) async fn ask(
    engine: &Engine,
    env: &EnvName,
    one: &Found,
) -> Result<Source, EngineError> {
    let given = |name: &str| one.variables.get(name).filter(|text| !text.is_empty());
    let host = match given(variable::BUILD_SERVER_IP) {
        Some(host) => host.clone(),
        // What `ip route` shows in the container.
        None => match engine.gateway_of(&one.network).await {
            Ok(ip) => ip.to_string(),
            Err(error @ EngineError::NoGateway { .. }) => {
                return Ok(Source::Silent(error.to_string()));
            }
            Err(error) if error.is_missing() => return Ok(Source::Silent(error.to_string())),
            Err(error) => return Err(error),
        },
    };
    let port = given(variable::BUILD_SERVER_PORT).and_then(|text| text.parse().ok());
    let port = port.unwrap_or(ports::BUILD_SERVER);
    let path = format!("/gateway-{env}.tar.gz");
    let url = format!("http://{host}:{port}{path}");
    let client = Client {
        endpoint: Endpoint::Tcp { host, port },
        program: PROGRAM.to_owned(),
        token: None,
    };
    let request = http::Request::builder().method(Method::HEAD).uri(path);
    let Ok(request) = request.body(Bytes::new()) else {
        return Ok(Source::Silent(url));
    };
    Ok(match client.send(request, WITHIN).await {
        Ok(answer) if answer.status().is_success() => Source::Gives,
        Ok(answer) => Source::Refuses(url, answer.status().as_u16()),
        Err(_) => Source::Silent(url),
    })
}
