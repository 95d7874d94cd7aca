//! The databases of NSS, in which Chromium and Firefox look, through its own `certutil`.

use std::path::{Path, PathBuf};

use x509_parser::pem::Pem;

use super::{Machine, TrustError, Trusted, mark, run};
use crate::certificates::Authority;

const CERTUTIL: &str = "certutil";
/// What installs it on Debian, and what it is called elsewhere.
const INSTALL: &str = "`apt-get install libnss3-tools` installs it (elsewhere: nss-tools)";
/// Where Chromium and Chrome look, below the user's home.
const CHROMIUM: &str = ".pki/nssdb";
/// Where newer ones look in a home that has no such folder, and what they make there.
const NEWER: &str = ".local/share/pki/nssdb";
/// Programs that look there and make that folder only at their first start.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// Where Firefox keeps its profiles, below the user's home.
const FIREFOX: [&str; 3] = [
    ".mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];
/// Chromium's folder where it is a snap.
const SNAP: &str = "snap/chromium/current/.pki/nssdb";

/// The databases of this user.
pub(super) fn databases(machine: &Machine) -> Vec<PathBuf> {
    let Some(home) = &machine.home else {
        return Vec::new();
    };
    let browser = BROWSERS.iter().any(|program| machine.has(program));
    let chromium = [CHROMIUM, NEWER].map(|folder| home.join(folder));
    let mut chromium: Vec<PathBuf> = chromium.into_iter().filter(|it| it.is_dir()).collect();
    // The older one is never made beside the newer: it would hide what is in that.
    if chromium.is_empty() && browser {
        chromium.push(home.join(CHROMIUM));
    }
    let snap = Some(home.join(SNAP)).filter(|it| it.is_dir());
    let profiles = FIREFOX.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(home.join(folder)).into_iter().flatten();
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|profile| profile.join("cert9.db").is_file())
            .collect();
        found.sort();
        found
    });
    chromium.into_iter().chain(snap).chain(profiles).collect()
}

/// Whose database it is.
pub(super) fn whose(folder: &Path) -> &'static str {
    if folder.ends_with(CHROMIUM) || folder.ends_with(NEWER) {
        "chromium"
    } else {
        "firefox"
    }
}

pub(super) async fn check(machine: &Machine, folder: &Path, authority: &Authority) -> Trusted {
    if !machine.has(CERTUTIL) {
        return Trusted::Unknown(format!("`{CERTUTIL}` is not installed; {INSTALL}"));
    }
    if !folder.join("cert9.db").is_file() {
        return Trusted::No;
    }
    let (database, name) = (database(folder), mark(authority));
    let listed = run(&[CERTUTIL, "-d", &database, "-L", "-n", &name, "-a"]).await;
    let is_it = |pem: String| {
        let mut all = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
        all.any(|one| one.contents == authority.seen.der)
    };
    // It ends with an error where there is none of this name.
    if listed.is_ok_and(is_it) {
        Trusted::Yes
    } else {
        Trusted::No
    }
}

pub(super) async fn add(
    machine: &Machine,
    folder: &Path,
    authority: &Authority,
) -> Result<(), TrustError> {
    needs_certutil(machine)?;
    let database = database(folder);
    if !folder.join("cert9.db").is_file() {
        std::fs::create_dir_all(folder).map_err(|source| TrustError::File {
            path: folder.to_owned(),
            source,
        })?;
        run(&[CERTUTIL, "-d", &database, "-N", "--empty-password"]).await?;
    }
    let (name, file) = (mark(authority), authority.file.display().to_string());
    // Trusted to sign servers, nothing else.
    let words = [
        CERTUTIL, "-d", &database, "-A", "-t", "C,,", "-n", &name, "-i", &file,
    ];
    run(&words).await.map(drop)
}

pub(super) async fn remove(
    machine: &Machine,
    folder: &Path,
    authority: &Authority,
) -> Result<(), TrustError> {
    if check(machine, folder, authority).await == Trusted::No {
        return Ok(());
    }
    needs_certutil(machine)?;
    let (database, name) = (database(folder), mark(authority));
    run(&[CERTUTIL, "-d", &database, "-D", "-n", &name])
        .await
        .map(drop)
}

fn needs_certutil(machine: &Machine) -> Result<(), TrustError> {
    if machine.has(CERTUTIL) {
        return Ok(());
    }
    Err(TrustError::Missing {
        program: CERTUTIL,
        install: INSTALL,
    })
}

fn database(folder: &Path) -> String {
    format!("sql:{}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_those_that_are_there_and_those_a_browser_will_make() {
        let folder = tempfile::tempdir().unwrap();
        let (home, bin) = (folder.path().join("me"), folder.path().join("bin"));
        for path in [
            "me/.mozilla/firefox/a.default",
            "me/.mozilla/firefox/empty",
            "bin",
        ] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let machine = Machine {
            home: Some(home.clone()),
            path: vec![bin.clone()],
            may_ask: false,
        };
        assert!(databases(&machine).is_empty());
        let profile = home.join(".mozilla/firefox/a.default");
        std::fs::write(profile.join("cert9.db"), "").unwrap();
        std::fs::write(bin.join("chromium"), "").unwrap();
        let found = databases(&machine);
        assert_eq!(found, [home.join(".pki/nssdb"), profile]);
        let whose_all = |found: &[PathBuf]| found.iter().map(|it| whose(it)).collect::<Vec<_>>();
        assert_eq!(whose_all(&found), ["chromium", "firefox"]);
        std::fs::create_dir_all(home.join(NEWER)).unwrap();
        let found = databases(&machine);
        assert_eq!(found.first(), Some(&home.join(NEWER)));
        assert_eq!(whose_all(&found), ["chromium", "firefox"]);
        std::fs::create_dir_all(home.join(CHROMIUM)).unwrap();
        let found = databases(&machine);
        assert_eq!(whose_all(&found), ["chromium", "chromium", "firefox"]);
    }

    #[tokio::test]
    async fn without_its_program_nothing_is_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            home: None,
            path: Vec::new(),
            may_ask: false,
        };
        let authority = crate::certificates::tests::authority(folder.path());
        let told = check(&machine, folder.path(), &authority).await;
        assert!(matches!(told, Trusted::Unknown(why) if why.contains("libnss3-tools")));
        add(&machine, folder.path(), &authority).await.unwrap_err();
    }
}
