use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Reads a text, cut at these places.
fn read(text: &[u8], cuts: &[usize]) -> (Seen, usize, Wire) {
    let mut wire = Wire::default();
    let mut begin = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    ends.push(text.len());
    ends.sort_unstable();
    for end in ends {
        let seen = wire.read(&text[begin..end]);
        if let Seen::Gate(passed) | Seen::Refused(passed) = seen {
            return (seen, begin + passed, wire);
        }
        begin = end;
    }
    (Seen::All, text.len(), wire)
}

fn check_passes(text: &str) {
    let (seen, passed, wire) = read(text.as_bytes(), &[]);
    assert_eq!((seen, passed), (Seen::All, text.len()), "{text:?}");
    assert_eq!(wire.at, At::RequestLine, "{text:?}");
}

/// What passes of a text that is refused ends before the second mark of the line.
fn check_refused(text: &str) {
    let (seen, passed, _) = read(text.as_bytes(), &[]);
    assert!(matches!(seen, Seen::Refused(_)), "{seen:?} {text:?}");
    let after = &text[passed..];
    assert!(!after.is_empty(), "{text:?}");
}

#[test]
fn requests_of_any_framing_follow_each_other() {
    check_passes(GET);
    check_passes(&GET.repeat(3));
    check_passes("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let posts = [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n\n\nabc",
        "POST / HTTP/1.1\r\nhost: a\r\nContent-Length:0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked \r\n\r\n3\r\n\n\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\nhost: a\r\n\r\nA;x=\"y\"\r\n0123456789\r\n000\r\nx-sum: 1\r\n\r\n",
    ];
    for post in posts {
        check_passes(&format!("{post}{GET}{post}"));
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\n";
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    for text in [
        // Lines.
        "GET / HTTP/1.1\nhost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\r\n\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n".to_owned(),
        "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n host: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nhost: a\r\n\t\r\n\r\n".to_owned(),
        // Lengths.
        format!("{head}content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        format!("{head}content-length: 5\r\nCONTENT-LENGTH: 6\r\n\r\nhello"),
        format!("{head}content-length: 5, 5\r\n\r\nhello"),
        format!("{head}content-length: +5\r\n\r\nhello"),
        format!("{head}content-length: 0x5\r\n\r\nhello"),
        format!("{head}content-length: -1\r\n\r\nhello"),
        format!("{head}content-length:\r\n\r\nhello"),
        format!("{head}content-length: 99999999999999999999\r\n\r\nhello"),
        format!("{head}content-length: {}5\r\n\r\nhello", "0".repeat(200)),
        format!("{head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n"),
        format!("{head}transfer-encoding: gzip\r\ncontent-length : 5\r\n\r\n"),
        // Chunks.
        format!("{chunked}5\nhello\r\n0\r\n\r\n"),
        format!("{chunked}5\r\nhello\n0\r\n\r\n"),
        format!("{chunked}5\r\nhelloo\r\n0\r\n\r\n"),
        format!("{chunked}0x5\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked} 5\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}-5\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}11111111111111111\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}5;x\ny\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}0\r\nx: 1\n\r\n"),
        format!("{chunked}0\r\nx: 1\r\n y\r\n\r\n"),
    ] {
        check_refused(&text);
    }
}

#[test]
fn after_an_upgrade_nothing_is_read_before_it_is_decided() {
    let ask = "GET / HTTP/1.1\r\nconnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let text = format!("{ask}any\nbytes");
    let (seen, passed, mut wire) = read(text.as_bytes(), &[]);
    assert_eq!((seen, passed), (Seen::Gate(ask.len()), ask.len()));
    assert!(wire.is_at_gate());
    assert_eq!(wire.read(b"more"), Seen::Gate(0));
    wire.open_gate(true);
    assert_eq!(wire.read(b"any\nbytes"), Seen::All);
    let (_, _, mut wire) = read(text.as_bytes(), &[]);
    wire.open_gate(false);
    assert_eq!(wire.read(GET.as_bytes()), Seen::All);
    assert_eq!(wire.read(b"GET / HTTP/1.1\n"), Seen::Refused(14));
}

#[test]
fn a_coding_that_is_refused_later_passes() {
    for coding in ["gzip, chunked", "chunked\r\ntransfer-encoding: chunked"] {
        let text = format!("POST / HTTP/1.1\r\ntransfer-encoding: {coding}\r\n\r\nany\nthing");
        let (seen, _, wire) = read(text.as_bytes(), &[]);
        assert_eq!((seen, wire.at), (Seen::All, At::Through), "{coding}");
    }
}

/// Well-formed messages and some that are not.
fn messages() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(
        &[
            GET,
            "POST / HTTP/1.1\r\n",
            "content-length: 3\r\n",
            "transfer-encoding: chunked\r\n",
            "upgrade: x\r\n",
            "x: 1\r\n",
            "\r\n",
            "\n",
            "\r",
            " ",
            "abc",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
        ][..],
    );
    vec(pieces, 0..12).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn however_a_text_is_cut_the_same_is_read(
        text in messages(),
        cuts in vec(any::<usize>(), 0..8),
    ) {
        let (whole, passed, wire) = read(text.as_bytes(), &[]);
        let (cut, passed_in_pieces, wire_in_pieces) = read(text.as_bytes(), &cuts);
        prop_assert_eq!(
            mem::discriminant(&whole),
            mem::discriminant(&cut)
        );
        // Half of a line's end may have gone through before it was known to be one.
        prop_assert!(passed_in_pieces.abs_diff(passed) <= 1);
        prop_assert_eq!(wire.at, wire_in_pieces.at);
    }

    #[test]
    fn what_passed_before_a_refusal_is_no_whole_message_more(text in messages()) {
        let (seen, passed, _) = read(text.as_bytes(), &[]);
        if matches!(seen, Seen::Refused(_)) {
            // Read again, what passed is well-formed and waits for more.
            let (again, _, _) = read(&text.as_bytes()[..passed], &[]);
            prop_assert_eq!(again, Seen::All);
        }
    }
}
