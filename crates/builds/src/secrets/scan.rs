//! Looks for the marks of all rules in one pass, and around each for the rest of a secret.

use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::rules::{ALL, Form, Letters, Rule};

/// How far from its first line a private key's letters begin at the latest: behind headers.
const KEY_WITHIN: usize = 400;
/// Letters of base 64 in a row that make a private key, and not the name of one.
const KEY_LETTERS: usize = 40;
/// The longest secret of an address.
const MOST_ADDRESS: usize = 500;
/// A token that repeats so few letters is a place holder.
const LEAST_DIFFERENT: usize = 6;

/// A secret and where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'t> {
    pub(super) rule: &'static Rule,
    pub(super) offset: usize,
    pub(super) secret: &'t [u8],
}

/// All marks, and the rule of each.
static MARKS: LazyLock<Option<(AhoCorasick, Vec<&'static Rule>)>> = LazyLock::new(|| {
    let marks = ALL
        .iter()
        .flat_map(|rule| rule.marks.iter().map(move |mark| (*mark, rule)));
    let (marks, rules): (Vec<&str>, Vec<&Rule>) = marks.unzip();
    let search = AhoCorasick::builder()
        .match_kind(aho_corasick::MatchKind::LeftmostLongest)
        .build(marks);
    Some((search.ok()?, rules))
});

/// Finds all secrets of a text, in its order.
pub(super) fn scan(text: &[u8]) -> Vec<Found<'_>> {
    // The marks are ours and few: that they make no search would be seen by every test.
    let Some((search, rules)) = &*MARKS else {
        return Vec::new();
    };
    let found = search.find_iter(text).filter_map(|mark| {
        let rule = *rules.get(mark.pattern().as_usize())?;
        let secret = secret(rule, text, mark.start(), mark.end())?;
        Some(Found {
            rule,
            offset: mark.start(),
            secret,
        })
    });
    found.collect()
}

fn secret<'t>(rule: &Rule, text: &'t [u8], start: usize, end: usize) -> Option<&'t [u8]> {
    let rest = text.get(end..)?;
    match rule.form {
        Form::Token {
            letters,
            least,
            most,
        } => {
            // One letter more than there may be tells that there are too many.
            let length = run(rest.get(..=most).unwrap_or(rest), letters);
            let before = start.checked_sub(1).and_then(|at| text.get(at));
            let begins = before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
            let secret = text.get(start..end + length)?;
            let fits = begins && (least..=most).contains(&length) && is_random(rest.get(..length)?);
            fits.then_some(secret)
        }
        Form::PrivateKey => private_key(text, start, rest),
        Form::Jwt => jwt(text.get(start..)?, text.get(..start)?),
        Form::Address => address(rest),
        Form::AmazonSecret => amazon_secret(rest),
    }
}

fn run(text: &[u8], letters: Letters) -> usize {
    text.iter().take_while(|byte| letters.has(**byte)).count()
}

/// Whether it is no place holder: `xxxxxxxx`, `EXAMPLE`, `1234567890`.
fn is_random(secret: &[u8]) -> bool {
    let different: HashSet<u8> = secret.iter().copied().collect();
    let example = secret
        .windows(7)
        .any(|part| part.eq_ignore_ascii_case(b"example"));
    let steps = secret.windows(2).filter(|pair| {
        pair.first()
            .zip(pair.last())
            .is_some_and(|(a, b)| a.wrapping_add(1) == *b)
    });
    different.len() >= LEAST_DIFFERENT && !example && steps.count() * 2 < secret.len()
}

/// The letters of a key between its two lines. Code that reads keys has the lines alone.
fn private_key<'t>(text: &'t [u8], start: usize, rest: &'t [u8]) -> Option<&'t [u8]> {
    let line = text.get(start.saturating_sub(40)..start)?;
    line.windows(10).rposition(|part| part == b"-----BEGIN")?;
    let near = rest.get(..KEY_WITHIN.min(rest.len()))?;
    let mut at = 0;
    while at < near.len() {
        let length = run(near.get(at..)?, Letters::Base64);
        if length >= KEY_LETTERS {
            return near
                .get(at..at + length)
                .filter(|letters| is_random(letters));
        }
        at += length.max(1);
        // `\n` in a string is two signs, the second of which is a letter.
        if near.get(at - 1) == Some(&b'\\') {
            at += 1;
        }
        if near.get(at..)?.starts_with(b"-----END") {
            return None;
        }
    }
    None
}

/// Three parts; the first is the JSON of a header that names its algorithm.
fn jwt<'t>(text: &'t [u8], before: &[u8]) -> Option<&'t [u8]> {
    if before.last().is_some_and(|byte| Letters::Url.has(*byte)) {
        return None;
    }
    let header = run(text, Letters::Url);
    let rest = text.get(header..)?.strip_prefix(b".")?;
    let claims = run(rest, Letters::Url);
    let signature = rest.get(claims..)?.strip_prefix(b".")?;
    let signature = run(signature, Letters::Url);
    if claims < 10 || signature < 20 {
        return None;
    }
    let decoded = URL_SAFE_NO_PAD.decode(text.get(..header)?).ok()?;
    let header_says: serde_json::Value = serde_json::from_slice(&decoded).ok()?;
    let algorithm = header_says.get("alg")?.as_str()?;
    if algorithm == "none" {
        return None;
    }
    text.get(..header + 1 + claims + 1 + signature)
}

/// `user:password@host`: the password.
fn address(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().take(MOST_ADDRESS).position(|byte| {
        byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'/' | b'"' | b'\'' | b'`' | b'\\' | b'<' | b'>' | b')' | b','
            )
    });
    let authority = rest.get(..end.unwrap_or(rest.len().min(MOST_ADDRESS)))?;
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    let (who, host) = (authority.get(..at)?, authority.get(at + 1..)?);
    let colon = who.iter().position(|byte| *byte == b':')?;
    let (user, password) = (who.get(..colon)?, who.get(colon + 1..)?);
    let host = host.split(|byte| *byte == b':').next()?;
    (!is_place_holder(user, password) && !is_example(host)).then_some(password)
}

/// Whether nobody would be let in with it.
fn is_place_holder(user: &[u8], password: &[u8]) -> bool {
    const WORDS: [&str; 17] = [
        "password", "passwd", "pass", "pwd", "secret", "user", "username", "token", "changeme",
        "xxx", "xxxx", "xxxxx", "test", "example", "key", "apikey", "pw",
    ];
    let said = String::from_utf8_lossy(password).to_ascii_lowercase();
    let signs = [
        '$', '{', '}', '*', '%', '[', ']', '(', '+', '|', '…', '!', ';', '?', '#',
    ];
    // `%` is also how any sign is written in an address.
    let filled_in = said.chars().any(|sign| signs.contains(&sign)) && !is_escaped(&said);
    password.len() < 3
        || password == user
        || filled_in
        || WORDS.contains(&said.as_str())
        || said.bytes().collect::<HashSet<_>>().len() < 3
}

/// `p%40ss`, and nothing else that stands for something.
fn is_escaped(text: &str) -> bool {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let plain = |part: &str| !part.contains(['$', '{', '}', '*', '[', ']', '(', '|', '…']);
    let hex =
        |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    plain(first) && parts.all(|part| hex(part) && plain(part))
}

fn is_example(host: &[u8]) -> bool {
    let host = String::from_utf8_lossy(host).to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    host.is_empty()
        || [
            "host",
            "hostname",
            "server",
            "domain",
            "db",
            "localhost",
            "127.0.0.1",
            "0.0.0.0",
            "[::1]",
        ]
        .contains(&host.as_str())
        || ["example", "test", "invalid", "localhost"].contains(&last)
        || host.contains("example.")
        || host.contains(['$', '{', '*', '%'])
}

/// `= "40 letters"`.
fn amazon_secret(rest: &[u8]) -> Option<&[u8]> {
    let skipped = rest
        .iter()
        .take_while(|byte| {
            matches!(
                byte,
                b'"' | b'\'' | b'`' | b' ' | b':' | b'=' | b'\\' | b'\t'
            )
        })
        .count();
    if skipped == 0 {
        return None;
    }
    let secret = rest.get(skipped..)?;
    let length = run(secret, Letters::Base64);
    secret
        .get(..length)
        .filter(|secret| length == 40 && is_random(secret))
}
