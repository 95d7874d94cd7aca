//! Who may have what: decided from the request's head and the listener alone.

use std::net::{IpAddr, Ipv4Addr};

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use http::uri::Authority;
use lockgate_model::protocol;

use super::Reach;
use super::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The token of `Authorization: Bearer …`; `None` when nobody tries to authenticate.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    });
    token
        .map(Some)
        .ok_or_else(|| Refusal::unauthorized("`Authorization` must be `Bearer` and a token"))
}

/// Whether an archive may be had without a token.
///
/// The *listener* decides, never the peer's address: containers with the host's
/// network and port proxies look local. On the loopback listener a web page that was
/// opened on this host could still ask, so a browser's marks are refused, and a
/// `Host` by name, which is how a page with a rebound name would come.
/// `opened` says that the operator opened this archive to bridges too.
pub(super) fn without_token(
    reach: Reach,
    opened: bool,
    authority: Option<&Authority>,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    if reach == Reach::Bridge && !opened {
        return Err(Refusal::unauthorized(
            "this listener answers only requests with a gateway's token",
        ));
    }
    for mark in [ORIGIN, SEC_FETCH_SITE] {
        if headers.contains_key(&mark) {
            return Err(Refusal::forbidden(format!(
                "requests with `{mark}` come from a web page, and those get no archive without a token"
            )));
        }
    }
    let host = match authority {
        Some(authority) => Some(authority.clone()),
        None => host_header(headers)?,
    };
    match host {
        Some(host) if is_address_or_localhost(host.host()) => Ok(()),
        Some(host) => Err(Refusal::forbidden(format!(
            "`{host}` is neither an address nor `localhost`; ask by address, or with a gateway's token"
        ))),
        None => Err(Refusal::forbidden(
            "without a token, `Host` must say which address is asked",
        )),
    }
}

fn host_header(headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut values = headers.get_all(HOST).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::bad_request("the request has more than one `Host`"));
    }
    first
        .map(|value| {
            Authority::try_from(value.as_bytes())
                .map_err(|_| Refusal::bad_request("`Host` is not a host and a port"))
        })
        .transpose()
}

fn is_address_or_localhost(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || bare.is_some_and(|host| host.parse::<IpAddr>().is_ok())
}

/// Whether the program that asks speaks a version that fits.
pub(super) fn same_protocol(headers: &HeaderMap) -> Result<(), Refusal> {
    let name = protocol::VERSION_HEADER;
    let version = protocol::VERSION;
    let Some(value) = headers.get(name) else {
        return Err(Refusal::gap(format!(
            "the request does not say which protocol it speaks: send `{name}: {version}`"
        )));
    };
    let client = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::gap(format!("`{name}` must be a number, such as {version}")))?;
    protocol::compatible(version, client).map_err(|gap| Refusal::gap(gap.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use http::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    fn check(reach: Reach, opened: bool, pairs: &[(&'static str, &'static str)], expected: u16) {
        let status = match without_token(reach, opened, None, &headers(pairs)) {
            Ok(()) => StatusCode::OK,
            Err(refusal) => refusal.status,
        };
        assert_eq!(status, expected, "{reach:?} {opened} {pairs:?}");
    }

    #[test]
    fn without_a_token_only_local_programs_are_answered() {
        let local = ("host", "127.0.0.1:8090");
        check(Reach::Loopback, false, &[local], 200);
        check(Reach::Loopback, false, &[("host", "127.0.0.1")], 200);
        check(Reach::Loopback, false, &[("host", "[::1]:8090")], 200);
        check(Reach::Loopback, false, &[("host", "LocalHost:8090")], 200);
        check(Reach::Loopback, false, &[("host", "172.17.0.1:8090")], 200);
        check(
            Reach::Loopback,
            false,
            &[("host", "evil.example:8090")],
            403,
        );
        check(
            Reach::Loopback,
            false,
            &[("host", "127.0.0.1.evil.example")],
            403,
        );
        check(
            Reach::Loopback,
            false,
            &[("host", "localhost.evil.example")],
            403,
        );
        check(Reach::Loopback, false, &[("host", "@")], 400);
        check(Reach::Loopback, false, &[local, ("host", "b")], 400);
        check(Reach::Loopback, false, &[], 403);
        check(Reach::Loopback, false, &[local, ("origin", "null")], 403);
        check(
            Reach::Loopback,
            false,
            &[local, ("sec-fetch-site", "none")],
            403,
        );
        check(Reach::Bridge, false, &[local], 401);
        check(Reach::Bridge, true, &[local], 200);
        check(Reach::Bridge, true, &[local, ("origin", "null")], 403);
        check(Reach::Bridge, true, &[("host", "evil.example")], 403);
    }

    #[test]
    fn a_name_in_the_request_line_counts_more_than_host() {
        let evil = Authority::from_static("evil.example");
        let headers = headers(&[("host", "127.0.0.1")]);
        assert!(without_token(Reach::Loopback, false, Some(&evil), &headers).is_err());
    }

    #[test]
    fn a_token_is_read_from_the_bearer_scheme_only() {
        let token =
            |value| bearer(&headers(&[("authorization", value)])).map(|t| t.map(String::from));
        assert_eq!(token("Bearer abc").unwrap().unwrap(), "abc");
        assert_eq!(token("bearer  abc").unwrap().unwrap(), "abc");
        assert_eq!(bearer(&HeaderMap::new()), Ok(None));
        for bad in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(token(bad).unwrap_err().status, 401, "{bad}");
        }
    }

    #[test]
    fn the_protocol_must_be_said_and_fit() {
        let said = |value| same_protocol(&headers(&[("lockgate-protocol", value)]));
        assert_eq!(said("1"), Ok(()));
        for bad in ["2", "99", "-1", "one", ""] {
            assert_eq!(said(bad).unwrap_err().status, 426, "{bad}");
        }
        assert_eq!(same_protocol(&HeaderMap::new()).unwrap_err().status, 426);
    }
}
