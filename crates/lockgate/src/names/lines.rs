//! What each resolver has to be told, where that is written, and what makes it count.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Resolver, is_below_localhost};

/// What is to be done for one resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Lines {
    /// Each file with its lines, which are added or are all of it.
    pub(crate) files: Vec<File>,
    /// The commands that make them count.
    pub(crate) commands: Vec<String>,
    /// Whether `lockgate dns serve` has to run for it.
    pub(crate) needs_server: bool,
    /// What one has to know beside it.
    pub(crate) notes: Vec<String>,
}

/// Lines of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct File {
    /// Where it lies.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

/// What lines are made from.
#[derive(Debug, Clone)]
pub(crate) struct About<'a> {
    /// The domains whose names shall resolve.
    pub(crate) domains: &'a [String],
    /// The names that are known, for who knows no wildcards.
    pub(crate) names: &'a [String],
    /// Where they lead.
    pub(crate) addresses: &'a [IpAddr],
    /// Where `lockgate dns serve` listens.
    pub(crate) server: SocketAddr,
    /// The servers that `/etc/resolv.conf` names.
    pub(crate) upstream: &'a [&'a str],
}

/// What a resolver has to be told.
pub(crate) fn lines(resolver: Resolver, about: &About<'_>) -> Lines {
    match resolver {
        Resolver::SystemdResolved => systemd_resolved(about),
        Resolver::Dnsmasq => Lines {
            files: vec![file("/etc/dnsmasq.d/lockgate.conf", dnsmasq(about))],
            commands: commands(&["sudo systemctl restart dnsmasq"]),
            needs_server: false,
            notes: Vec::new(),
        },
        Resolver::Networkmanager => Lines {
            files: vec![
                file(
                    "/etc/NetworkManager/conf.d/lockgate.conf",
                    "[main]\ndns=dnsmasq\n".to_owned(),
                ),
                file(
                    "/etc/NetworkManager/dnsmasq.d/lockgate.conf",
                    dnsmasq(about),
                ),
            ],
            commands: commands(&["sudo systemctl restart NetworkManager"]),
            needs_server: false,
            notes: vec!["the program `dnsmasq` has to be installed, its own service need not run (Debian: dnsmasq-base)".to_owned()],
        },
        Resolver::Coredns => Lines {
            files: vec![file("Corefile", coredns(about))],
            commands: commands(&["kill -USR1 $(pidof coredns)"]),
            needs_server: true,
            notes: vec!["in a container 127.0.0.1 is the container: let `lockgate dns serve --listen` take an address of this host that it reaches".to_owned()],
        },
        Resolver::ResolvConf => resolv_conf(about),
        Resolver::Hosts => Lines {
            files: vec![file("/etc/hosts", hosts(about))],
            commands: Vec::new(),
            needs_server: false,
            notes: vec!["only these names: organizations that are assigned later and user containers need lines of their own".to_owned()],
        },
        Resolver::Macos => macos(about),
        Resolver::Windows => windows(about),
    }
}

fn file(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        text,
    }
}

fn commands(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Needs version 246, of 2020, for the port.
fn systemd_resolved(about: &About<'_>) -> Lines {
    let known = |domain: &&String| is_below_localhost(domain);
    let others = about.domains.iter().filter(|it| !known(it));
    let routed: Vec<String> = others.map(|domain| format!("~{domain}")).collect();
    let mut notes = Vec::new();
    if about.domains.iter().any(|domain| known(&domain)) {
        notes.push("it knows all names below `localhost` by itself".to_owned());
    }
    let text = format!(
        "[Resolve]\nDNS={}\nDomains={}\n",
        about.server,
        routed.join(" ")
    );
    let path = "/etc/systemd/resolved.conf.d/lockgate.conf";
    let wanted = !routed.is_empty();
    Lines {
        files: wanted.then(|| file(path, text)).into_iter().collect(),
        commands: wanted
            .then(|| "sudo systemctl restart systemd-resolved".to_owned())
            .into_iter()
            .collect(),
        needs_server: wanted,
        notes,
    }
}

/// dnsmasq answers for whole domains by itself.
fn dnsmasq(about: &About<'_>) -> String {
    let lines = about.domains.iter().flat_map(|domain| {
        let all = about.addresses.iter();
        all.map(move |address| format!("address=/{domain}/{address}\n"))
    });
    lines.collect()
}

fn coredns(about: &About<'_>) -> String {
    let domains = about.domains.join(" ");
    format!("{domains} {{\n    forward . {}\n}}\n", about.server)
}

/// The C library asks port 53 and nothing else, and one server for everything.
fn resolv_conf(about: &About<'_>) -> Lines {
    let server = match about.server {
        server if server.port() == 53 => server,
        server => SocketAddr::new(server.ip(), 53),
    };
    let upstream = about
        .upstream
        .iter()
        .filter_map(|it| it.parse::<IpAddr>().ok());
    let forward = upstream
        .filter(|it| *it != server.ip())
        .map(|it| format!(" --forward {}", SocketAddr::new(it, 53)))
        .next()
        .unwrap_or_default();
    Lines {
        files: vec![file("/etc/resolv.conf", format!("nameserver {}\n", server.ip()))],
        commands: vec![format!("sudo lockgate dns serve --listen {server}{forward}")],
        needs_server: false,
        notes: vec![
            "that line before all others; where a program writes this file, it has to be told instead".to_owned(),
            "under sudo, LOCKGATE_HOME has to name this user's home: `sudo LOCKGATE_HOME=… lockgate …`".to_owned(),
        ],
    }
}

fn hosts(about: &About<'_>) -> String {
    let names = about.names.iter();
    let lines = names.flat_map(|name| {
        let all = about.addresses.iter();
        all.map(move |address| format!("{address} {name}\n"))
    });
    lines.collect()
}

fn macos(about: &About<'_>) -> Lines {
    let (ip, port) = (about.server.ip(), about.server.port());
    let text = format!("nameserver {ip}\nport {port}\n");
    let domains = about.domains.iter();
    Lines {
        files: domains
            .map(|domain| file(&format!("/etc/resolver/{domain}"), text.clone()))
            .collect(),
        commands: commands(&["sudo killall -HUP mDNSResponder"]),
        needs_server: true,
        notes: vec!["`scutil --dns` shows them; `dig` and `host` do not look there".to_owned()],
    }
}

/// The table of Windows for domains; it knows no port but 53.
fn windows(about: &About<'_>) -> Lines {
    let ip = about.server.ip();
    let rule = |domain: &String| {
        format!("Add-DnsClientNrptRule -Namespace '{domain}','.{domain}' -NameServers '{ip}'")
    };
    let rules = about.domains.iter().map(rule);
    Lines {
        files: Vec::new(),
        commands: rules.chain(["Clear-DnsClientCache".to_owned()]).collect(),
        needs_server: true,
        notes: vec![
            "in a PowerShell of an administrator; browsers need none of it below `localhost`".to_owned(),
            "Windows asks port 53: `lockgate dns serve --listen ADDRESS:53`, and beside WSL an address of WSL that Windows reaches (`hostname -I`), which `--server` puts here".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests;
