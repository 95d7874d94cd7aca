//! The rules for single values. Each gives the value, or words that follow the
//! variable's name.

use std::path::PathBuf;

use lockgate_route::ForwardedHeaders;

use super::reader::Reader;

/// A port that can be listened on.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("is `{text}`, not a port from 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

/// An absolute path.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') {
        Ok(text.into())
    } else {
        Err(format!("is `{text}`, not an absolute path"))
    }
}

/// What a door does with headers that speak of a client.
pub(super) fn forwarded(text: &str) -> Result<ForwardedHeaders, String> {
    match text {
        "append" => Ok(ForwardedHeaders::Append),
        "replace" => Ok(ForwardedHeaders::Replace),
        _ => Err(format!("is `{text}`, not `append` or `replace`")),
    }
}

/// A UUID in its usual form.
pub(crate) fn uuid(text: &str) -> Result<(), String> {
    let lengths = text.split('-').map(str::len);
    let hex = text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if hex && lengths.eq([8, 4, 4, 4, 12]) {
        Ok(())
    } else {
        Err(format!("is `{text}`, not a UUID"))
    }
}

/// A host name, with a port behind it or not.
pub(super) fn host_name(text: &str) -> Result<(), String> {
    let (host, port_is_fine) = match text.rsplit_once(':') {
        Some((host, number)) => (host, port(number).is_ok()),
        None => (text, true),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if port_is_fine && host.len() <= 253 && host.split('.').all(label) {
        Ok(())
    } else {
        Err(format!("is `{text}`, not a host name"))
    }
}

/// Variables of shells whose values may start like JSON and never are.
fn belongs_to_a_shell(name: &str) -> bool {
    matches!(
        name,
        "_" | "PS0" | "PS1" | "PS2" | "PS3" | "PS4" | "PROMPT_COMMAND"
    ) || name.starts_with("BASH_FUNC_")
}

/// `[::1]` and `[::1]:8080` start like a JSON list and are addresses.
fn is_bracketed_address(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .is_some_and(|(inside, _)| inside.parse::<std::net::Ipv6Addr>().is_ok())
}

/// A value that starts with `[` or `{` must parse as JSON: half a JSON text is what
/// a shell leaves of one when quotes are missing. The value itself is not shown.
pub(super) fn json_where_it_looks_like_it(reader: &mut Reader<'_>) {
    for (name, value) in reader.all() {
        let value = value.trim();
        if !value.starts_with(['[', '{']) || belongs_to_a_shell(name) || is_bracketed_address(value)
        {
            continue;
        }
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(value) {
            reader.problem(
                name,
                format!(
                    "starts like JSON but is not: {error} (are its quotes lost in a shell or an env file?)"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_from_1() {
        assert_eq!(port("8888"), Ok(8888));
        for bad in ["0", "65536", "-1", "80a", ""] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn uuids_have_five_groups() {
        assert_eq!(uuid("550e8400-e29b-41d4-a716-446655440000"), Ok(()));
        for bad in ["", "550e8400", "550e8400-e29b-41d4-a716-44665544000g"] {
            assert!(uuid(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_have_plain_labels() {
        for good in ["domain.local", "localhost", "ganymede.domain.local:8443"] {
            assert_eq!(host_name(good), Ok(()), "{good}");
        }
        for bad in ["https://x", "a..b", "a b", "-a.b", "x:0", "x:y"] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_in_brackets_are_not_lists() {
        assert!(is_bracketed_address("[::1]:8080"));
        assert!(is_bracketed_address("[fe80::1]"));
        assert!(!is_bracketed_address("[1, 2"));
    }
}
