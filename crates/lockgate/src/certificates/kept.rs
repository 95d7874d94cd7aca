//! Certificates in files, made anew before they end.

use std::path::Path;

use time::OffsetDateTime;

use super::leaf::{RENEWED, issue};
use super::read::first;
use super::{Authority, CertificateError, Leaf};
use crate::home::{durable, make_private};

/// The certificate for these names from its file in `folder`, signed anew where there is none, it is
/// of another authority, for other names, or about to end.
pub(crate) fn keep(
    folder: &Path,
    authority: &Authority,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Leaf, CertificateError> {
    make_private(folder).map_err(|error| CertificateError::Content {
        path: folder.to_owned(),
        what: error.to_string(),
    })?;
    let title = names.first().map_or("none", String::as_str);
    let path = folder.join(format!("{}.pem", title.replace('*', "_")));
    let kept = std::fs::read_to_string(&path).ok();
    if let Some(kept) = kept.and_then(|text| split(&text))
        && is_good(&kept, authority, names, now)
    {
        return Ok(kept);
    }
    let leaf = issue(authority, names, now)?;
    let text = format!("{}{}", leaf.chain, leaf.key);
    durable::write(&path, text.as_bytes()).map_err(CertificateError::file(&path))?;
    Ok(leaf)
}

/// Chain and key of a file; a file that is not whole is none.
fn split(text: &str) -> Option<Leaf> {
    let at = text.find("-----BEGIN PRIVATE KEY-----")?;
    let (chain, key) = text.split_at_checked(at)?;
    let seen = first(chain).ok()?;
    let pair = rcgen::KeyPair::from_pem(key).ok()?;
    seen.is_of(&pair).then(|| Leaf {
        chain: chain.to_owned(),
        key: key.to_owned(),
        names: seen.names,
        not_after: seen.not_after,
    })
}

fn is_good(kept: &Leaf, authority: &Authority, names: &[String], now: OffsetDateTime) -> bool {
    let until = authority.seen.not_after.min(now + RENEWED);
    let signed = first(&kept.chain).is_ok_and(|seen| authority.has_signed(&seen.der));
    signed && kept.names == names && kept.not_after >= until
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use time::Duration;

    use super::super::read::tests::NOW;
    use super::*;
    use crate::environment::tests::home;

    fn names() -> Vec<String> {
        vec!["dev.localhost".to_owned(), "*.dev.localhost".to_owned()]
    }

    #[test]
    fn one_is_kept_until_it_is_about_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::of_home(&home(folder.path()), "a@b", NOW).unwrap();
        let tls = folder.path().join("tls");
        let keep = |days| keep(&tls, &authority, &names(), NOW + Duration::days(days)).unwrap();
        let made = keep(0);
        assert!(keep(59) == made);
        let renewed = keep(61);
        assert!(renewed != made);
        assert!(renewed.not_after > made.not_after);
        let mode = std::fs::metadata(tls.join("dev.localhost.pem")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&tls).unwrap().count(), 1);
    }

    #[test]
    fn one_that_is_cut_of_others_or_for_other_names_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::of_home(&home(folder.path()), "a@b", NOW).unwrap();
        let tls = folder.path().join("tls");
        let keep =
            |authority: &Authority, names: &[String]| keep(&tls, authority, names, NOW).unwrap();
        let made = keep(&authority, &names());
        let path = tls.join("dev.localhost.pem");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(keep(&authority, &names()) != made);

        let made = keep(&authority, &names());
        let more: Vec<String> = names().into_iter().chain(["x.test".to_owned()]).collect();
        assert_eq!(keep(&authority, &more).names, more);
        assert!(keep(&authority, &names()) != made);

        let elsewhere = tempfile::tempdir().unwrap();
        let other = Authority::of_home(&home(elsewhere.path()), "a@b", NOW).unwrap();
        let made = keep(&authority, &names());
        assert!(keep(&other, &names()) != made);
    }
}
