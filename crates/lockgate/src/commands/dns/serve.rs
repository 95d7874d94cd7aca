//! `lockgate dns serve`: a name server for the domains of all environments, until Ctrl-C.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Args;
use lockgate_model::RouteName;
use lockgate_route::{DnsServer, Zones};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::warn;
use crate::commands::serve::Interrupted;
use crate::context::Context;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::names::{NAME_SERVER, domains, loopback};
use crate::server::listen::{self, ListenError};

/// How often environments are looked at: a few small files, which may not be there yet.
const LOOK: Duration = Duration::from_millis(500);
/// The port after that of multicast DNS.
const NEXT: u16 = 5354;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where it listens, by UDP and TCP (repeatable); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_values_t = [NAME_SERVER])]
    listen: Vec<SocketAddr>,
    /// Where names lead; the front door's own addresses by default (repeatable)
    #[arg(long, value_name = "IP")]
    address: Vec<IpAddr>,
    /// Who is asked for all other names; they are refused by default
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server)]
    forward: Option<SocketAddr>,
}

/// A name server's address, whose port is 53 unless it is said.
fn server(text: &str) -> Result<SocketAddr, String> {
    let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse()
        .or_else(|_| alone())
        .map_err(|_| "expected an IP address, with or without a port".to_owned())
}

/// Serves until it is told to stop.
pub(super) async fn serve(args: ServeArgs, ctx: &Context) -> Result<(), CommandError> {
    let mut interrupted = Interrupted::new()?;
    let mut known = Environment::list(&ctx.config.home).map(|all| domains(&all))?;
    let sockets = bind_all(&args.listen)?;
    let at: Vec<SocketAddr> = sockets.iter().map(|(.., address)| *address).collect();
    if let Some(forward) = args.forward.filter(|forward| at.contains(forward)) {
        return Err(CommandError::usage(format!(
            "`--forward {forward}` is this server itself"
        )));
    }
    let addresses = match args.address.as_slice() {
        [] => loopback(),
        given => given.to_vec(),
    };
    let (zones, watched) = watch::channel(zones(&known, &addresses));
    let server = DnsServer::new(watched, args.forward);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for (udp, tcp, _) in sockets {
        let (server, stop) = (server.clone(), stop.clone());
        tasks.spawn(async move { server.serve(udp, tcp, stop).await });
    }
    started(ctx, &known, &at, &addresses, args.forward)?;
    let followed = follow(ctx, &mut known, &addresses, &zones);
    let ended = tokio::select! {
        () = interrupted.wait() => Ok(()),
        ended = followed => ended,
    };
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    ended
}

fn zones(domains: &[String], addresses: &[IpAddr]) -> Zones {
    let names = domains.iter().filter_map(|it| RouteName::parse(it).ok());
    let names: Vec<RouteName> = names.collect();
    Zones::new(&names, addresses)
}

/// Follows environments as they come and go, for ever.
async fn follow(
    ctx: &Context,
    known: &mut Vec<String>,
    addresses: &[IpAddr],
    told: &watch::Sender<Zones>,
) -> Result<(), CommandError> {
    let mut problem = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = match Environment::list(&ctx.config.home) {
            Ok(all) => domains(&all),
            // What was known goes on being served.
            Err(error) => {
                let text = CommandError::from(error).render(ctx.screen.err);
                if problem.as_ref() != Some(&text) {
                    ctx.screen.warn(text.trim_end());
                    problem = Some(text);
                }
                continue;
            }
        };
        problem = None;
        if now == *known {
            continue;
        }
        told.send_replace(zones(&now, addresses));
        changed(ctx, known, &now)?;
        *known = now;
    }
}

/// What the name server tells.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Serving<'s> {
    /// It answers.
    Serving {
        /// Where, by UDP and TCP.
        listen: &'s [SocketAddr],
        /// The domains that it answers for.
        domains: &'s [String],
        /// Where their names lead.
        addresses: &'s [IpAddr],
        /// Who is asked for other names.
        forward: Option<SocketAddr>,
    },
    /// The domains are others now.
    Domains {
        /// All of them.
        domains: &'s [String],
    },
}

fn started(
    ctx: &Context,
    domains: &[String],
    at: &[SocketAddr],
    addresses: &[IpAddr],
    forward: Option<SocketAddr>,
) -> Result<(), CommandError> {
    warn(ctx, domains);
    for address in at.iter().filter(|it| it.ip().is_unspecified()) {
        ctx.screen.warn(&format!(
            "`{address}` answers every network of this machine"
        ));
    }
    if ctx.screen.is_json() {
        return ctx.screen.document(&Serving::Serving {
            listen: at,
            domains,
            addresses,
            forward,
        });
    }
    let join = |all: Vec<String>| all.join(", ");
    let at = join(at.iter().map(ToString::to_string).collect());
    let to = join(addresses.iter().map(ToString::to_string).collect());
    ctx.screen
        .data(&format!("answering on {at}, by UDP and TCP\n"))?;
    for domain in domains {
        ctx.screen.say(&format!("  *.{domain} leads to {to}"));
    }
    if domains.is_empty() {
        ctx.screen
            .warn("there is no environment yet; its domain is answered for once there is one");
    }
    if let Some(forward) = forward {
        ctx.screen
            .say(&format!("  other names: asked of {forward}"));
    }
    ctx.screen
        .say("`lockgate dns lines` says what makes this machine ask here; Ctrl-C ends it");
    Ok(())
}

fn changed(ctx: &Context, before: &[String], now: &[String]) -> Result<(), CommandError> {
    let (old, new) = (BTreeSet::from_iter(before), BTreeSet::from_iter(now));
    if ctx.screen.is_json() {
        return ctx.screen.document(&Serving::Domains { domains: now });
    }
    for domain in new.difference(&old) {
        ctx.screen.say(&format!("  *.{domain} is answered for"));
        warn(ctx, std::slice::from_ref(*domain));
    }
    for domain in old.difference(&new) {
        ctx.screen
            .say(&format!("  *.{domain} is no longer answered for"));
    }
    Ok(())
}

type Sockets = (UdpSocket, TcpListener, SocketAddr);

/// Binds all, or none.
fn bind_all(wanted: &[SocketAddr]) -> Result<Vec<Sockets>, CommandError> {
    let bind = |address: &SocketAddr| {
        // TCP first: nobody shares that.
        let (tcp, address) = listen::bind(*address)?;
        Ok((listen::bind_udp(address)?, tcp, address))
    };
    let bound: Result<Vec<Sockets>, ListenError> = wanted.iter().map(bind).collect();
    bound.map_err(|error| {
        let told = CommandError::failed("the name server cannot listen").because(&error);
        match error {
            ListenError::Taken { address, .. } => told.hint(format!(
                "another port: `lockgate dns serve --listen {next}`, and `lockgate dns lines \
                 --server {next}`",
                next = SocketAddr::new(address.ip(), NEXT)
            )),
            ListenError::Bind { address, source }
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                told.hint(format!(
                    "ports below 1024 are root's: `sudo sysctl \
                     net.ipv4.ip_unprivileged_port_start=53` opens them to everybody; \
                     `--listen {}` needs nothing",
                    SocketAddr::new(address.ip(), NAME_SERVER.port())
                ))
            }
            ListenError::Bind { .. } => told.hint("`ip address` shows the addresses of this host"),
        }
    })
}
