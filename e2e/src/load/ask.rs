//! One request, from its order to a sample or a loss.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Version, header};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::connections::Connection;
use super::loss::{Kind, Loss, Stage, sentence};
use super::orders::{Class, Order};
use super::speaks::Answerer;
use super::way::Unconnected;

/// How long an answer may take from the time at which it was due.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why an exchange failed.
struct Failed {
    kind: Kind,
    said: String,
}

impl Failed {
    fn io(error: &std::io::Error) -> Self {
        Self {
            kind: Kind::of_io(error),
            said: error.to_string(),
        }
    }

    fn hyper(error: &hyper::Error) -> Self {
        Self {
            kind: Kind::of_hyper(error),
            said: sentence(error),
        }
    }
}

/// How far an exchange has come; what is known of it when it is cut.
struct Progress {
    stage: Stage,
    answered_before: Option<u64>,
}

/// Asks, and notes what came of it.
pub(super) async fn ask(shared: Arc<Shared>, order: Order) {
    let due = shared.started + order.due;
    let mut progress = Progress {
        stage: Stage::Connect,
        answered_before: None,
    };
    let exchange = exchange(&shared, &order, &mut progress);
    let done = timeout_at(due + ANSWER_WITHIN, exchange).await;
    let done = done.unwrap_or_else(|_| {
        Err(Failed {
            kind: Kind::Late,
            said: format!("no whole answer within {} s", ANSWER_WITHIN.as_secs()),
        })
    });
    let at = shared.started.elapsed();
    let kept = match done {
        Ok((answerer, kept)) => {
            shared.outcome().answered(&order, at, answerer);
            kept
        }
        Err(Failed { kind, said }) => {
            shared.outcome().lost(Loss {
                class: order.class,
                due: order.due,
                at,
                stage: progress.stage,
                kind,
                said,
                answered_before: progress.answered_before,
            });
            None
        }
    };
    if order.class.is_kept() {
        let now = Instant::now();
        shared.connections().put(order.class, kept, now);
    }
}

/// Sends the request, reads the answer; returns who gave it, and the connection where it
/// may be asked again.
async fn exchange(
    shared: &Shared,
    order: &Order,
    progress: &mut Progress,
) -> Result<(Answerer, Option<Connection>), Failed> {
    let mut request = shared.speaks.request(order, &shared.bodies);
    shared.way.address(&mut request);
    let mut kept = None;
    if order.class.is_kept() {
        kept = shared.connections().take(order.class, Instant::now());
    }
    let (response, mut connection) = loop {
        let mut connection = match kept.take() {
            Some(kept) => kept,
            None => open(shared, progress).await?,
        };
        if order.class == Class::Late {
            sleep(order.takes()).await;
        }
        progress.stage = Stage::Head;
        progress.answered_before = connection.answered;
        match connection.sender.send(request).await {
            Ok(response) => break (response, connection),
            Err(mut error) => match error.take_message() {
                // The server had closed an idle connection, which was seen in time.
                Some(unsent) if connection.answered.is_some() => {
                    shared.outcome().closed_idle += 1;
                    request = unsent;
                }
                _ => return Err(Failed::hyper(error.error())),
            },
        }
    };
    progress.stage = Stage::Body;
    let (head, body) = response.into_parts();
    let answer = body
        .collect()
        .await
        .map_err(|error| Failed::hyper(&error))?;
    let answer = answer.to_bytes();
    progress.stage = Stage::Answered;
    if head.status != http::StatusCode::OK {
        return Err(Failed {
            kind: Kind::Status(head.status.as_u16()),
            said: beginning(&answer),
        });
    }
    let checked = shared.speaks.check(order, &shared.bodies, &answer);
    let answerer = checked.map_err(|said| Failed {
        kind: Kind::Wrong,
        said,
    })?;
    let again = order.class.is_kept() && !is_told_to_close(head.version, &head.headers);
    if again && connection.sender.ready().await.is_ok() {
        connection.answered = Some(answerer.pid);
        return Ok((answerer, Some(connection)));
    }
    Ok((answerer, None))
}

async fn open(shared: &Shared, progress: &mut Progress) -> Result<Connection, Failed> {
    progress.stage = Stage::Connect;
    let opened = shared.way.connection().await;
    opened.map_err(|error| match error {
        Unconnected::Io(error) => Failed::io(&error),
        Unconnected::Hyper(error) => Failed::hyper(&error),
    })
}

/// The first line of an answer, for people.
fn beginning(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

fn is_told_to_close(version: Version, headers: &HeaderMap) -> bool {
    let said = |word: &str| {
        let values = headers.get_all(header::CONNECTION).iter();
        values.filter_map(|value| value.to_str().ok()).any(|value| {
            let mut words = value.split(',');
            words.any(|it| it.trim().eq_ignore_ascii_case(word))
        })
    };
    said("close") || (version < Version::HTTP_11 && !said("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_kept_unless_it_was_told_to_close() {
        for (version, connection, closes) in [
            (Version::HTTP_11, "keep-alive", false),
            (Version::HTTP_11, "Close", true),
            (Version::HTTP_11, "upgrade, close", true),
            (Version::HTTP_10, "", true),
            (Version::HTTP_10, "keep-alive", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, connection.parse().unwrap());
            assert_eq!(is_told_to_close(version, &headers), closes, "{connection}");
        }
        assert!(!is_told_to_close(Version::HTTP_11, &HeaderMap::new()));
    }
}
