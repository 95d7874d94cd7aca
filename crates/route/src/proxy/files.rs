//! A site that is a folder: its files, and nothing outside of it.
//!
//! Only what is read, never what is listed. Names that begin with a dot are nobody's
//! business, but for `.well-known`.

mod asked;

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use self::asked::{Asked, content_type, relative};
use super::body::AnswerBody;
use super::page::Page;

/// What stands for a folder.
const INDEX: &str = "index.html";

/// What was found.
enum Found {
    File {
        file: File,
        metadata: Metadata,
        kind: &'static str,
    },
    /// A folder that was asked for without its last slash, from which its links start.
    FolderWithoutSlash,
}

/// Answers a request with a file of the folder.
pub(super) async fn answer(folder: PathBuf, parts: &Parts) -> Result<Response<AnswerBody>, Page> {
    if ![Method::GET, Method::HEAD].contains(&parts.method) {
        let mut refused = Response::new(AnswerBody::empty());
        *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return Ok(refused);
    }
    let path = parts.uri.path();
    let asked = relative(path).ok_or_else(not_found)?;
    let shown = asked.path.display().to_string();
    let opened = tokio::task::spawn_blocking(move || find(&folder, &asked)).await;
    match opened.unwrap_or_else(|died| Err(io::Error::other(died))) {
        Ok(Found::File {
            file,
            metadata,
            kind,
        }) => Ok(sent(file, &metadata, kind, parts)),
        Ok(Found::FolderWithoutSlash) => {
            let location = format!("/{}/", path.trim_matches('/'));
            HeaderValue::from_str(&location)
                .map(moved)
                .map_err(|_| not_found())
        }
        Err(error) if is_of_the_path(&error) => Err(not_found()),
        Err(error) => {
            tracing::warn!(path = shown, %error, "cannot read a file of a site");
            Err(Page::plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the site's files cannot be read",
            ))
        }
    }
}

/// Whether there is no such file, or none that may be read: a link that leads out.
fn is_of_the_path(error: &io::Error) -> bool {
    use Errno::{EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV};
    let errno = error.raw_os_error().map(Errno::from_raw);
    error.kind() == io::ErrorKind::NotFound
        || errno
            .is_some_and(|it| [EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV].contains(&it))
}

fn not_found() -> Page {
    Page::plain(StatusCode::NOT_FOUND, "the site has no such file")
}

fn moved(location: HeaderValue) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::empty());
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    answer.headers_mut().insert(LOCATION, location);
    answer
}

fn find(folder: &Path, asked: &Asked) -> io::Result<Found> {
    let file = open(folder, &asked.path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && !asked.is_folder {
        let kind = content_type(&asked.path);
        return Ok(Found::File {
            file,
            metadata,
            kind,
        });
    }
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    if !asked.is_folder {
        return Ok(Found::FolderWithoutSlash);
    }
    let index = asked.path.join(INDEX);
    let file = open(folder, &index)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let kind = content_type(&index);
    Ok(Found::File {
        file,
        metadata,
        kind,
    })
}

/// Opens what lies below the folder; a link that leads out of it leads nowhere.
fn open(folder: &Path, relative: &Path) -> io::Result<File> {
    let root = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(folder)?;
    let how = OpenHow::new()
        // A pipe without a writer would be waited for.
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let opened = openat2(&root, relative, how).map_err(|errno: Errno| io::Error::from(errno))?;
    Ok(File::from(opened))
}

fn sent(
    file: File,
    metadata: &Metadata,
    kind: &'static str,
    parts: &Parts,
) -> Response<AnswerBody> {
    let tag = tag(metadata);
    let unchanged = is_known(&parts.headers, &tag);
    let body = if unchanged || parts.method == Method::HEAD {
        AnswerBody::empty()
    } else {
        AnswerBody::file(file, metadata.len())
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    // It may change with the next build of the site, and the tag tells.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if unchanged {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(metadata.len()));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}

/// Another one as soon as a file is written anew.
fn tag(metadata: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}.{:x}-{:x}\"",
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len()
    )
}

fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
}
