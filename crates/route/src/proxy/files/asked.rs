//! Which file a path asks for, and of what kind it is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// The one name with a dot before it that is meant for others (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Below the folder; `.` for the folder itself.
    pub(super) path: PathBuf,
    /// Whether the path ends as that of a folder does.
    pub(super) is_folder: bool,
}

/// Reads the path of a URL; `None` where it can name no file of a site.
pub(super) fn relative(path: &str) -> Option<Asked> {
    let is_folder = path.ends_with('/');
    let mut found = PathBuf::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let name = decoded(part)?;
        let hidden = name.starts_with(b".") && name != WELL_KNOWN;
        // A slash or a zero that was written in another way is no part of a name.
        if hidden || name.contains(&b'/') || name.contains(&0) {
            return None;
        }
        found.push(OsString::from_vec(name));
    }
    if found.as_os_str().is_empty() {
        found.push(".");
    }
    Some(Asked {
        path: found,
        is_folder,
    })
}

/// A part of a path without its percent signs.
fn decoded(part: &str) -> Option<Vec<u8>> {
    let mut bytes = part.bytes();
    let mut name = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            name.push(u8::try_from(value).ok()?);
        } else {
            name.push(byte);
        }
    }
    Some(name)
}

/// The kind of a file, by the end of its name.
pub(super) fn content_type(path: &Path) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str());
    match end.unwrap_or_default().to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_file_below_the_folder() {
        for (path, expected, is_folder) in [
            ("/", ".", true),
            ("", ".", false),
            ("/index.html", "index.html", false),
            ("/a/b.js", "a/b.js", false),
            ("/a/", "a", true),
            ("//a//b", "a/b", false),
            ("/a%20b/%C3%BC", "a b/ü", false),
            ("/.well-known/x", ".well-known/x", false),
        ] {
            let asked = relative(path).unwrap();
            assert_eq!(asked.path, Path::new(expected), "{path}");
            assert_eq!(asked.is_folder, is_folder, "{path}");
        }
    }

    #[test]
    fn a_path_out_of_the_folder_or_to_what_is_hidden_names_none() {
        for path in [
            "/..",
            "/../x",
            "/a/../../x",
            "/./x",
            "/%2e%2e/x",
            "/%2E./x",
            "/..%2fx",
            "/a%2fb",
            "/a%00b",
            "/.env",
            "/a/.git/config",
            "/%",
            "/%2",
            "/%zz",
        ] {
            assert_eq!(relative(path), None, "{path}");
        }
    }

    #[test]
    fn kinds_are_told_by_the_end_of_the_name() {
        for (name, expected) in [
            ("a/index.HTML", "text/html; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a", "application/octet-stream"),
            ("a.tar.gz", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected);
        }
    }
}
