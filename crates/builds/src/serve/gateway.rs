//! The two conversations with a gateway: what it shall run, and what it runs.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use lockgate_model::{GatewayName, Report, SignedStatement, protocol};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::body::Content;
use super::files::blocking;
use super::refusal::Refusal;
use super::{BuildServer, now_ms};

/// The largest report: 256 KiB. Fifty lines of a log are a fraction of that.
const REPORT_BYTES: usize = 256 << 10;
/// How long a report's body may take.
const REPORT_WITHIN: Duration = Duration::from_secs(10);

/// How long a query is kept that a newer one ended. Two agents with one gateway's token
/// would else end each other's queries as fast as they can ask.
const OUSTED_FOR: Duration = Duration::from_secs(1);

/// What a blocking query asks.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// The number the gateway has.
    after: u64,
    /// How long it is willing to wait.
    wait: Duration,
}

impl Asked {
    /// Reads `after=SEQ&wait=SECONDS`. Nothing means 0; longer waits are cut.
    fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut asked = Self {
            after: 0,
            wait: Duration::ZERO,
        };
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || {
                let read = value.parse::<u64>();
                read.map_err(|_| Refusal::bad_request(format!("`{name}` must be a number")))
            };
            match name {
                "after" => asked.after = number()?,
                "wait" => {
                    asked.wait = Duration::from_secs(number()?.min(protocol::MAX_WAIT_SECS));
                }
                // Later versions may ask more.
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// The wait, shortened by up to a tenth: gateways that asked together, because the
/// server was restarted, shall not keep asking together.
fn spread(wait: Duration, random: u32) -> Duration {
    let part = f64::from(random) / f64::from(u32::MAX);
    wait.mul_f64(1.0 - 0.1 * part)
}

/// Answers with the gateway's statement as soon as its number differs from `after`;
/// with 304 when that does not happen in time, when a newer query of the same
/// gateway comes, or when the server stops.
pub(super) async fn desired(
    server: &BuildServer,
    gateway: &GatewayName,
    query: Option<&str>,
    stop: &CancellationToken,
) -> Result<Response<Content>, Refusal> {
    let asked = Asked::parse(query)?;
    let random = getrandom::u32().unwrap_or_default();
    let until = Instant::now() + spread(asked.wait, random);
    let mut rings = server.notice.listen();
    let mut place = None;
    loop {
        // Before looking, so that a ring meanwhile is not missed.
        rings.mark_unchanged();
        let (store, name) = (server.store.clone(), gateway.clone());
        let held = blocking(move || store.statement(&name))
            .await
            .map_err(|error| Refusal::internal(&error))?;
        match held {
            Some((seq, signed)) if seq != asked.after => return statement_answer(&signed),
            _ if asked.wait.is_zero() => break,
            _ => {}
        }
        let place = place.get_or_insert_with(|| server.waiting.enter(gateway));
        tokio::select! {
            biased;
            () = place.ended.cancelled() => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(OUSTED_FOR) => {}
                }
                break;
            }
            () = stop.cancelled() => break,
            changed = rings.changed() => if changed.is_err() { break },
            () = tokio::time::sleep_until(until) => break,
        }
    }
    let mut answer = Response::new(Content::empty());
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    Ok(answer)
}

fn statement_answer(signed: &SignedStatement) -> Result<Response<Content>, Refusal> {
    let body = serde_json::to_vec(signed).map_err(|error| Refusal::internal(&error))?;
    let mut answer = Response::new(Content::Memory(Bytes::from(body)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Takes in a gateway's report.
pub(super) async fn status<B>(
    server: &BuildServer,
    gateway: &GatewayName,
    request: Request<B>,
) -> Result<Response<Content>, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a report has at most {REPORT_BYTES} bytes"),
        )
    };
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > REPORT_BYTES as u64) {
        return Err(too_large());
    }
    let reading = Limited::new(request.into_body(), REPORT_BYTES).collect();
    let body = match timeout(REPORT_WITHIN, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(Refusal::bad_request("the report's body was cut")),
        Err(_) => {
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "the report's body did not come in time",
            ));
        }
    };
    let report: Report = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(format!("the body is not a report: {error}")))?;
    if report.gateway != *gateway || report.env != gateway.env() {
        return Err(Refusal::bad_request(format!(
            "the report is of `{}` in `{}`, not of `{gateway}`",
            report.gateway, report.env
        )));
    }
    server.reports.put(report, now_ms());
    let mut answer = Response::new(Content::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: Option<&str>, after: u64, wait: u64) {
        let asked = Asked {
            after,
            wait: Duration::from_secs(wait),
        };
        assert_eq!(Asked::parse(query), Ok(asked), "{query:?}");
    }

    #[test]
    fn a_query_says_what_the_gateway_has_and_how_long_it_waits() {
        check(None, 0, 0);
        check(Some(""), 0, 0);
        check(Some("after=7&wait=30"), 7, 30);
        check(Some("wait=55&after=0"), 0, 55);
        check(Some("wait=600"), 0, 55);
        check(Some("later=x&after=1"), 1, 0);
        for bad in ["after=x", "after=-1", "after", "wait=", "wait=1.5"] {
            assert_eq!(Asked::parse(Some(bad)).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn ends_of_waits_are_spread_over_a_tenth() {
        let wait = Duration::from_secs(50);
        assert_eq!(spread(wait, 0), wait);
        assert_eq!(spread(wait, u32::MAX).as_secs(), 45);
        assert_eq!(spread(Duration::ZERO, u32::MAX), Duration::ZERO);
    }
}
