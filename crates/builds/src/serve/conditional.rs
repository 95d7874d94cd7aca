//! Preconditions and ranges (RFC 9110, sections 13 and 14), from the head alone.

use std::ops::Range;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

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
    if method != Method::GET || !may_be_a_part(headers, etag) {
        return Selected::Whole;
    }
    match only(headers, &RANGE).map(HeaderValue::to_str) {
        Some(Ok(range)) => parse_range(range, length),
        Some(Err(_)) | None => Selected::Whole,
    }
}

/// Whether `If-Range` allows a part. A date never fits: no Last-Modified is sent.
fn may_be_a_part(headers: &HeaderMap, etag: &str) -> bool {
    let known = only(headers, &IF_RANGE).map(|known| known.as_bytes().trim_ascii());
    !headers.contains_key(IF_RANGE) || known == Some(etag.as_bytes())
}

/// The header's value when it is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

fn lists(headers: &HeaderMap, name: &HeaderName, etag: &str, comparison: Comparison) -> bool {
    let fits = |tag: &[u8]| {
        let tag = match comparison {
            Comparison::Strong => tag,
            Comparison::Weak => tag.strip_prefix(b"W/").unwrap_or(tag),
        };
        tag == b"*" || tag == etag.as_bytes()
    };
    // A tag may hold bytes that are no text.
    let values = headers.get_all(name).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|tag| fits(tag.trim_ascii()))
}

fn parse_range(text: &str, length: u64) -> Selected {
    let Some((unit, set)) = text.split_once('=') else {
        return Selected::Whole;
    };
    let known = unit.trim().eq_ignore_ascii_case("bytes");
    let several = set.contains(',');
    let bounds = set.trim().split_once('-');
    let Some((first, last)) = bounds.filter(|_| known && !several) else {
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
            ("Bytes=0-0", 0..1),
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

    /// Taken for no condition, it would let a part of one build follow one of another.
    #[test]
    fn an_if_range_that_is_no_text_or_comes_twice_gets_the_whole() {
        let check = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static("bytes=1-"));
            for value in values {
                headers.append(IF_RANGE, HeaderValue::from_bytes(value).unwrap());
            }
            let selected = select(&Method::GET, &headers, ETAG, 100);
            assert_eq!(selected, Selected::Whole, "{values:?}");
        };
        check(&[b"\"\xe9\""]);
        check(&[b""]);
        check(&[ETAG.as_bytes(), b"\"other\""]);
        check(&[b"\"other\"", ETAG.as_bytes()]);
    }

    #[test]
    fn one_unreadable_tag_hides_no_other() {
        let mut headers = HeaderMap::new();
        let both = HeaderValue::from_bytes(b"\"\xe9\", \"abc\"").unwrap();
        headers.insert(IF_MATCH, both.clone());
        let whole = select(&Method::GET, &headers, ETAG, 100);
        assert_eq!(whole, Selected::Whole);
        headers.insert(IF_NONE_MATCH, both);
        let known = select(&Method::GET, &headers, ETAG, 100);
        assert_eq!(known, Selected::NotModified);
    }

    #[test]
    fn two_ranges_in_two_lines_get_the_whole() {
        check(
            &[(RANGE, "bytes=0-0"), (RANGE, "bytes=5-5")],
            &Selected::Whole,
        );
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
