//! The gateway's half of a build's journey: ask what to run, fetch it, verify it, and
//! only then let it be a release.
//!
//! ```text
//! desired ─▶ Statement ─▶ manifest (its digest is signed) ─▶ archive, streamed
//!                                                               │ pieces
//!   releases/{build} ◀─ rename ◀─ fsync ◀─ verified file by file ◀─ unpack
//!                                          in releases/.fetch-…
//! ```
//!
//! Nothing that was there is touched before the new release is whole: a fetch that
//! fails, is cut or is refused leaves nothing behind. Left out on purpose: which
//! statement to accept, when to try again and what to start. That is the caller's.

mod error;
mod pieces;
mod releases;
mod unpack;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use lockgate_model::{
    BuildId, Digest, GatewayName, Manifest, Report, SignedStatement, Statement, protocol,
};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use crate::client::{self, Client, ClientError, Endpoint, JSON_LIMIT};
use crate::sign::PublicKey;
use pieces::{Encoding, Pieces, Sender};
use releases::Releases;
use unpack::Contents;

pub use error::FetchError;
pub use unpack::UnpackError;

/// How long an answer's head may take. The server may have to compress first.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long the network may be silent within an answer.
const SILENT_WITHIN: Duration = Duration::from_secs(30);
/// What a blocking query's answer may take beyond the wait that was asked for.
const BEYOND_WAIT: Duration = Duration::from_secs(10);
/// How long a report may take.
const REPORT_WITHIN: Duration = Duration::from_secs(10);

/// The blocking query: `None` when nothing differs from `after` within `wait`.
///
/// The signature is verified, environment and gateway are compared; number and key
/// are the caller's to judge.
pub async fn desired(
    client: &Client,
    key: &PublicKey,
    gateway: &GatewayName,
    after: u64,
    wait: Duration,
) -> Result<Option<(Statement, SignedStatement)>, FetchError> {
    let path = protocol::desired_path(gateway);
    let wait = wait.min(Duration::from_secs(protocol::MAX_WAIT_SECS));
    let query = format!("{path}?after={after}&wait={}", wait.as_secs());
    let request = client.request(Method::GET, &query, Bytes::new())?;
    let answer = client.send(request, wait + BEYOND_WAIT).await?;
    if answer.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let url = client.url(&path);
    let body = whole_body(&url, answer).await?;
    let signed: SignedStatement =
        serde_json::from_slice(&body).map_err(|source| ClientError::Json {
            url: url.clone(),
            source,
        })?;
    let statement = key.open(&signed).map_err(|source| FetchError::Signature {
        url: url.clone(),
        source,
    })?;
    if statement.gateway != *gateway || statement.env != gateway.env() {
        return Err(FetchError::OtherGateway {
            url,
            gateway: gateway.clone(),
            named: statement.gateway,
        });
    }
    Ok(Some((statement, signed)))
}

/// Tells the server what the gateway runs.
pub async fn put_report(client: &Client, report: &Report) -> Result<(), FetchError> {
    let path = protocol::status_path(&report.gateway);
    let sent = client.send_json::<(), _>(Method::PUT, &path, report, REPORT_WITHIN);
    Ok(sent.await?)
}

/// Where a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Manifest and archive are on their way.
    Fetching,
    /// The last byte came; what is left is to check and to write it all down.
    Verifying,
}

/// A release that is there, and how long that took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The release's folder.
    pub release: PathBuf,
    /// From the first request to the last byte; zero when the release was there.
    pub fetch: Duration,
    /// From the last byte to a release on disk.
    pub verify: Duration,
}

/// Brings the statement's build to `releases/{build}`, unless it is there already.
///
/// The manifest's digest is compared with the statement's; exactly the manifest's
/// files are accepted, verified, written to disk and shown by one rename. `on_step`
/// is told where it is. A release of that name that is not whole is moved aside.
pub async fn fetch_release(
    client: &Client,
    statement: &Statement,
    releases: &Path,
    on_step: &(dyn Fn(Step) + Send + Sync),
) -> Result<Fetched, FetchError> {
    let folder = Releases::new(releases);
    let release = folder.release(&statement.build);
    let (asked, wanted) = (folder.clone(), statement.clone());
    if blocking(move || Ok(asked.holds(&wanted))).await? {
        return Ok(Fetched {
            release,
            fetch: Duration::ZERO,
            verify: Duration::ZERO,
        });
    }
    let started = Instant::now();
    on_step(Step::Fetching);
    let (manifest, manifest_bytes) = manifest(client, statement).await?;
    let path = protocol::build_path(&statement.env, &statement.build);
    let url = client.url(&path);
    let (answer, encoding) = archive(client, &path).await?;
    let (sender, pieces) = pieces::channel();
    let unpacking = tokio::task::spawn_blocking({
        let (folder, url) = (folder.clone(), url.clone());
        move || unpack_fresh(&folder, &manifest, pieces, encoding, &url)
    });
    let sent = pass_on(&url, answer, sender).await;
    let fetch = started.elapsed();
    on_step(Step::Verifying);
    let unpacked = unpacking.await.map_err(FetchError::interrupted)?;
    // When the network failed, that is the reason, not what unpacking made of it.
    sent?;
    let fresh = unpacked?;
    let build = statement.build.clone();
    blocking(move || folder.place(fresh, &build, &manifest_bytes)).await?;
    Ok(Fetched {
        release,
        fetch,
        verify: started.elapsed().saturating_sub(fetch),
    })
}

/// Whether `releases/{build}` is a whole release of this build: the manifest beside
/// it has the statement's digest, and all its files are there.
pub fn release_present(statement: &Statement, releases: &Path) -> bool {
    Releases::new(releases).holds(statement)
}

/// Removes all but the newest `keep` releases, never those in `in_use`. Returns what
/// was removed.
pub fn collect_releases(
    releases: &Path,
    keep: usize,
    in_use: &[BuildId],
) -> Result<Vec<BuildId>, FetchError> {
    Releases::new(releases).collect(keep, in_use)
}

/// Removes what a program left behind that ended in the middle of a fetch. To be
/// called when nothing is being fetched and nothing runs, such as at the start.
pub fn sweep(releases: &Path) -> Result<(), FetchError> {
    Releases::new(releases).sweep()
}

/// The manifest that the statement names, checked, and its exact bytes.
async fn manifest(client: &Client, statement: &Statement) -> Result<(Manifest, Bytes), FetchError> {
    let path = protocol::manifest_path(&statement.env, &statement.build);
    let url = client.url(&path);
    let request = client.request(Method::GET, &path, Bytes::new())?;
    let answer = client.send(request, HEAD_WITHIN).await?;
    let bytes = whole_body(&url, answer).await?;
    let found = Digest::from_bytes(Sha256::digest(&bytes).into());
    if found != statement.manifest {
        return Err(FetchError::ManifestDigest {
            url,
            signed: statement.manifest.clone(),
            found,
        });
    }
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Json {
            url: url.clone(),
            source,
        })?;
    if manifest.env != statement.env || manifest.build != statement.build {
        return Err(FetchError::OtherBuild {
            url,
            env: manifest.env,
            build: manifest.build,
        });
    }
    Ok((manifest, bytes))
}

/// Asks for the archive. Near servers send it as it is: compressing and expanding
/// would take longer than the bytes they save.
async fn archive(
    client: &Client,
    path: &str,
) -> Result<(Response<Incoming>, Encoding), FetchError> {
    let url = client.url(path);
    let mut request = client.request(Method::GET, path, Bytes::new())?;
    let wanted = if is_near(&client.endpoint) {
        "identity"
    } else {
        "zstd"
    };
    let headers = request.headers_mut();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(wanted));
    let answer = client.send(request, HEAD_WITHIN).await?;
    let answer = client::expect_success(&url, answer).await?;
    let encoding = match answer.headers().get(CONTENT_ENCODING) {
        None => Encoding::Identity,
        Some(value) if value == "identity" => Encoding::Identity,
        Some(value) if value == "zstd" => Encoding::Zstd,
        Some(value) => {
            return Err(FetchError::Encoding {
                url,
                encoding: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            });
        }
    };
    Ok((answer, encoding))
}

/// Whether a server is on this host or in a network beside it.
fn is_near(endpoint: &Endpoint) -> bool {
    let Endpoint::Tcp { host, .. } = endpoint else {
        return true;
    };
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        Ok(IpAddr::V6(v6)) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
        Err(_) => matches!(host.as_str(), "localhost" | "host.docker.internal"),
    }
}

/// Passes an answer's body on to whoever unpacks it, as fast as that goes.
async fn pass_on(url: &str, answer: Response<Incoming>, sender: Sender) -> Result<(), FetchError> {
    let mut body = answer.into_body();
    loop {
        let frame = match timeout(SILENT_WITHIN, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(source))) => {
                let url = url.to_owned();
                return Err(ClientError::Exchange { url, source }.into());
            }
            Err(_) => {
                return Err(FetchError::Silent {
                    url: url.to_owned(),
                    within: SILENT_WITHIN,
                });
            }
        };
        if let Ok(data) = frame.into_data()
            && !sender.data(data).await
        {
            // Unpacking ended early; its own error says why.
            return Ok(());
        }
    }
    sender.end().await;
    Ok(())
}

fn unpack_fresh(
    folder: &Releases,
    manifest: &Manifest,
    pieces: Pieces,
    encoding: Encoding,
    url: &str,
) -> Result<tempfile::TempDir, FetchError> {
    let refused = |source| FetchError::Archive {
        url: url.to_owned(),
        source,
    };
    let contents = Contents::of(manifest).map_err(refused)?;
    let fresh = folder.fresh()?;
    let reader = pieces
        .decode(encoding, manifest.archive_bytes)
        .map_err(|error| refused(UnpackError::Read(error)))?;
    contents.unpack(reader, fresh.path()).map_err(refused)?;
    Ok(fresh)
}

async fn whole_body(url: &str, answer: Response<Incoming>) -> Result<Bytes, FetchError> {
    let reading = async {
        let answer = client::expect_success(url, answer).await?;
        client::read_body(url, answer.into_body(), JSON_LIMIT).await
    };
    match timeout(SILENT_WITHIN, reading).await {
        Ok(body) => Ok(body?),
        Err(_) => Err(FetchError::Silent {
            url: url.to_owned(),
            within: SILENT_WITHIN,
        }),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(FetchError::interrupted)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: bool) {
        let host = host.to_owned();
        let endpoint = Endpoint::Tcp { host, port: 8090 };
        assert_eq!(is_near(&endpoint), expected, "{endpoint}");
    }

    #[test]
    fn loopback_and_private_networks_are_near() {
        check("127.0.0.1", true);
        check("::1", true);
        check("172.17.0.1", true);
        check("10.0.0.1", true);
        check("192.168.1.1", true);
        check("::ffff:10.0.0.1", true);
        check("fd00::1", true);
        check("localhost", true);
        check("host.docker.internal", true);
        check("203.0.113.1", false);
        check("2001:db8::1", false);
        check("builds.example", false);
        assert!(is_near(&Endpoint::Unix("/run/x.sock".into())));
    }
}
