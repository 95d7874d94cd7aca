//! `lockgate urls`: where an environment is reached.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use lockgate_model::{EnvName, GANYMEDE, GatewayName, OrganizationId, Site, protocol};
use serde_json::json;

use crate::context::Context;
use crate::environment::front::{before, shares};
use crate::environment::{Environment, Gateway};
use crate::error::CommandError;
use crate::server::ServerDescription;
use crate::server::control::ControlClient;
use crate::server::front::FrontDescription;

/// Print the URLs of an environment
#[derive(Debug, Args)]
pub(crate) struct UrlsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
}

/// Prints a gateway and its URL a line, then the archive.
pub(crate) async fn urls(args: &UrlsArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let server = ControlClient::connect(&ctx.config.home).await;
    let found = match &server {
        Some((control, _)) => found(control, &environment.name).await?,
        None => Found::new(),
    };
    let server = server.map(|(_, server)| server);
    let archive = archive_url(ctx, server.as_ref(), &environment.name);
    let front = server.as_ref().map(|server| &server.front);
    let all = Environment::list(&ctx.config.home)?;
    let first = before(&environment, &all);
    // Sites of another one are no URLs of this.
    let sites = sites(&environment, front).filter(|_| first.is_none());
    if ctx.screen.is_json() {
        let sites: Vec<_> = sites
            .map(|(name, site, url)| json!({"name": name, "site": site, "url": url}))
            .collect();
        let gateways: Vec<_> = environment
            .gateways
            .iter()
            .map(|gateway| {
                let name = environment.gateway_name(gateway);
                json!({"url": url(&found, &name, gateway), "name": name})
            })
            .collect();
        let organizations: Vec<_> = served(&environment)
            .map(|(organization, gateway)| {
                let url = organization_url(&environment, organization, front);
                json!({"organization": organization, "gateway": gateway, "url": url})
            })
            .collect();
        return ctx.screen.json(&json!({
            "env": environment.name, "gateways": gateways, "organizations": organizations,
            "sites": sites, "archive": archive,
        }));
    }
    ctx.screen.data(&lines(&environment, &found))?;
    for (organization, gateway) in served(&environment) {
        if let Some(url) = organization_url(&environment, organization, front) {
            ctx.screen.data(&format!("{gateway}  {url}\n"))?;
        }
    }
    let width = name_width(&environment);
    for (name, site, url) in sites {
        if let Some(url) = url {
            ctx.screen
                .data(&format!("{name:<width$}  {url}  {site}\n"))?;
        }
    }
    if let Some(first) = first {
        ctx.screen.warn(&shares(&environment, first));
    }
    if let Some(problem) = front.and_then(|front| front.problem.as_ref()) {
        ctx.screen
            .warn(&format!("the front door is not whole: {problem}"));
    }
    ctx.screen
        .data(&format!("{:<width$}  {archive}\n", "archive"))
}

/// Who serves whom.
fn served(environment: &Environment) -> impl Iterator<Item = (&OrganizationId, GatewayName)> {
    environment.gateways.iter().filter_map(|gateway| {
        let organization = gateway.organization.as_ref()?;
        Some((organization, environment.gateway_name(gateway)))
    })
}

/// The sites of an environment, each with its name and URL.
fn sites<'a>(
    environment: &'a Environment,
    front: Option<&'a FrontDescription>,
) -> impl Iterator<Item = (&'static str, &'a Site, Option<String>)> {
    let domain = &environment.domain;
    let given = &environment.front;
    let apex = ("apex", &given.apex, domain.clone());
    let ganymede = (GANYMEDE, &given.ganymede, format!("{GANYMEDE}.{domain}"));
    [apex, ganymede]
        .into_iter()
        .filter_map(move |(name, site, host)| {
            Some((name, site.as_ref()?, front.and_then(|it| it.url_of(&host))))
        })
}

/// The URL of an organization at the front door, where that is open.
pub(crate) fn organization_url(
    environment: &Environment,
    organization: &OrganizationId,
    front: Option<&FrontDescription>,
) -> Option<String> {
    front?.url(organization, &environment.domain)
}

/// Where the server has found gateways' doors.
pub(crate) type Found = BTreeMap<GatewayName, SocketAddr>;

/// Asks a server where it has found them.
pub(crate) async fn found(control: &ControlClient, env: &EnvName) -> Result<Found, CommandError> {
    let view = control.gateways(env, None, Duration::ZERO).await?;
    let gateways = view.gateways.into_iter();
    let found = gateways.filter_map(|it| Some((it.name, it.reach.address?)));
    Ok(found.collect())
}

/// A line for each gateway.
pub(crate) fn lines(environment: &Environment, found: &Found) -> String {
    let width = name_width(environment);
    let line = |gateway| {
        let name = environment.gateway_name(gateway);
        format!("{name:<width$}  {}", url(found, &name, gateway))
    };
    environment
        .gateways
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

/// The URL of a gateway's own door where it was found, else where it should be.
fn url(found: &Found, name: &GatewayName, gateway: &Gateway) -> String {
    let found = found.get(name).map(|address| format!("http://{address}/"));
    found.unwrap_or_else(|| direct(gateway))
}

/// The URL of a gateway's own door on this host.
pub(crate) fn direct(gateway: &Gateway) -> String {
    format!("http://127.0.0.1:{}/", gateway.http_port)
}

/// The URL of an environment's current archive, as a gateway sees it.
pub(crate) fn archive_url(
    ctx: &Context,
    server: Option<&ServerDescription>,
    env: &EnvName,
) -> String {
    let listener = server.and_then(|server| server.listeners.first());
    let port = listener.map_or(ctx.config.serve_port, SocketAddr::port);
    format!("http://127.0.0.1:{port}{}", protocol::archive_path(env))
}

fn name_width(environment: &Environment) -> usize {
    let names = environment
        .gateways
        .iter()
        .map(|gateway| environment.gateway_name(gateway).as_str().len());
    names.max().unwrap_or_default()
}
