//! Which names are the application's to set. Pure.

use lockgate_model::environment as variable;

use crate::workspace::is_variable_name;

/// Why a name is not to be set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// No variable can have it.
    #[error("a name is made of letters, digits and `_`, and does not begin with a digit")]
    Malformed,
    /// The gateway is made of it.
    #[error("it is part of what a gateway is made with, so Lockgate sets it")]
    OfTheGateway,
    /// The agent says something with it to every process that it starts.
    #[error("the agent says with it which sockets an application gets")]
    OfTheAgent,
}

/// What a gateway is made with; its agent reads these, and so may the application.
const OF_THE_GATEWAY: [&str; 4] = [
    variable::ENV_NAME,
    variable::GANYMEDE_FQDN,
    variable::DOMAIN,
    variable::LOG_FILE,
];

/// All variables that begin so are the gateway's.
const GATEWAY_PREFIXES: [&str; 3] = ["GATEWAY_", "LOCKGATE_", "BUILD_SERVER_"];

/// All variables that begin so are what the agent says.
const AGENT_PREFIXES: [&str; 2] = ["LISTEN_", "NOTIFY_SOCKET"];

/// Whether the name is the application's to set.
pub(crate) fn check_name(name: &str) -> Result<(), NameError> {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if !is_variable_name(name) {
        Err(NameError::Malformed)
    } else if OF_THE_GATEWAY.contains(&name) || begins(&GATEWAY_PREFIXES) {
        Err(NameError::OfTheGateway)
    } else if begins(&AGENT_PREFIXES) {
        Err(NameError::OfTheAgent)
    } else {
        Ok(())
    }
}

/// What whoever sets this should know.
pub(crate) fn remark(name: &str) -> Option<&'static str> {
    match name {
        "PATH" => Some("the application's command is looked for along it, `node` too"),
        "PORT" => Some("the agent sets it to the first port of `[[app.socket]]`; now it is yours"),
        "LD_PRELOAD" | "LD_LIBRARY_PATH" => {
            Some("it reaches every program that the application starts")
        }
        name if variable::NO_LONGER_USED.contains(&name) => {
            Some("Lockgate does not read it any more; the application gets it all the same")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_own_names_are_refused() {
        use NameError::{Malformed, OfTheAgent, OfTheGateway};
        for (name, expected) in [
            ("DATABASE_URL", Ok(())),
            ("_x1", Ok(())),
            ("NODE_OPTIONS", Ok(())),
            ("NODE_ENV", Ok(())),
            ("DOMAIN_NAME", Ok(())),
            ("MY_GATEWAY_ID", Ok(())),
            ("", Err(Malformed)),
            ("1A", Err(Malformed)),
            ("A B", Err(Malformed)),
            ("A-B", Err(Malformed)),
            ("ENV_NAME", Err(OfTheGateway)),
            ("DOMAIN", Err(OfTheGateway)),
            ("GANYMEDE_FQDN", Err(OfTheGateway)),
            ("LOG_FILE", Err(OfTheGateway)),
            ("GATEWAY_TOKEN", Err(OfTheGateway)),
            ("GATEWAY_ANYTHING", Err(OfTheGateway)),
            ("LOCKGATE_SERVER", Err(OfTheGateway)),
            ("BUILD_SERVER_IP", Err(OfTheGateway)),
            ("LISTEN_FDS", Err(OfTheAgent)),
            ("NOTIFY_SOCKET", Err(OfTheAgent)),
        ] {
            assert_eq!(check_name(name), expected, "{name}");
        }
    }

    #[test]
    fn what_may_surprise_is_remarked() {
        for (name, expected) in [
            ("PATH", true),
            ("PORT", true),
            ("WORKSPACE", true),
            ("NODE_OPTIONS", false),
            ("A", false),
        ] {
            assert_eq!(remark(name).is_some(), expected, "{name}");
        }
    }
}
