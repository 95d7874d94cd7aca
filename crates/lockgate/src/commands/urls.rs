//! `lockgate urls`: where an environment is reached, and whether it is.

mod asked;
pub(crate) mod document;
mod listed;
pub(crate) mod open;
mod shown;
mod trouble;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use lockgate_model::{EnvName, GatewayName, OrganizationId, protocol};

use self::asked::{Asked, ask_all};
use self::document::Urls;
use self::listed::{Listed, listed};
use self::trouble::Around;
use super::trust;
use crate::certificates::{Authority, Seen};
use crate::context::{Context, now};
use crate::environment::front::{before, shares};
use crate::environment::{Environment, Gateway};
use crate::error::CommandError;
use crate::names::{is_below_localhost, leads_here};
use crate::server::ServerDescription;
use crate::server::control::ControlClient;
use crate::server::front::FrontDescription;

/// Show the URLs of an environment, and whether they resolve and answer
#[derive(Debug, Args)]
pub(crate) struct UrlsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// Only print them: no name is looked up and nothing is asked
    #[arg(long)]
    no_check: bool,
    /// Open one in a browser: an organization, `apex`, `ganymede` or a gateway; the first by default
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", hide_default_value = true)]
    open: Option<String>,
}

/// Prints what an environment is reached by, then the archive.
pub(crate) async fn urls(args: &UrlsArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let server = ControlClient::connect(&ctx.config.home).await;
    let doors = match &server {
        Some((control, _)) => doors(control, &environment.name).await?,
        None => Doors::new(),
    };
    let server = server.map(|(_, server)| server);
    let front = server.as_ref().map(|server| &server.front);
    let environments = Environment::list(&ctx.config.home)?;
    let first = before(&environment, &environments);
    let all = listed(&environment, &doors, first.is_none());
    if let Some(word) = &args.open {
        let url = chosen(&environment, &all, word, front)?;
        return open::open(ctx, &url).await;
    }
    let https = front.and_then(|front| front.https_port);
    let (asked, trust) = if args.no_check {
        (None, None)
    } else {
        let (asked, trust) = tokio::join!(ask_all(&all, https), Trust::of(ctx));
        (Some(asked), Some(trust))
    };
    let is_ours = |seen: &Seen| trust.as_ref().is_some_and(|trust| trust.signed(seen));
    let around = Around {
        env: &environment.name,
        server_runs: server.is_some(),
        is_ours: &is_ours,
        distrusting: trust.as_ref().map_or(&[], |trust| &trust.distrusting),
        now: now(),
    };
    let archive = archive_url(ctx, server.as_ref(), &environment.name);
    let found = Found {
        environment: &environment,
        all: &all,
        asked: asked.as_deref(),
        around: &around,
        front,
    };
    if ctx.screen.is_json() {
        return ctx.screen.document(&found.document(&archive));
    }
    ctx.screen.data(&found.text(ctx))?;
    ctx.screen
        .data(&format!("{archive}\n  the archive of the current build\n"))?;
    if let Some(first) = first {
        ctx.screen.warn(&shares(&environment, first));
    }
    if let Some(complaint) = front.and_then(FrontDescription::complaint) {
        ctx.screen.warn(&complaint);
    }
    if let Some(lost) = found.lost() {
        ctx.screen
            .hint("Node and most programs ask the system's resolver, as was done here");
        if is_below_localhost(lost) {
            ctx.screen
                .hint("browsers and curl know names below `localhost` by themselves");
        }
    }
    Ok(())
}

/// Everything that there is to show.
struct Found<'a> {
    environment: &'a Environment,
    all: &'a [Listed<'a>],
    /// In the same order; `None` where nothing was asked.
    asked: Option<&'a [Asked]>,
    around: &'a Around<'a>,
    front: Option<&'a FrontDescription>,
}

impl Found<'_> {
    fn text(&self, ctx: &Context) -> String {
        let all = self.each();
        let blocks =
            all.map(|(one, url, asked)| shown::block(one, url.as_deref(), asked, ctx.screen.out));
        blocks.collect()
    }

    fn document<'u>(&'u self, archive: &'u str) -> Urls<'u> {
        let mut urls = Urls {
            env: &self.environment.name,
            gateways: Vec::new(),
            organizations: Vec::new(),
            sites: Vec::new(),
            archive,
        };
        for (one, url, asked) in self.each() {
            urls.add(one, url, asked);
        }
        urls
    }

    /// Each with its URL and what was found.
    fn each(
        &self,
    ) -> impl Iterator<Item = (&Listed<'_>, Option<String>, Option<(&Asked, &Around<'_>)>)> {
        self.all.iter().enumerate().map(|(at, one)| {
            let asked = self.asked.and_then(|asked| asked.get(at));
            let asked = asked.map(|asked| (asked, self.around));
            (one, shown::url(one, self.front), asked)
        })
    }

    /// A name that does not resolve, or leads elsewhere.
    fn lost(&self) -> Option<&str> {
        self.each().find_map(|(one, _, asked)| {
            let resolves = asked.and_then(|(asked, _)| asked.own.resolves.as_ref())?;
            let host = one.host()?;
            (!leads_here(resolves)).then_some(host)
        })
    }
}

/// Who of this machine trusts what the home signs.
struct Trust {
    authority: Option<Authority>,
    distrusting: Vec<&'static str>,
}

impl Trust {
    async fn of(ctx: &Context) -> Self {
        // One that cannot be read is what `lockgate trust` tells of.
        let authority = Authority::of_home_if_any(&ctx.config.home).ok().flatten();
        let distrusting = match &authority {
            Some(authority) => trust::distrusting(ctx, authority).await,
            None => Vec::new(),
        };
        Self {
            authority,
            distrusting,
        }
    }

    fn signed(&self, seen: &Seen) -> bool {
        let authority = self.authority.as_ref();
        authority.is_some_and(|authority| authority.has_signed(&seen.der))
    }
}

/// The URL that a person means; the first that there is where they name none.
fn chosen(
    environment: &Environment,
    all: &[Listed<'_>],
    word: &str,
    front: Option<&FrontDescription>,
) -> Result<String, CommandError> {
    let env = &environment.name;
    if word.is_empty() {
        let first = all.iter().find_map(|one| shown::url(one, front));
        return first.ok_or_else(|| CommandError::failed(format!("`{env}` has no URL")));
    }
    let meant = all.iter().find(|one| one.is_meant(word)).ok_or_else(|| {
        CommandError::failed(format!("`{env}` has nothing that is called `{word}`"))
            .hint(format!("`lockgate urls {env}` shows what there is"))
    })?;
    shown::url(meant, front).ok_or_else(|| {
        CommandError::failed("the front door is closed")
            .hint("`lockgate serve --detach` opens it; `lockgate serve status` says what is wrong")
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
pub(crate) type Doors = BTreeMap<GatewayName, SocketAddr>;

/// Asks a server where it has found them.
pub(crate) async fn doors(control: &ControlClient, env: &EnvName) -> Result<Doors, CommandError> {
    let view = control.gateways(env, None, Duration::ZERO).await?;
    let gateways = view.gateways.into_iter();
    let found = gateways.filter_map(|it| Some((it.name, it.reach.address?)));
    Ok(found.collect())
}

/// A line for each gateway.
pub(crate) fn lines(environment: &Environment, doors: &Doors) -> String {
    let names = environment
        .gateways
        .iter()
        .map(|gateway| environment.gateway_name(gateway));
    let width = names.map(|name| name.as_str().len()).max();
    let width = width.unwrap_or_default();
    let line = |gateway| {
        let name = environment.gateway_name(gateway);
        format!("{name:<width$}  http://{}/", door(doors, &name, gateway))
    };
    environment
        .gateways
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

/// A gateway's own door where it was found, else where it should be.
fn door(doors: &Doors, name: &GatewayName, gateway: &Gateway) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.http_port));
    doors.get(name).copied().unwrap_or(usual)
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
