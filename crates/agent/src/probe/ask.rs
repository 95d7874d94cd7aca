//! One request, of which the status is all that counts.

use std::pin::pin;

use http::StatusCode;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nothing can be asked for so.
    #[error("`{0}` is not a path: {1}")]
    Path(String, http::Error),
    /// The connection ended, or what came is no HTTP.
    #[error("`GET {0}` was not answered: {1}")]
    NoAnswer(String, hyper::Error),
}

/// `GET path` over this connection; done with the head of the answer. The connection ends with it.
pub(crate) async fn status<S>(stream: S, host: &str, path: &str) -> Result<StatusCode, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = http::Request::get(path)
        .header("host", host)
        .header("user-agent", "lockgate-agent")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| AskError::Path(path.to_owned(), error))?;
    let no_answer = |error| AskError::NoAnswer(path.to_owned(), error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(no_answer)?;
    let mut exchange = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // An answer that came last thing on the connection is there already.
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error),
        },
    };
    Ok(answer.map_err(no_answer)?.status())
}

/// Whether a path that was named is answered well.
pub(crate) fn is_well(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}
