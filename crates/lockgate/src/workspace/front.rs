//! `[front]` of lockgate.toml: sites and a certificate of one's own at the front door.

use std::path::{Path, PathBuf};

use lockgate_model::Site;

use super::WorkspaceError;
use super::file::FrontTable;
use super::resolve::senseless;
use crate::environment::front::FrontSettings;

/// What an environment has there; paths count from the workspace. An empty text in an environment's
/// own table takes away what is given for all.
pub(super) fn front(
    root: &Path,
    file: &FrontTable,
    own: &FrontTable,
) -> Result<FrontSettings, WorkspaceError> {
    let path = |own: &Option<PathBuf>, file: &Option<PathBuf>| {
        let given = own.as_ref().or(file.as_ref());
        given
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| root.join(path))
    };
    let site = |name: &str, own: &Option<String>, file: &Option<String>| {
        let given = own.as_ref().or(file.as_ref());
        let given = given.filter(|text| !text.trim().is_empty());
        let read = given.map(|text| site(root, text));
        read.transpose()
            .map_err(|what| senseless(root, format!("`[front] {name}`: {what}")))
    };
    let settings = FrontSettings {
        apex: site("apex", &own.apex, &file.apex)?,
        ganymede: site("ganymede", &own.ganymede, &file.ganymede)?,
        certificate: path(&own.certificate, &file.certificate),
        key: path(&own.key, &file.key),
    };
    let (there, missing) = match (&settings.certificate, &settings.key) {
        (Some(_), None) => ("certificate", "key"),
        (None, Some(_)) => ("key", "certificate"),
        _ => return Ok(settings),
    };
    let what = format!(
        "`[front] {there}` is given and `[front] {missing}` is not: a certificate is of use with its key alone"
    );
    Err(senseless(root, what))
}

fn site(root: &Path, text: &str) -> Result<Site, String> {
    // `localhost:3000` is a server whose `http://` was left out, and no folder.
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if text.contains("://") || matches!(port, Some(Ok(_))) {
        return Site::parse(text).map_err(|_| {
            format!("`{text}` is neither `http://ADDRESS[:PORT]` with an IP address or `localhost`, nor a folder")
        });
    }
    // Without `./`, since people read it again.
    let folder: PathBuf = root.join(text).components().collect();
    // One that is not there yet may be what the build command makes.
    if folder.exists() && !folder.is_dir() {
        return Err(format!("`{text}` is a file; a site is a folder"));
    }
    Ok(Site::Folder(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, own: &str) -> Result<FrontSettings, String> {
        let table = |text: &str| toml::from_str::<FrontTable>(text).unwrap();
        let found = front(Path::new("/w"), &table(file), &table(own));
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn an_environment_replaces_single_keys() {
        let file = "certificate = 'tls/a.pem'\nkey = '/etc/a.key'\napex = './site'\nganymede = 'http://localhost:3000'";
        let found = check(file, "").unwrap();
        let expected = FrontSettings {
            apex: Some(Site::Folder("/w/site".into())),
            ganymede: Some(Site::parse("http://127.0.0.1:3000").unwrap()),
            certificate: Some("/w/tls/a.pem".into()),
            key: Some("/etc/a.key".into()),
        };
        assert_eq!(found, expected);
        let own = "ganymede = 'http://127.0.0.1:4000'\napex = ''\ncertificate = ''\nkey = ''";
        let found = check(file, own).unwrap();
        let expected = FrontSettings {
            ganymede: Some(Site::parse("http://127.0.0.1:4000").unwrap()),
            ..FrontSettings::default()
        };
        assert_eq!(found, expected);
        assert_eq!(check("", "").unwrap(), FrontSettings::default());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_key() {
        for (file, own, expected) in [
            ("certificate = 'a'", "", "`[front] key` is not"),
            ("key = 'a'", "", "`[front] certificate` is not"),
            (
                "certificate = 'a'\nkey = 'b'",
                "key = ''",
                "`[front] key` is not",
            ),
            (
                "apex = 'https://127.0.0.1'",
                "",
                "`[front] apex`: `https://127.0.0.1` is neither",
            ),
            (
                "ganymede = 'http://example.org'",
                "",
                "`[front] ganymede`: `http://example.org` is neither",
            ),
            (
                "",
                "ganymede = 'localhost:3000'",
                "`[front] ganymede`: `localhost:3000` is neither",
            ),
            (
                "apex = '/proc/self/status'",
                "",
                "`/proc/self/status` is a file",
            ),
        ] {
            let error = check(file, own).unwrap_err();
            assert!(error.starts_with("`/w/lockgate.toml`: "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
