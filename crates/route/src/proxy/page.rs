//! A door's own answers: what a person or a program reads when no upstream answered.

use http::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use lockgate_model::{BuildId, GatewayName, protocol};
use serde_json::json;

use super::body::AnswerBody;
use crate::lookup::Unavailable;

/// After how many seconds a client should ask again whose request was not answered.
pub(crate) const RETRY_AFTER_SECS: u64 = 2;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) gateway: Option<GatewayName>,
    pub(crate) build: Option<BuildId>,
    pub(crate) why: String,
    pub(crate) retry_after_secs: Option<u64>,
    pub(crate) location: Option<Box<HeaderValue>>,
}

impl Page {
    /// A page that names neither gateway nor build.
    pub(crate) fn plain(status: StatusCode, why: &str) -> Self {
        Self {
            status,
            gateway: None,
            build: None,
            why: why.to_owned(),
            retry_after_secs: None,
            location: None,
        }
    }

    /// 308: the same request, method and body too, is to be sent there.
    pub(super) fn elsewhere(location: HeaderValue) -> Self {
        Self {
            location: Some(Box::new(location)),
            ..Self::plain(StatusCode::PERMANENT_REDIRECT, "this is served by HTTPS")
        }
    }

    /// 502: the upstream did not answer.
    pub(crate) fn no_answer(
        gateway: Option<GatewayName>,
        build: Option<BuildId>,
        why: String,
    ) -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            gateway,
            build,
            why,
            retry_after_secs: Some(RETRY_AFTER_SECS),
            location: None,
        }
    }

    /// 503: the upstream is known and does not run.
    pub(crate) fn unavailable(unavailable: Unavailable) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            gateway: unavailable.gateway,
            build: unavailable.build,
            why: unavailable.why,
            retry_after_secs: Some(unavailable.retry_after.as_secs().max(1)),
            location: None,
        }
    }

    /// The page as HTML for browsers, as JSON for everybody else.
    pub(super) fn answer(&self, html: bool) -> Response<AnswerBody> {
        let (kind, text) = if html {
            ("text/html; charset=utf-8", self.html())
        } else {
            ("application/json", self.json())
        };
        let mut answer = Response::new(AnswerBody::Own(Full::from(text)));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(
            self.status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED
        ) {
            // Where a request was not understood, nobody knows what its rest is.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(location) = &self.location {
            headers.insert(LOCATION, HeaderValue::clone(location));
        }
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(value) = self.build.as_ref().and_then(build_value) {
            headers.insert(protocol::BUILD_HEADER, value);
        }
        answer
    }

    pub(crate) fn json(&self) -> String {
        let mut text = json!({
            "error": self.why,
            "status": self.status.as_u16(),
            "gateway": self.gateway.as_ref().map(GatewayName::as_str),
            "build": self.build.as_ref().map(BuildId::as_str),
        })
        .to_string();
        text.push('\n');
        text
    }

    pub(crate) fn html(&self) -> String {
        let title = self.status.to_string();
        let mut facts = String::new();
        for (name, value) in [
            ("Gateway", self.gateway.as_ref().map(GatewayName::as_str)),
            ("Build", self.build.as_ref().map(BuildId::as_str)),
        ] {
            if let Some(value) = value {
                facts.push_str(&format_fact(name, value));
            }
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}}\
             :root{{color-scheme:light dark}}dt{{font-weight:600}}dd{{margin:0 0 .5em}}\
             dd,code{{font-family:ui-monospace,monospace}}</style>\n\
             <h1>{title}</h1>\n<p>{why}</p>\n<dl>{facts}</dl>\n</html>\n",
            why = with_code(&escape(&self.why)),
        )
    }
}

/// A build as a header's value; a build's name is plain ASCII, so there always is one.
pub(super) fn build_value(build: &BuildId) -> Option<HeaderValue> {
    HeaderValue::from_str(build.as_str()).ok()
}

fn format_fact(name: &str, value: &str) -> String {
    format!("<dt>{name}</dt><dd>{}</dd>", escape(value))
}

/// Whether a client, by its `Accept`, is a browser that shows a page.
pub(super) fn wants_html(asked: &HeaderMap) -> bool {
    asked
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"))
}

/// Names and commands, which stand in backticks everywhere else, as a browser shows them.
fn with_code(escaped: &str) -> String {
    let mut marked = String::with_capacity(escaped.len());
    let mut parts = escaped.split('`').peekable();
    let mut inside = false;
    while let Some(part) = parts.next() {
        // The last one that is opened and not closed is a letter like any other.
        match (inside, parts.peek()) {
            (true, Some(_)) => marked.extend(["<code>", part, "</code>"]),
            (true, None) => marked.extend(["`", part]),
            (false, _) => marked.push_str(part),
        }
        inside = !inside;
    }
    marked
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stopped(why: &str) -> Page {
        Page::unavailable(Unavailable {
            gateway: Some(GatewayName::parse("gw-pool-dev-001-0").unwrap()),
            build: Some(BuildId::parse("0123456789ab").unwrap()),
            why: why.to_owned(),
            retry_after: Duration::from_millis(200),
        })
    }

    fn asked(accept: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers
    }

    #[test]
    fn a_browser_gets_html_and_everybody_else_json() {
        for (accept, kind) in [
            (
                "text/html,application/xhtml+xml",
                "text/html; charset=utf-8",
            ),
            ("*/*", "application/json"),
            ("application/json", "application/json"),
        ] {
            let answer = stopped("it is stopped").answer(wants_html(&asked(accept)));
            assert_eq!(answer.headers()[CONTENT_TYPE], kind, "{accept}");
        }
    }

    #[test]
    fn a_stopped_gateway_is_named_with_its_build_and_when_to_ask_again() {
        let page = stopped("it is stopped");
        let answer = page.answer(false);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()[RETRY_AFTER], "1");
        assert_eq!(answer.headers()[protocol::BUILD_HEADER], "0123456789ab");
        assert_eq!(
            page.json(),
            "{\"build\":\"0123456789ab\",\"error\":\"it is stopped\",\
             \"gateway\":\"gw-pool-dev-001-0\",\"status\":503}\n"
        );
        assert!(page.html().contains("gw-pool-dev-001-0"));
    }

    #[test]
    fn names_and_commands_are_marked() {
        for (why, expected) in [
            (
                "`a` serves `b <c>`",
                "<code>a</code> serves <code>b &lt;c&gt;</code>",
            ),
            ("plain", "plain"),
            ("a `cut", "a `cut"),
            ("`a` and `b", "<code>a</code> and `b"),
            ("``", "<code></code>"),
        ] {
            let html = stopped(why).html();
            assert!(html.contains(&format!("<p>{expected}</p>")), "{html}");
        }
    }

    #[test]
    fn a_reason_cannot_bring_its_own_markup() {
        let html = stopped("<script>alert('x')</script>").html();
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
    }
}
