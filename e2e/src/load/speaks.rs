//! What applications are asked, and whether an answer is whole and right.

use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::Value;

use super::bodies::{Bodies, Sent};
use super::orders::{Class, Order};

/// Which application answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// `e2e/apps/load`: names the digest of what was sent to it.
    LoadApplication,
    /// `examples/gateway`: has read a body when it can answer what the body asks.
    ExampleGateway,
}

/// Who gave an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answerer {
    /// The version.
    pub version: String,
    /// The process.
    pub pid: u64,
}

impl Speaks {
    /// Where WebSockets echo.
    pub(super) const WEBSOCKET: &str = "/ws";

    /// A body with these letters in it.
    pub(super) fn body(self, letters: &str) -> String {
        match self {
            Self::LoadApplication => letters.to_owned(),
            Self::ExampleGateway => format!(
                "{{\"query\":\"{{gateway{{version pid}}}}\",\"variables\":{{\"letters\":\"{letters}\"}}}}"
            ),
        }
    }

    /// The request that an order stands for.
    pub(super) fn request(self, order: &Order, bodies: &Bodies) -> Request<Sent> {
        let slow_ms = order.slow_ms;
        let (method, path) = match (order.class, self) {
            (Class::New | Class::Keep | Class::Late, _) => (Method::GET, "/".to_owned()),
            (Class::Slow, _) => (Method::GET, format!("/slow?ms={slow_ms}")),
            (Class::Stream, _) => (Method::GET, format!("/stream?ms={slow_ms}")),
            (Class::Post | Class::Upload, Self::LoadApplication) => {
                (Method::POST, "/digest".to_owned())
            }
            (Class::Post | Class::Upload, Self::ExampleGateway) => {
                (Method::POST, "/graphql".to_owned())
            }
        };
        let mut body = Bytes::new();
        let mut request = Request::new(Sent::default());
        let headers = request.headers_mut();
        headers.insert(header::HOST, header::HeaderValue::from_static("127.0.0.1"));
        if order.class.is_post() {
            let json = header::HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
            let chosen = bodies.choose(order.chance);
            body = chosen.map(|body| body.bytes.clone()).unwrap_or_default();
        }
        // Half of those that need a connection once say so; the others just go.
        if !order.class.is_kept() && order.chance.is_multiple_of(2) {
            let close = header::HeaderValue::from_static("close");
            headers.insert(header::CONNECTION, close);
        }
        *request.method_mut() = method;
        // The paths above all parse.
        *request.uri_mut() = path.parse().unwrap_or_default();
        *request.body_mut() = match order.class {
            Class::Upload => Sent::spread(body, order.takes()),
            Class::Post => Sent::at_once(body),
            _ => Sent::default(),
        };
        request
    }

    /// Who answered; or what is wrong with the answer.
    pub(super) fn check(
        self,
        order: &Order,
        bodies: &Bodies,
        answer: &[u8],
    ) -> Result<Answerer, String> {
        let text = std::str::from_utf8(answer).map_err(|error| error.to_string())?;
        let text = match order.class {
            Class::Stream => text.trim_start_matches('.'),
            _ => text,
        };
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let number = |name| json.pointer(name).and_then(Value::as_u64);
        let text_of = |name: &str| json.pointer(name).and_then(Value::as_str);
        let right = match (order.class, self) {
            (Class::New | Class::Keep | Class::Late, _)
            | (Class::Post | Class::Upload, Self::ExampleGateway) => true,
            (Class::Slow, Self::ExampleGateway) => number("/slept_ms") == Some(order.slow_ms),
            (Class::Slow | Class::Stream, _) => number("/ms") == Some(order.slow_ms),
            (Class::Post | Class::Upload, Self::LoadApplication) => {
                bodies.choose(order.chance).is_some_and(|sent| {
                    text_of("/sha256") == Some(&sent.sha256)
                        && number("/length") == Some(sent.bytes.len() as u64)
                })
            }
        };
        let (version, pid) = match (order.class, self) {
            (Class::Post | Class::Upload, Self::ExampleGateway) => {
                ("/data/gateway/version", "/data/gateway/pid")
            }
            _ => ("/version", "/pid"),
        };
        match (right, text_of(version), number(pid)) {
            (true, Some(version), Some(pid)) => Ok(Answerer {
                version: version.to_owned(),
                pid,
            }),
            _ => Err(text.chars().take(200).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(bodies: &Bodies, speaks: Speaks, class: Class, answer: &str, right: bool) {
        let order = Order {
            due: Duration::ZERO,
            class,
            slow_ms: 700,
            chance: 3,
        };
        let sent = bodies.choose(3).unwrap();
        let answer = answer
            .replace("DIGEST", &sent.sha256)
            .replace("LENGTH", &sent.bytes.len().to_string());
        let checked = speaks.check(&order, bodies, answer.as_bytes());
        assert_eq!(checked.is_ok(), right, "{class:?} {answer}: {checked:?}");
    }

    #[test]
    fn an_answer_names_who_gave_it_and_proves_what_was_asked() {
        use Class::{New, Post, Slow, Stream};
        use Speaks::{ExampleGateway, LoadApplication};
        let bodies = Bodies::new(LoadApplication, 1);
        for (speaks, class, answer, right) in [
            (LoadApplication, New, r#"{"version":"1","pid":2}"#, true),
            (LoadApplication, New, r#"{"version":"1"}"#, false),
            (LoadApplication, New, r#"{"version":"1","pid":"#, false),
            (
                LoadApplication,
                Slow,
                r#"{"version":"1","pid":2,"ms":700}"#,
                true,
            ),
            (
                LoadApplication,
                Slow,
                r#"{"version":"1","pid":2,"ms":7}"#,
                false,
            ),
            (
                LoadApplication,
                Stream,
                r#"...{"version":"1","pid":2,"ms":700}"#,
                true,
            ),
            (LoadApplication, Stream, "...", false),
            (
                LoadApplication,
                Post,
                r#"{"version":"1","pid":2,"length":LENGTH,"sha256":"DIGEST"}"#,
                true,
            ),
            (
                LoadApplication,
                Post,
                r#"{"version":"1","pid":2,"length":1,"sha256":"DIGEST"}"#,
                false,
            ),
            (
                ExampleGateway,
                Slow,
                r#"{"slept_ms":700,"version":"1","pid":2}"#,
                true,
            ),
            (
                ExampleGateway,
                Post,
                r#"{"data":{"gateway":{"version":"1","pid":2}}}"#,
                true,
            ),
            (ExampleGateway, Post, r#"{"errors":[{}]}"#, false),
        ] {
            check(&bodies, speaks, class, answer, right);
        }
    }

    #[test]
    fn only_new_connections_may_say_that_they_close() {
        let bodies = Bodies::new(Speaks::LoadApplication, 1);
        for class in Class::ALL {
            let order = Order {
                due: Duration::ZERO,
                class,
                slow_ms: 700,
                chance: 2,
            };
            let request = Speaks::LoadApplication.request(&order, &bodies);
            let closes = request.headers().contains_key(header::CONNECTION);
            assert_eq!(closes, !class.is_kept(), "{class:?}");
        }
    }
}
