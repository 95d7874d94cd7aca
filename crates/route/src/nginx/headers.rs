//! What a door says of a request, as nginx's directives.

use std::fmt::Write as _;

use crate::proxy::ForwardedHeaders;

/// The directives of a door that does this with what a client says of where it comes
/// from, each on a line of its own that begins with a line break.
pub(super) fn headers(forwarded: ForwardedHeaders, indent: &str) -> String {
    let (origin, others) = match forwarded {
        ForwardedHeaders::Replace => (REPLACED, &ORIGIN[..]),
        ForwardedHeaders::Append => (APPENDED, &[][..]),
    };
    let taken_out = OF_ONE_CONNECTION.iter().chain(others);
    let all = OF_THE_REQUEST.into_iter().chain(origin);
    let all = all.chain(taken_out.map(|name| (*name, "\"\"")));
    all.fold(String::new(), |mut text, (name, value)| {
        let _ = write!(text, "\n{indent}proxy_set_header {name} {value};");
        text
    })
}

/// What is said whoever asks.
pub(super) const OF_THE_REQUEST: [(&str, &str); 3] = [
    ("Host", "$lockgate_host"),
    ("Upgrade", "$lockgate_upgrade"),
    ("Connection", "$lockgate_connection"),
];

/// Whoever connects is the client.
const REPLACED: [(&str, &str); 4] = [
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "$lockgate_host"),
];

/// Another proxy has said who the client is.
const APPENDED: [(&str, &str); 4] = [
    ("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
    ("X-Real-IP", "$lockgate_first"),
    ("X-Forwarded-Proto", "$lockgate_proto"),
    ("X-Forwarded-Host", "$lockgate_named"),
];

/// Headers that nginx passes on and that belong to the client's connection.
pub(super) const OF_ONE_CONNECTION: [&str; 2] = ["Proxy-Connection", "Proxy-Authorization"];

/// What else a client may say of where it comes from. nginx can take away only what is
/// named.
pub(super) const ORIGIN: [&str; 20] = [
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-By",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Method",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Access-Token",
];
