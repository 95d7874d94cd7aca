//! What is seen of a gateway from outside.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use lockgate_builds::client::{Client, Endpoint};
use lockgate_model::protocol::BUILD_HEADER;
use lockgate_model::{BuildId, Report};

use crate::application::is_alive;
use crate::world::{DEADLINE, World};

/// Status, build and body of an answer.
pub(crate) type Answer = Result<(u16, Option<String>, Bytes), String>;

/// What the application's process answers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: String,
    pub(crate) pid: i32,
}

impl World {
    /// Waits for a report.
    pub(crate) async fn report(&self, what: &str, is_it: impl Fn(&Report) -> bool) -> Report {
        let mut changes = self.reports.version();
        let mut last = None;
        let waiting = async {
            loop {
                last = self.reports.all().pop().map(|received| received.report);
                if let Some(report) = last.as_ref().filter(|report| is_it(report)) {
                    return report.clone();
                }
                changes.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(DEADLINE, waiting).await;
        found.unwrap_or_else(|_| panic!("no report {what}; last {last:#?}\n{}", self.told()))
    }

    pub(crate) async fn settled(&self, seq: u64) -> Report {
        self.report(&format!("settles {seq}"), |report| {
            report.seq == seq && report.settled == seq
        })
        .await
    }

    /// One request for `/` through the gateway's door: status, build, body.
    pub(crate) async fn get(&self) -> Answer {
        self.get_path("/").await
    }

    pub(crate) async fn get_path(&self, path: &str) -> Answer {
        let client = Client {
            endpoint: Endpoint::Tcp {
                host: "127.0.0.1".to_owned(),
                port: self.door_port,
            },
            program: "test".to_owned(),
            token: None,
        };
        let request = http::Request::get(path).body(Bytes::new()).unwrap();
        let answer = client
            .send(request, DEADLINE)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let (head, body) = answer.into_parts();
        let build = head
            .headers
            .get(BUILD_HEADER)
            .map(|value| value.to_str().unwrap().to_owned());
        let body = body
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok((head.status.as_u16(), build, body))
    }

    /// What the application says, once it answers.
    pub(crate) async fn hello(&self) -> Hello {
        let asking = async {
            loop {
                if let Ok((200, _, body)) = self.get().await {
                    return serde_json::from_slice(&body).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let hello = tokio::time::timeout(DEADLINE, asking).await;
        hello.unwrap_or_else(|_| panic!("no answer\n{}", self.told()))
    }

    /// Waits until a process is gone.
    pub(crate) async fn gone(&self, pid: i32) {
        self.until("the process is gone", || !is_alive(pid)).await;
    }

    /// Waits for a condition that nothing announces.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let done = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(done.is_ok(), "not in time: {what}\n{}", self.told());
    }

    /// What the agent wrote, for a failure's message.
    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// The builds in the folder of releases.
    pub(crate) fn releases(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path("lockgate/releases"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| BuildId::parse(name).is_ok())
            .collect();
        names.sort();
        names
    }
}
