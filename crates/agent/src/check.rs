//! Asks whether a service of the host is ready.
//!
//! A service listens by itself, so what answers at its address need not be the service. It is
//! asked once before each start: what answers then is somebody else, beside whom the service could
//! not listen.

use std::io;
use std::time::Duration;

use humantime::format_duration;
use lockgate_model::ReadyCheck;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::probe::{AskError, is_well, status};

/// How long one answer may take. Two seconds, as for applications.
const ANSWER: Duration = Duration::from_secs(2);

/// How long an address is asked whether it is free; one that is refuses at once.
const FREE: Duration = Duration::from_millis(200);

/// The pause before a service is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a service without a check has to run to be ready: what is wrong with its command shows
/// sooner.
const MOMENT: Duration = Duration::from_secs(1);

/// When a service is ready.
#[derive(Debug, Clone, Default)]
pub(crate) struct Check(Option<ReadyCheck>);

/// Why a service is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("nothing listens at `{0}` yet")]
    NothingListens(ReadyCheck),
    #[error("cannot connect to `{0}`: {1}")]
    Connect(ReadyCheck, io::Error),
    #[error("`{0}`: {1}")]
    Ask(ReadyCheck, AskError),
    #[error("`{0}` was not answered within {1}")]
    Late(ReadyCheck, humantime::FormattedDuration),
    #[error("`{0}` was answered {1}")]
    BadAnswer(ReadyCheck, http::StatusCode),
}

/// Something else answers where a service is to be asked.
#[derive(Debug, thiserror::Error)]
#[error("something else answers at `{0}` already")]
pub(crate) struct Answered(ReadyCheck);

impl Check {
    pub(crate) fn new(check: Option<ReadyCheck>) -> Self {
        Self(check)
    }

    /// Whether the address is free, before a service is started that is asked there.
    pub(crate) async fn is_free(&self) -> Result<(), Answered> {
        let Some(check) = &self.0 else {
            return Ok(());
        };
        match timeout(FREE, ask(check)).await {
            Ok(Ok(())) => Err(Answered(check.clone())),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Whether there is anything to ask.
    pub(crate) fn asks(&self) -> bool {
        self.0.is_some()
    }

    /// Asks once; why the service is not ready.
    pub(crate) async fn answers(&self) -> Result<(), String> {
        match &self.0 {
            Some(check) => attempt(check).await.map_err(|why| why.to_string()),
            None => Ok(()),
        }
    }

    /// Returns when the service is ready. Says why it is not, each time that is something new.
    pub(crate) async fn ready(&self, mut not_ready: impl FnMut(String)) {
        let Some(check) = &self.0 else {
            sleep(MOMENT).await;
            return;
        };
        let mut said = String::new();
        while let Err(why) = attempt(check).await {
            let why = why.to_string();
            if why != said {
                not_ready(why.clone());
                said = why;
            }
            sleep(PAUSE).await;
        }
    }
}

async fn attempt(check: &ReadyCheck) -> Result<(), NotReady> {
    match timeout(ANSWER, ask(check)).await {
        Ok(asked) => asked,
        Err(_) => Err(NotReady::Late(check.clone(), format_duration(ANSWER))),
    }
}

async fn ask(check: &ReadyCheck) -> Result<(), NotReady> {
    let connected = TcpStream::connect((check.host.as_str(), check.port)).await;
    let stream = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => NotReady::NothingListens(check.clone()),
        _ => NotReady::Connect(check.clone(), error),
    })?;
    let Some(path) = &check.path else {
        return Ok(());
    };
    let answer = status(stream, &check.authority(), path).await;
    let answer = answer.map_err(|error| NotReady::Ask(check.clone(), error))?;
    if is_well(answer) {
        Ok(())
    } else {
        Err(NotReady::BadAnswer(check.clone(), answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers each connection with the next of these.
    async fn server(answers: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        port
    }

    fn check(text: &str) -> Check {
        Check::new(Some(ReadyCheck::parse(text).unwrap()))
    }

    /// What is said until it is ready, without the address.
    async fn said(text: &str) -> Vec<String> {
        let mut said = Vec::new();
        check(text)
            .ready(|why| said.push(why.replace(text, "URL")))
            .await;
        said
    }

    #[tokio::test]
    async fn a_path_has_to_be_answered_well() {
        let port = server(&[
            "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
            "no HTTP\r\n\r\n",
            "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        ])
        .await;
        let said = said(&format!("http://127.0.0.1:{port}/healthz")).await;
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[0], "`URL` was answered 503 Service Unavailable");
        assert!(
            said[1].starts_with("`URL`: `GET /healthz` was not answered"),
            "{said:?}"
        );
    }

    #[tokio::test]
    async fn a_port_has_to_accept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let url = format!("tcp://127.0.0.1:{port}");
        check(&url).is_free().await.unwrap();
        let later = tokio::spawn(async move {
            sleep(PAUSE / 2).await;
            TcpListener::bind(("127.0.0.1", port)).await.unwrap()
        });
        assert_eq!(said(&url).await, ["nothing listens at `URL` yet"]);
        let error = check(&url).is_free().await.unwrap_err().to_string();
        assert_eq!(error, format!("something else answers at `{url}` already"));
        drop(later.await.unwrap());
    }

    #[tokio::test]
    async fn without_a_check_it_has_to_run_for_a_moment() {
        let started = tokio::time::Instant::now();
        let check = Check::default();
        check.is_free().await.unwrap();
        check.ready(|why| panic!("{why}")).await;
        assert!(started.elapsed() >= MOMENT);
    }
}
