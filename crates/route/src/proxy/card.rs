//! What a gateway's door answers by itself: who it is.

use std::fmt;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use http_body_util::Full;
use lockgate_model::{DoorCard, protocol};

use super::body::AnswerBody;
use super::page;
use crate::lookup::Asked;

/// Tells who the door is, at each request anew.
#[derive(Clone)]
pub(super) struct Introduction(Arc<dyn Fn() -> DoorCard + Send + Sync>);

impl Introduction {
    pub(super) fn new(card: impl Fn() -> DoorCard + Send + Sync + 'static) -> Self {
        Self(Arc::new(card))
    }

    /// The answer to a request that is for the door itself.
    pub(super) fn answer(
        &self,
        method: &Method,
        asked: &Asked<'_>,
    ) -> Option<Response<AnswerBody>> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let asked = reads && DoorCard::is_asked_for(asked.host, asked.path);
        asked.then(|| told(&(self.0)()))
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction(…)")
    }
}

fn told(card: &DoorCard) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::Own(Full::from(text(card))));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = card.build.as_ref().and_then(page::build_value) {
        headers.insert(protocol::BUILD_HEADER, value);
    }
    answer
}

/// A card as it is sent.
pub(crate) fn text(card: &DoorCard) -> String {
    // Two names: that is always JSON.
    let mut text = serde_json::to_string(card).unwrap_or_default();
    text.push('\n');
    text
}
