//! The agent's block in a hosts file: from an old text to a new one.

use std::net::IpAddr;

const BEGIN: &str = "# begin lockgate: names of the front door, kept by lockgate-agent";
const END: &str = "# end lockgate";

/// What stands between the markers.
pub(super) struct Block<'a> {
    /// Where the names lead.
    pub(super) address: IpAddr,
    /// The names.
    pub(super) names: &'a [String],
}

/// The text with this block at its end, or without one; every other byte is as it was, but for the
/// line end that a last line may lack before a block. A name that somebody else's line has is
/// theirs and left out.
pub(super) fn rewritten(old: &[u8], wanted: Option<&Block<'_>>) -> Vec<u8> {
    let mut text = without_blocks(old);
    let Some(Block { address, names }) = wanted else {
        return text;
    };
    let names = names.iter().filter(|name| !has(&text, name));
    let names = names.map(String::as_str).collect::<Vec<_>>().join(" ");
    if names.is_empty() {
        return text;
    }
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend(format!("{BEGIN}\n{address}\t{names}\n{END}\n").into_bytes());
    text
}

/// Leaves out each block. Of one that has no end nothing but the marker is known to be ours.
fn without_blocks(old: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(old.len());
    let mut lines = old.split_inclusive(|byte| *byte == b'\n');
    while let Some(line) = lines.next() {
        if is(line, END) {
            continue;
        }
        if !is(line, BEGIN) {
            text.extend_from_slice(line);
            continue;
        }
        let mut rest = lines.clone();
        let next = rest.find(|line| is(line, END) || is(line, BEGIN));
        if next.is_some_and(|line| is(line, END)) {
            lines = rest;
        }
    }
    text
}

fn is(line: &[u8], marker: &str) -> bool {
    line.trim_ascii() == marker.as_bytes()
}

/// Whether a line of the file is for this name.
fn has(text: &[u8], name: &str) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        let entry = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words = entry.split(u8::is_ascii_whitespace);
        let mut names = words.filter(|word| !word.is_empty()).skip(1);
        names.any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &str = "127.0.0.1\tlocalhost\n172.17.0.2\tgw-pool-dev-001-0\n";

    fn block(names: &[&str]) -> String {
        let names = names.join(" ");
        format!("{BEGIN}\n172.17.0.1\t{names}\n{END}\n")
    }

    fn with(old: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let block = Block {
            address: [172, 17, 0, 1].into(),
            names: &names,
        };
        String::from_utf8(rewritten(old.as_bytes(), Some(&block))).unwrap()
    }

    fn without(old: &str) -> String {
        String::from_utf8(rewritten(old.as_bytes(), None)).unwrap()
    }

    #[test]
    fn it_comes_changes_and_goes_and_the_rest_stays() {
        let (one, two) = (block(&["a.test"]), block(&["a.test", "b.test"]));
        assert_eq!(with(OWN, &["a.test"]), format!("{OWN}{one}"));
        assert_eq!(
            with(&format!("{OWN}{one}"), &["a.test", "b.test"]),
            format!("{OWN}{two}")
        );
        assert_eq!(without(&format!("{OWN}{two}")), OWN);
        assert_eq!(without(OWN), OWN);
        assert_eq!(with("", &["a.test"]), one);
        // What came behind it stays, and it is the last again.
        let behind = format!("{one}10.0.0.1 later\n");
        assert_eq!(with(&behind, &["a.test"]), format!("10.0.0.1 later\n{one}"));
    }

    #[test]
    fn a_last_line_without_an_end_gets_one() {
        let one = block(&["a.test"]);
        let made = with("127.0.0.1 localhost", &["a.test"]);
        assert_eq!(made, format!("127.0.0.1 localhost\n{one}"));
        assert_eq!(without("127.0.0.1 localhost"), "127.0.0.1 localhost");
        let cut = format!("{OWN}{}", one.trim_end());
        assert_eq!(with(&cut, &["a.test"]), format!("{OWN}{one}"));
    }

    #[test]
    fn of_several_blocks_one_stays_and_lone_markers_go() {
        let one = block(&["a.test"]);
        let twice = format!("{one}{OWN}{one}");
        assert_eq!(with(&twice, &["a.test"]), format!("{OWN}{one}"));
        assert_eq!(without(&twice), OWN);
        let (begin, end) = (format!("{BEGIN}\n"), format!("{END}\n"));
        assert_eq!(without(&format!("{begin}{OWN}")), OWN);
        assert_eq!(without(&format!("{end}{OWN}")), OWN);
        assert_eq!(without(&format!("{begin}{OWN}{one}")), OWN);
    }

    #[test]
    fn line_ends_of_another_kind_stay_as_they_are() {
        let own = "127.0.0.1 localhost\r\n10.0.0.1 x\r\n";
        let one = block(&["a.test"]);
        assert_eq!(with(own, &["a.test"]), format!("{own}{one}"));
        let edited = format!("{own}{}", one.replace('\n', "\r\n"));
        assert_eq!(with(&edited, &["a.test"]), format!("{own}{one}"));
        assert_eq!(without(&edited), own);
    }

    #[test]
    fn a_name_that_another_line_has_is_not_ours() {
        let own = "127.0.0.1 localhost\n10.0.0.9 x A.Test # b.test\r\n";
        let one = block(&["b.test"]);
        assert_eq!(with(own, &["a.test", "b.test"]), format!("{own}{one}"));
        assert_eq!(with(OWN, &["localhost"]), OWN);
        // It is an address, no name.
        assert!(with(OWN, &["127.0.0.1"]).contains(BEGIN));
    }

    proptest! {
        #[test]
        fn what_is_not_ours_comes_through(
            lines in prop::collection::vec("[0-9a-z.# \t\r]{0,12}|\u{e9}", 0..6),
            ends in any::<bool>(),
        ) {
            let mut old = lines.join("\n");
            if ends {
                old.push('\n');
            }
            prop_assert_eq!(&without(&old), &old);
            let made = with(&old, &["q.test"]);
            prop_assert_eq!(&with(&made, &["q.test"]), &made);
            prop_assert!(made.starts_with(&old));
            let rest = without(&made);
            prop_assert_eq!(rest.trim_end_matches('\n'), old.trim_end_matches('\n'));
        }
    }
}
