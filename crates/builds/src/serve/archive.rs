//! Answers that are files: archives and manifests.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, VARY,
};
use http::{Method, Response, StatusCode};
use lockgate_model::{BuildId, EnvName};

use super::body::Content;
use super::conditional::{Selected, select};
use super::files::{Opened, blocking};
use super::refusal::Refusal;
use super::{BuildServer, negotiate};
use crate::store::Encoding;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// What a client may do with an answer it keeps.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// A build never changes under its name.
const KEEP: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// A GET's or HEAD's method and headers: all that decides what is sent.
pub(super) struct Ask<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
}

/// How a file is presented.
struct Presented {
    media_type: &'static str,
    encoding: Option<&'static str>,
    varies: bool,
    cache: HeaderValue,
}

/// `/gateway-{env}.tar.gz`: the archive itself is the gzip, whatever is accepted.
pub(super) async fn current(
    server: &BuildServer,
    ask: &Ask<'_>,
    env: &EnvName,
) -> Result<Response<Content>, Refusal> {
    let presented = Presented {
        media_type: "application/gzip",
        encoding: None,
        varies: false,
        cache: ASK_AGAIN,
    };
    let missing = || {
        Refusal::not_found(format!(
            "environment `{env}` has no archive: nothing was deployed or packed yet"
        ))
    };
    let opened = open(server, server.store.current_path(env)).await?;
    file_answer(ask, opened.ok_or_else(missing)?, presented)
}

/// A build's manifest.
pub(super) async fn manifest(
    server: &BuildServer,
    ask: &Ask<'_>,
    env: &EnvName,
    build: &BuildId,
) -> Result<Response<Content>, Refusal> {
    let presented = Presented {
        media_type: "application/json",
        encoding: None,
        varies: false,
        cache: KEEP,
    };
    let opened = open(server, server.store.manifest_path(env, build)).await?;
    let opened = opened.ok_or_else(|| no_build(env, build))?;
    file_answer(ask, opened, presented)
}

/// A build's archive in the encoding that suits.
pub(super) async fn build(
    server: &BuildServer,
    ask: &Ask<'_>,
    env: &EnvName,
    build: &BuildId,
) -> Result<Response<Content>, Refusal> {
    let Some(encoding) = negotiate::encoding(ask.headers) else {
        return Err(Refusal::new(
            StatusCode::NOT_ACCEPTABLE,
            "archives are sent as identity, gzip or zstd; `Accept-Encoding` wants none of them",
        ));
    };
    let presented = Presented {
        media_type: "application/x-tar",
        encoding: match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
        },
        varies: true,
        cache: KEEP,
    };
    let (store, name) = (server.store.clone(), (env.clone(), build.clone()));
    // Makes the compressed form when nobody asked for it before.
    let path = blocking(move || store.archive(&name.0, &name.1, encoding))
        .await
        .map_err(|error| Refusal::internal(&error))?;
    let opened = match path {
        Some(path) => open(server, path).await?,
        None => None,
    };
    file_answer(ask, opened.ok_or_else(|| no_build(env, build))?, presented)
}

fn no_build(env: &EnvName, build: &BuildId) -> Refusal {
    Refusal::not_found(format!("environment `{env}` has no build `{build}`"))
}

async fn open(server: &BuildServer, path: PathBuf) -> Result<Option<Opened>, Refusal> {
    let opened = server.files.open(server.store.dir(), &path).await;
    opened.map_err(|source| {
        Refusal::internal(&crate::store::StoreError::Io {
            act: "read",
            path,
            source,
        })
    })
}

fn file_answer(
    ask: &Ask<'_>,
    opened: Opened,
    presented: Presented,
) -> Result<Response<Content>, Refusal> {
    let etag = opened.content.etag();
    let length = opened.length;
    let selected = select(ask.method, ask.headers, &etag, length);
    let mut answer = Response::new(Content::empty());
    let headers = answer.headers_mut();
    headers.insert(ETAG, header(&etag)?);
    headers.insert(CACHE_CONTROL, presented.cache);
    if presented.varies {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    let range = match selected {
        Selected::Whole => 0..length,
        Selected::Part(range) => {
            let last = range.end - 1;
            let part = format!("bytes {}-{last}/{length}", range.start);
            headers.insert(CONTENT_RANGE, header(&part)?);
            range
        }
        Selected::NotModified => {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(answer);
        }
        Selected::Failed => {
            return Err(Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                "what is there now is not what `If-Match` names",
            ));
        }
        Selected::Unsatisfiable => return Err(Refusal::range(length)),
    };
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(presented.media_type));
    if let Some(encoding) = presented.encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let digest = BASE64.encode(opened.content.sha256);
    headers.insert(REPR_DIGEST, header(&format!("sha-256=:{digest}:"))?);
    if headers.contains_key(CONTENT_RANGE) {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    // hyper sends the length and, for HEAD, nothing else.
    *answer.body_mut() = content(opened, range);
    Ok(answer)
}

fn content(opened: Opened, range: std::ops::Range<u64>) -> Content {
    let bounds = (usize::try_from(range.start), usize::try_from(range.end));
    match (&opened.content.bytes, bounds) {
        (Some(bytes), (Ok(start), Ok(end))) => Content::Memory(bytes.slice(start..end)),
        _ => Content::stretch(opened.file, range),
    }
}

fn header(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(text).map_err(|error| Refusal::internal(&error))
}
