//! Preconditions and ranges (RFC 9110, sections 13 and 14), from the head alone.

use std::ops::Range;

use http::Method;
use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What of a representation is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// All of it: 200.
    Whole,
    /// These bytes: 206.
    Part(Range<u64>),
    /// Nothing, the client has it: 304.
    NotModified,
    /// Nothing, the client wants another one: 412.
    Failed,
    /// Nothing, the range lies outside: 416.
    Unsatisfiable,
}

/// Decides from the preconditions and the range of a GET or HEAD. `etag` is strong
/// and quoted. Several ranges at once are answered with the whole, as is allowed.
pub(super) fn select(method: &Method, headers: &HeaderMap, etag: &str, length: u64) -> Selected {
    if headers.contains_key(IF_MATCH) && !lists(headers, &IF_MATCH, etag, Comparison::Strong) {
        return Selected::Failed;
    }
    if lists(headers, &IF_NONE_MATCH, etag, Comparison::Weak) {
        return Selected::NotModified;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // A date in If-Range never fits: no Last-Modified is sent.
    let same = text(IF_RANGE).is_none_or(|known| known.trim() == etag);
    match text(RANGE) {
        Some(range) if method == Method::GET && same => parse_range(range, length),
        _ => Selected::Whole,
    }
}

#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

fn lists(headers: &HeaderMap, name: &HeaderName, etag: &str, comparison: Comparison) -> bool {
    let fits = |tag: &str| {
        let tag = match comparison {
            Comparison::Strong => tag,
            Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
        };
        tag == "*" || tag == etag
    };
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|tag| fits(tag.trim()))
}

fn parse_range(text: &str, length: u64) -> Selected {
    let Some((unit, set)) = text.split_once('=') else {
        return Selected::Whole;
    };
    let several = set.contains(',');
    let bounds = set.trim().split_once('-');
    let Some((first, last)) = bounds.filter(|_| unit.trim() == "bytes" && !several) else {
        return Selected::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than fit lie behind every end.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (start, end) = match (first, number(first), last, number(last)) {
        ("", _, _, Some(suffix)) => (length.saturating_sub(suffix), length),
        (_, Some(start), "", _) => (start, length),
        (_, Some(start), _, Some(last)) if start <= last => {
            (start, last.saturating_add(1).min(length))
        }
        _ => return Selected::Whole,
    };
    if start < end {
        Selected::Part(start..end)
    } else {
        Selected::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    const ETAG: &str = "\"abc\"";

    fn check(pairs: &[(HeaderName, &'static str)], expected: &Selected) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        let selected = select(&Method::GET, &headers, ETAG, 100);
        assert_eq!(&selected, expected, "{pairs:?}");
    }

    #[test]
    fn a_single_range_selects_its_bytes() {
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-99", 0..100),
            ("bytes=10-", 10..100),
            ("bytes=90-500", 90..100),
            ("bytes=-10", 90..100),
            ("bytes=-500", 0..100),
            ("bytes=99-99999999999999999999999", 99..100),
        ] {
            check(&[(RANGE, range)], &Selected::Part(expected));
        }
    }

    #[test]
    fn a_range_outside_is_unsatisfiable() {
        for range in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            check(&[(RANGE, range)], &Selected::Unsatisfiable);
        }
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole() {
        for range in [
            "bytes=0-1,3-4",
            "bytes=5-4",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "lines=0-1",
            "bytes",
            "",
        ] {
            check(&[(RANGE, range)], &Selected::Whole);
        }
    }

    #[test]
    fn if_range_with_another_etag_gets_the_whole() {
        let range = (RANGE, "bytes=0-0");
        check(&[range.clone(), (IF_RANGE, ETAG)], &Selected::Part(0..1));
        for other in ["\"abd\"", "W/\"abc\"", "Sun, 22 Nov 2026 10:00:00 GMT"] {
            check(&[range.clone(), (IF_RANGE, other)], &Selected::Whole);
        }
    }

    #[test]
    fn preconditions_come_before_ranges() {
        let range = (RANGE, "bytes=500-");
        for known in [ETAG, "*", "W/\"abc\"", "\"x\", \"abc\""] {
            check(
                &[(IF_NONE_MATCH, known), range.clone()],
                &Selected::NotModified,
            );
        }
        check(&[(IF_NONE_MATCH, "\"x\"")], &Selected::Whole);
        check(&[(IF_MATCH, "\"x\""), range.clone()], &Selected::Failed);
        check(&[(IF_MATCH, "W/\"abc\"")], &Selected::Failed);
        check(&[(IF_MATCH, "\"x\", \"abc\"")], &Selected::Whole);
        check(&[(IF_MATCH, "*")], &Selected::Whole);
    }

    #[test]
    fn only_get_has_ranges() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        assert_eq!(select(&Method::HEAD, &headers, ETAG, 100), Selected::Whole);
    }
}
