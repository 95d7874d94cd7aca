//! What a container says of its gateway: variables and ports, every problem named.

use std::ops::RangeInclusive;

use lockgate_model::{EnvName, environment as variable, ports};

use crate::environment::create::is_domain;
use crate::runtime::docker::found::Found;

/// What a gateway is towards everybody else. The token is a secret, so this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `GATEWAY_ID`.
    pub(crate) id: String,
    /// `GATEWAY_TOKEN`, the platform's own.
    pub(crate) token: String,
    /// `GATEWAY_HTTP_PORT`.
    pub(crate) http_port: u16,
    /// `GATEWAY_VPN_PORT`.
    pub(crate) vpn_port: u16,
    /// `DOMAIN`.
    pub(crate) domain: String,
    /// `GANYMEDE_FQDN`.
    pub(crate) ganymede: String,
}

/// Variables of the shell system that Lockgate gives itself, or that mean nothing any more.
const LOCKGATES: [&str; 9] = [
    variable::ENV_NAME,
    variable::GATEWAY_HTTP_PORT,
    variable::GATEWAY_VPN_PORT,
    variable::GATEWAY_ID,
    variable::GATEWAY_TOKEN,
    variable::GANYMEDE_FQDN,
    variable::DOMAIN,
    variable::BUILD_SERVER_IP,
    variable::BUILD_SERVER_PORT,
];

/// Variables that have one value in all containers of Lockgate, each with that.
const FIXED: [(&str, &str); 2] = [
    (variable::GATEWAY_ROOT, "/opt/gateway"),
    (variable::LOG_FILE, "/tmp/gateway.log"),
];

/// Reads the seven variables, and checks that ports are open as they say.
pub(super) fn read(env: &EnvName, one: &Found) -> Result<Identity, Vec<String>> {
    let mut reading = Reading {
        one,
        problems: Vec::new(),
    };
    let said = reading.text(variable::ENV_NAME, |text| {
        (text != env.as_str()).then(|| format!("not `{env}`"))
    });
    let http_port = reading.port(variable::GATEWAY_HTTP_PORT, ports::GATEWAY_HTTP, "tcp");
    let vpn_port = reading.port(variable::GATEWAY_VPN_PORT, ports::GATEWAY_VPN, "udp");
    let id = reading.text(variable::GATEWAY_ID, |text| {
        let is_uuid = text.len() == 36 && uuid::Uuid::parse_str(text).is_ok();
        (!is_uuid).then(|| "which is no UUID".to_owned())
    });
    let token = reading.secret(variable::GATEWAY_TOKEN);
    let no_domain = |text: &str| (!is_domain(text)).then(|| "which is no host name".to_owned());
    let ganymede = reading.text(variable::GANYMEDE_FQDN, no_domain);
    let domain = reading.text(variable::DOMAIN, no_domain);
    let all = (said, http_port, vpn_port, id, token, ganymede, domain);
    match all {
        (Some(_), Some(http), Some(vpn), Some(id), Some(token), Some(ganymede), Some(domain))
            if reading.problems.is_empty() =>
        {
            Ok(Identity {
                id,
                token,
                http_port: http,
                vpn_port: vpn,
                domain,
                ganymede,
            })
        }
        _ => Err(reading.problems),
    }
}

/// A container that is being read, and what is wrong with it so far.
struct Reading<'f> {
    one: &'f Found,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.one.variables.get(name).filter(|text| !text.is_empty());
        if value.is_none() {
            self.problem(format!("has no `{name}`"));
        }
        value.cloned()
    }

    fn problem(&mut self, what: impl std::fmt::Display) {
        self.problems.push(format!("`{}` {what}", self.one.name));
    }

    fn text(&mut self, name: &str, wrong: impl Fn(&str) -> Option<String>) -> Option<String> {
        let value = self.value(name)?;
        match wrong(&value) {
            None => Some(value),
            Some(why) => {
                self.problem(format!("has `{name}={value}`, {why}"));
                None
            }
        }
    }

    /// One word, which is not shown.
    fn secret(&mut self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.problem(format!("has a `{name}` with white space in it"));
            return None;
        }
        Some(value)
    }

    /// A port in its range that is open on the host under the same number, if it is open at all.
    fn port(&mut self, name: &str, range: RangeInclusive<u16>, protocol: &str) -> Option<u16> {
        let value = self.value(name)?;
        let Some(port) = value.parse().ok().filter(|port| range.contains(port)) else {
            self.problem(format!(
                "has `{name}={value}`, which is no port of {}–{}",
                range.start(),
                range.end()
            ));
            return None;
        };
        let open = self.one.ports.get(&format!("{port}/{protocol}"));
        let others: Vec<u16> = open
            .into_iter()
            .flatten()
            .map(|open| open.port)
            .filter(|open| *open != port)
            .collect();
        if let Some(other) = others.first() {
            self.problem(format!(
                "has its port {port}/{protocol} open as {other} on the host; Lockgate opens it under its own number"
            ));
            return None;
        }
        Some(port)
    }
}

/// What a container has and its gateway will not have, by name alone.
pub(super) fn left_behind(one: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: &str, names: Vec<&str>, how: &str| {
        if !names.is_empty() {
            notes.push(format!("{what} {}{how}", names.join(", ")));
        }
    };
    let value = |name: &str| one.variables.get(name).map_or("", String::as_str);
    let fixed = |text: &str| FIXED.iter().find(|(name, _)| *name == text);
    let gone = |text: &str| {
        LOCKGATES.contains(&text)
            || variable::NO_LONGER_USED.contains(&text)
            || one.of_image.contains(text)
            // Every container has these two, whoever made it.
            || ["PATH", "HOSTNAME"].contains(&text)
            || fixed(text).is_some()
    };
    let moved = |name: &str, usual: &str| !["", usual].contains(&value(name));
    let fixed = FIXED.iter().filter(|(name, usual)| moved(name, usual));
    note(
        "variables that are always the same in a gateway:",
        fixed.map(|(name, _)| *name).collect(),
        "",
    );
    let variables = one.variables.keys().map(String::as_str);
    note(
        "variables that are not taken over:",
        variables.filter(|text| !gone(text)).collect(),
        "; `[app] env` in lockgate.toml or `lockgate set` gives them",
    );
    note(
        "folders that a gateway will not have:",
        one.mounts.iter().map(String::as_str).collect(),
        "",
    );
    let own = [
        format!("{}/tcp", value(variable::GATEWAY_HTTP_PORT)),
        format!("{}/udp", value(variable::GATEWAY_VPN_PORT)),
    ];
    let ports = one.ports.keys();
    note(
        "ports that a gateway does not open:",
        ports
            .filter(|port| !own.contains(port))
            .map(String::as_str)
            .collect(),
        "",
    );
    notes
}
