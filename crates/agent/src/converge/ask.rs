//! Asks the build server for the gateway's statement, at each place where it may be.

use std::time::Duration;

use lockgate_builds::client::{Client, Endpoint, Secret};
use lockgate_builds::fetch::desired;
use lockgate_builds::sign::PublicKey;
use lockgate_model::{GatewayName, SignedStatement, Statement};

use crate::error::in_one_line;
use crate::server::Servers;

/// What every question needs.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// Where to ask.
    pub(crate) servers: Servers,
    /// The key that answers must be signed with.
    pub(crate) key: PublicKey,
    /// Who asks.
    pub(crate) gateway: GatewayName,
    /// What opens the server.
    pub(crate) token: Secret,
}

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Asked after this delay.
    pub(crate) delay: Duration,
    /// The server that answered last, asked first.
    pub(crate) remembered: Option<Endpoint>,
    /// The number that the agent knows.
    pub(crate) after: u64,
    /// How long the server may wait for another one.
    pub(crate) wait: Duration,
}

/// A server's answer.
pub(crate) struct Answer {
    /// Who answered.
    pub(crate) endpoint: Endpoint,
    /// Another statement than the known one, verified.
    pub(crate) statement: Option<(Statement, SignedStatement)>,
}

/// Why no server gave an answer, one line each.
#[derive(Debug)]
pub(crate) struct NoAnswer(pub(crate) String);

/// How much longer than the wait itself an answer may take.
const SLACK: Duration = Duration::from_secs(15);

impl Asker {
    /// The client that this gateway uses towards a server.
    pub(crate) fn client(&self, endpoint: Endpoint) -> Client {
        Client {
            endpoint,
            program: concat!("lockgate-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
            token: Some(self.token.clone()),
        }
    }

    /// Asks one server after the other until one gives an answer that the key
    /// verifies.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, NoAnswer> {
        tokio::time::sleep(question.delay).await;
        let mut endpoints = self.servers.endpoints();
        if let Some(remembered) = question.remembered
            && let Some(at) = endpoints.iter().position(|other| *other == remembered)
        {
            let remembered = endpoints.remove(at);
            endpoints.insert(0, remembered);
        }
        let mut failures = Vec::new();
        for endpoint in endpoints {
            let client = self.client(endpoint.clone());
            let answer = desired(
                &client,
                &self.key,
                &self.gateway,
                question.after,
                question.wait,
            );
            let why = match tokio::time::timeout(question.wait + SLACK, answer).await {
                Ok(Ok(statement)) => {
                    return Ok(Answer {
                        endpoint,
                        statement,
                    });
                }
                Ok(Err(error)) => in_one_line(&error),
                Err(_) => format!("no answer in {:?}", question.wait + SLACK),
            };
            let name = endpoint.to_string();
            failures.push(if why.contains(&name) {
                why
            } else {
                format!("{name}: {why}")
            });
        }
        if failures.is_empty() {
            failures.push(match &self.servers.file {
                Some(path) => format!(
                    "there is no address to ask: `{}` names none",
                    path.display()
                ),
                None => "there is no address to ask: set `LOCKGATE_SERVER`".to_owned(),
            });
        }
        Err(NoAnswer(failures.join("; ")))
    }
}
