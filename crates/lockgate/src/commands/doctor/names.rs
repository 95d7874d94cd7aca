//! Names and certificates: the authority, who trusts it, when certificates end, what resolves.

use std::path::Path;

use lockgate_model::ORGANIZATION_PREFIX;
use time::{Duration, OffsetDateTime};

use super::check::{Finding, State};
use crate::certificates::Seen;
use crate::commands::trust::resolve::Names;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::names::{HELP, warning};
use crate::trust::{Store, Trusted};

/// An authority that has less than this left is told of: everybody has to trust another one then.
const AUTHORITY_SOON: Duration = Duration::days(60);
/// A certificate that has less than this left should have been made anew: that is done when it has 30
/// days left.
const LEAF_SOON: Duration = Duration::days(7);

/// The home's authority; `None` where it has signed nothing yet.
pub(super) fn authority(
    seen: Result<Option<&Seen>, &CommandError>,
    now: OffsetDateTime,
) -> Finding {
    let seen = match seen {
        Ok(Some(seen)) => seen,
        Ok(None) => {
            return Finding::skipped(
                "none yet: the server makes one when it first signs a certificate",
            );
        }
        Err(error) => {
            return Finding::of(State::Error, error)
                .because("no certificate can be signed")
                .or_mended_by("put back a copy of the home's folder `ca`; without one, move it away: the server makes another, for `lockgate trust`");
        }
    };
    let until = format!("{}, until {}", seen.subject, seen.not_after.date());
    let left = seen.not_after - now;
    if left > AUTHORITY_SOON {
        return Finding::ok(until);
    }
    Finding::error_if(left <= Duration::ZERO, until)
        .because("when it ends, so does everything that it signed")
        .mended_by(
            "move the home's folder `ca` away and start the server again, then `lockgate trust`",
        )
}

/// A store of this machine.
pub(super) fn trusted(store: &Store, seen: &Trusted) -> Finding {
    let (name, place) = (store.name(), store.place().display());
    match seen {
        Trusted::Yes => Finding::ok(format!("by {name}: `{place}`")),
        Trusted::No => Finding::warning(format!("not trusted by {name}: `{place}`"))
            .because("whoever looks there refuses what the front door shows")
            .mended_by("`lockgate trust`"),
        Trusted::Unknown(why) => {
            Finding::skipped(format!("whether {name} trusts it is not known: {why}"))
        }
    }
}

/// Whether a certificate that was signed here is for names that the environment has now; others are
/// left behind and not made anew.
pub(super) fn is_in_use(environment: &Environment, names: &[String]) -> bool {
    let domain = &environment.domain;
    let served = environment
        .gateways
        .iter()
        .filter_map(|it| it.organization.as_ref());
    let mut below = served.map(|id| format!("*.{ORGANIZATION_PREFIX}{id}.{domain}"));
    names.contains(domain) || below.any(|name| names.contains(&name))
}

/// Certificates of an environment, signed here or given. `seen` is when each ends, or why it cannot
/// be read.
pub(super) fn certificate(
    file: &Path,
    given: bool,
    seen: &Result<OffsetDateTime, CommandError>,
    now: OffsetDateTime,
) -> Finding {
    let remedy = if given {
        "put the renewed one there; the server takes it within the hour"
    } else {
        "`lockgate serve status` says why the server has not made it anew; without one, `lockgate serve --detach` does"
    };
    let until = match seen {
        Ok(until) => until,
        Err(error) => return Finding::of(State::Error, error).mended_by(remedy),
    };
    let (file, left) = (file.display(), *until - now);
    if left > LEAF_SOON {
        return Finding::ok(format!("`{file}`, until {}", until.date()));
    }
    let ended = left <= Duration::ZERO;
    let verb = if ended { "ended" } else { "ends" };
    Finding::error_if(ended, format!("`{file}` {verb} on {}", until.date()))
        .because("clients refuse a certificate that has ended")
        .mended_by(remedy)
}

/// Names of an environment, in the words of `trust --check`.
pub(super) fn resolves(domain: &str, names: &Names) -> Finding {
    match names.trouble() {
        None => Finding::ok(format!("`{domain}` and names below it")),
        Some(trouble) => Finding::warning(trouble)
            .because("programs of this host find the front door by them")
            .mended_by(format!("`{HELP}`{}", names.but())),
    }
}

/// A domain that costs something.
pub(super) fn domain(domain: &str) -> Option<Finding> {
    let warning = warning(domain)?;
    let remedy = "create the environment with a domain below `.localhost` or `.test`";
    Some(Finding::warning(warning).mended_by(remedy))
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::check;
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn an_authority_is_whole_and_lasts() {
        let of = |days| {
            let seen = Seen::sample(&[], NOW + Duration::days(days));
            authority(Ok(Some(&seen)), NOW)
        };
        let trust = Some("`lockgate trust`");
        check(&of(61), State::Ok, "until 1970-03-03", None);
        check(&of(60), State::Warning, "until", trust);
        check(&of(0), State::Error, "until 1970-01-01", trust);
        check(&authority(Ok(None), NOW), State::Skipped, "none yet", None);
        let broken = CommandError::failed("`ca.key` is not the key");
        check(
            &authority(Err(&broken), NOW),
            State::Error,
            "is not the key",
            trust,
        );
    }

    #[test]
    fn a_store_trusts_it_or_it_is_said_what_makes_it() {
        let store = Store::Nss("/me/.pki/nssdb".into());
        let of = |seen| trusted(&store, &seen);
        check(&of(Trusted::Yes), State::Ok, "by chromium", None);
        check(
            &of(Trusted::No),
            State::Warning,
            "not trusted by chromium",
            Some("`lockgate trust`"),
        );
        let unknown = Trusted::Unknown("no `certutil`".to_owned());
        check(
            &of(unknown),
            State::Skipped,
            "not known: no `certutil`",
            None,
        );
    }

    #[test]
    fn a_certificate_that_should_have_been_made_anew_is_told() {
        let file = Path::new("/e/tls/a.pem");
        let of = |given, days| certificate(file, given, &Ok(NOW + Duration::days(days)), NOW);
        check(&of(false, 8), State::Ok, "until 1970-01-09", None);
        check(
            &of(false, 7),
            State::Warning,
            "ends on 1970-01-08",
            Some("`lockgate serve status`"),
        );
        check(
            &of(false, 0),
            State::Error,
            "ended on 1970-01-01",
            Some("`lockgate serve"),
        );
        check(
            &of(true, 0),
            State::Error,
            "ended on",
            Some("put the renewed one there"),
        );
        let broken = Err(CommandError::failed("`a.pem` holds no certificate"));
        check(
            &certificate(file, true, &broken, NOW),
            State::Error,
            "holds no",
            Some("put"),
        );
    }

    #[test]
    fn a_certificate_of_names_that_are_no_longer_served_is_nobody_s() {
        let id = "0d1b3c5e-0000-4000-8000-00000000000a";
        let mut environment = crate::environment::tests::sample("dev");
        let of = |environment: &Environment, name: &str| {
            is_in_use(environment, &[name.replace("ID", id)])
        };
        assert!(of(&environment, "dev.localhost"));
        assert!(!of(&environment, "other.localhost"));
        assert!(!of(&environment, "*.org-ID.dev.localhost"));
        environment.gateways[0].organization = lockgate_model::OrganizationId::parse(id).ok();
        assert!(of(&environment, "*.org-ID.dev.localhost"));
    }

    #[test]
    fn a_domain_of_multicast_dns_is_told() {
        assert_eq!(domain("dev.localhost"), None);
        let told = domain("dev.local").unwrap();
        check(&told, State::Warning, "multicast DNS", Some("`.test`"));
    }
}
