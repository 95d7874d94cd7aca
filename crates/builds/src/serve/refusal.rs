//! An answer that says no, and why.

use http::header::{ALLOW, CONTENT_RANGE, HeaderName, HeaderValue, UPGRADE, WWW_AUTHENTICATE};
use http::{Method, StatusCode};

use super::route::Route;

/// Why a request is not fulfilled: a status, a sentence for whoever asked, and the
/// header that the status calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) sentence: String,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
            header: None,
        }
    }

    pub(super) fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub(super) fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, sentence)
    }

    pub(super) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    /// 401: a gateway's token is needed.
    pub(super) fn unauthorized(sentence: impl Into<String>) -> Self {
        Self {
            header: Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            ..Self::new(StatusCode::UNAUTHORIZED, sentence)
        }
    }

    /// 405: the path is there, the method is not.
    pub(super) fn method(route: &Route, method: &Method) -> Self {
        let allow = route.allow();
        Self {
            header: Some((ALLOW, HeaderValue::from_static(allow))),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("`{method}` is not answered here, only {allow}"),
            )
        }
    }

    /// 416: the range begins behind the end.
    pub(super) fn range(length_bytes: u64) -> Self {
        Self {
            header: HeaderValue::try_from(format!("bytes */{length_bytes}"))
                .ok()
                .map(|value| (CONTENT_RANGE, value)),
            ..Self::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("the range lies outside of the {length_bytes} bytes"),
            )
        }
    }

    /// 426: the two programs speak versions that do not fit.
    pub(super) fn gap(sentence: impl Into<String>) -> Self {
        Self {
            header: Some((UPGRADE, HeaderValue::from_static("lockgate/1"))),
            ..Self::new(StatusCode::UPGRADE_REQUIRED, sentence)
        }
    }

    /// 500: it is the server's fault. The cause goes to the server's log only.
    pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        let causes: Vec<String> = std::iter::successors(Some(cause), |error| error.source())
            .map(ToString::to_string)
            .collect();
        tracing::error!(cause = causes.join(": "), "a request could not be answered");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the build server could not read its store; its log says why",
        )
    }
}
