//! What there is of a server, and who has its ports where there is none.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use lockgate_builds::client::Client;
use tokio::time::timeout;

use super::super::check::{Check, Group};
use super::super::server::{self, Seen};
use super::{Facts, apart, late, of_files};
use crate::config::Config;
use crate::context::now_ms;
use crate::error::{CommandError, in_one_line};
use crate::server::front::{FrontDriver, FrontPort, HTTP, HTTPS, nginx_program};
use crate::server::listen::taken;
use crate::server::{PROGRAM, ServerDescription, ServerError};

const GROUP: Group = Group::Server;
/// How long a listener may take to say that it lives.
const HEALTH: Duration = Duration::from_secs(5);

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let config = &facts.ctx.config;
    let wants = |it: &crate::environment::Environment| {
        let gateways = it.gateways.iter().any(|it| it.enabled);
        !it.deleting && (gateways || it.services.iter().any(|it| it.enabled))
    };
    // What a broken one wants is not known.
    let wanted = facts.environments.iter().any(wants) || !facts.broken.is_empty();
    let error = facts.server.as_ref().err().map(|error| {
        let said = error.told();
        (error.is_unreachable(), said)
    });
    let seen = match (&facts.server, &error) {
        (Ok(server), _) => Seen::Runs(server),
        (Err(_), Some((false, error))) => Seen::Unclear(error),
        (Err(_), Some((true, error))) => Seen::Away(error),
        (Err(_), None) => return Vec::new(),
    };
    let own = server::server(&seen, wanted, env!("CARGO_PKG_VERSION"), now_ms());
    let mut all = vec![Check::new(GROUP, "server", own)];
    let driver = if let Ok(server) = &facts.server {
        all.extend(listeners(server).await);
        all.push(Check::new(
            GROUP,
            "front door",
            server::front(&server.front),
        ));
        server.front.driver
    } else {
        all.extend(ports(config).await);
        config.front_driver
    };
    all.extend(nginx(config, driver).await);
    all
}

async fn listeners(server: &ServerDescription) -> Vec<Check> {
    let each = server.listeners.iter().map(|address| async {
        let seen = health(*address).await;
        Check::new(GROUP, "listener", server::listener(*address, &seen))
    });
    join_all(each).await
}

/// The status of `/healthz`.
async fn health(address: SocketAddr) -> Result<u16, String> {
    let client = Client {
        endpoint: address.into(),
        program: PROGRAM.to_owned(),
        token: None,
    };
    let asked = async {
        let request = client.request(Method::GET, "/healthz", Bytes::new())?;
        client.send(request, HEALTH).await
    };
    match timeout(HEALTH, asked).await {
        Ok(Ok(answer)) => Ok(answer.status().as_u16()),
        Ok(Err(error)) => Err(in_one_line(&error)),
        Err(_) => Err(format!(
            "no answer within {}",
            humantime::format_duration(HEALTH)
        )),
    }
}

/// Who has the ports that a server would take.
async fn ports(config: &Config) -> Vec<Check> {
    let (port, front) = (config.serve_port, config.front);
    of_files(GROUP, "port", move || {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut all = Vec::new();
        if port != 0 {
            let error = taken(at(port))
                .map(ServerError::Listen)
                .map(CommandError::from);
            let finding = server::port(at(port), error.as_ref());
            all.push(Check::new(GROUP, "port", finding));
        }
        for (name, wanted, usual) in [("https", front.https, HTTPS), ("http", front.http, HTTP)] {
            let ports = match wanted {
                FrontPort::Off | FrontPort::Given(0) => continue,
                FrontPort::Given(port) => vec![port],
                FrontPort::Usual => usual.to_vec(),
            };
            let holders = ports.iter().map(|port| Some(taken(at(*port))?.to_string()));
            let holders: Vec<Option<String>> = holders.collect();
            let given = matches!(wanted, FrontPort::Given(_));
            let finding = server::front_port(name, given, &holders);
            all.push(Check::new(GROUP, format!("{name} port"), finding));
        }
        all
    })
    .await
}

async fn nginx(config: &Config, driver: FrontDriver) -> Option<Check> {
    if driver == FrontDriver::Embedded {
        return None;
    }
    let path = config.of_user("PATH").map(|it| it.to_string_lossy());
    let path = path.unwrap_or_default().into_owned();
    let program = apart(move || nginx_program(&path)).await;
    let finding = match program {
        None => late(super::FILES),
        Some(Ok(program)) => server::nginx(Ok(program.display().to_string())),
        Some(Err(error)) => server::nginx(Err(&ServerError::Nginx(error).into())),
    };
    Some(Check::new(GROUP, "nginx", finding))
}
