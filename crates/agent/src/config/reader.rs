//! Takes values out of the environment and collects what is wrong with them.

use std::collections::BTreeMap;

use lockgate_model::environment as var;

use super::Problem;

/// The variables of a gateway.
const OURS: [&str; 25] = [
    var::ENV_NAME,
    var::GATEWAY_HTTP_PORT,
    var::GATEWAY_VPN_PORT,
    var::GATEWAY_ID,
    var::GATEWAY_TOKEN,
    var::GANYMEDE_FQDN,
    var::DOMAIN,
    var::BUILD_SERVER_IP,
    var::BUILD_SERVER_PORT,
    var::GATEWAY_ROOT,
    var::LOG_FILE,
    var::LOCKGATE_SERVER,
    var::LOCKGATE_SERVERS_FILE,
    var::LOCKGATE_KEY,
    var::LOCKGATE_TOKEN_FILE,
    var::LOCKGATE_GATEWAY,
    var::LOCKGATE_RELEASES,
    var::LOCKGATE_SOCKET,
    var::LOCKGATE_APP_ADDRESS,
    var::LOCKGATE_DOOR_IP,
    var::LOCKGATE_DOOR,
    var::LOCKGATE_DOOR_FORWARDED,
    var::LOCKGATE_CA_FILE,
    var::LOCKGATE_HOSTS_FILE,
    "LOCKGATE_TOKEN",
];

/// Whether the agent reads this variable.
pub(super) fn is_ours(name: &str) -> bool {
    OURS.contains(&name)
}

/// The variables, and the problems found so far.
pub(crate) struct Reader<'a> {
    vars: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vars: &'a BTreeMap<String, String>) -> Self {
        Self {
            vars,
            problems: Vec::new(),
        }
    }

    /// All variables with a value.
    pub(super) fn all(&self) -> &'a BTreeMap<String, String> {
        self.vars
    }

    /// Whether the variable has a value. An empty one counts as none, as in shells'
    /// `${NAME:-default}`.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let value = self.vars.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Reads a variable that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.is_set(name) {
            self.problem(name, "is not set".to_owned());
        }
        self.optional(name, parse)
    }

    /// Reads a variable that may be absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.value(name)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(name, why);
                None
            }
        }
    }

    /// Remembers a problem; a variable is named once.
    pub(crate) fn problem(&mut self, name: &str, why: String) {
        if !self.problems.iter().any(|problem| problem.name == name) {
            self.problems.push(Problem {
                name: name.to_owned(),
                why,
            });
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
