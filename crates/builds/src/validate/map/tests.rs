use super::super::lines::Lines;
use super::*;

fn surveyed(map: &str, bundle: &str, places: &[usize]) -> Survey {
    let map = read(map).unwrap();
    survey(&map, &Lines::of(bundle), places).unwrap()
}

fn origin(source: usize, line: usize) -> Origin {
    Origin { source, line }
}

#[test]
fn bytes_and_origins_are_those_of_the_mappings() {
    // Two lines: all of the first from a:1, of the second six columns from b:3, the rest from a:2.
    let map = r#"{"version":3,"sources":["a.ts","b.ts"],"mappings":"AAAA;ACEA,MDDA"}"#;
    let bundle = "abc\nbbbbbbaaa\n";
    let found = surveyed(map, bundle, &[0, 4, 9, 10, 13]);
    assert_eq!(found.bytes, [4 + 4, 6]);
    assert_eq!(found.first, [Some(0), Some(4)]);
    let expected = [
        Some(origin(0, 1)),
        Some(origin(1, 3)),
        Some(origin(1, 3)),
        Some(origin(0, 2)),
        Some(origin(0, 2)),
    ];
    assert_eq!(found.origins, expected);
    assert_eq!(found.misfit, None);
}

#[test]
fn columns_are_counted_as_javascript_counts_them() {
    let map = r#"{"version":3,"sources":["a","b"],"mappings":"AAAA,ICAA"}"#;
    // Four units: two letters outside the basic plane, eight bytes.
    let found = surveyed(map, "𝒳𝒴bb", &[7, 8]);
    assert_eq!(found.bytes, [8, 2]);
    assert_eq!(found.origins, [Some(origin(0, 1)), Some(origin(1, 1))]);
}

#[test]
fn sections_lie_where_they_say_and_count_their_own_files() {
    let map = r#"{"version":3,"sections":[
        {"offset":{"line":0,"column":0},"map":{"version":3,"sources":["a"],"mappings":"AAAA"}},
        {"offset":{"line":1,"column":2},"map":{"version":3,"sources":["b"],"sourceRoot":"lib/","mappings":"AAAA"}}]}"#;
    assert_eq!(read(map).unwrap().sources, ["a", "lib/b"]);
    let found = surveyed(map, "aaaa\n..bbb", &[0, 5, 7]);
    assert_eq!(found.bytes, [5, 3]);
    assert_eq!(
        found.origins,
        [Some(origin(0, 1)), None, Some(origin(1, 1))]
    );
}

#[test]
fn contents_are_there_or_not() {
    let map =
        r#"{"version":3,"sources":["a","b",null],"sourcesContent":["x\ny",null],"mappings":""}"#;
    let contents = read(map).unwrap().contents().unwrap();
    assert_eq!(contents, [Some("x\ny".into()), None, None]);
    let without = r#"{"version":3,"sources":["a"],"mappings":""}"#;
    assert_eq!(read(without).unwrap().contents().unwrap(), [None]);
}

#[test]
fn a_map_that_is_none_is_a_sentence() {
    for (map, expected) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "invalid"),
        ("{}", "no `sources`"),
        (r#"{"version":2,"sources":[]}"#, "version 2"),
        (
            r#"{"version":3,"sections":[{"offset":{"line":0,"column":0}}]}"#,
            "no map",
        ),
        (
            r#"{"version":3,"sections":[{"offset":{"line":0,"column":0},"url":"x.map"}]}"#,
            "elsewhere, at `x.map`",
        ),
    ] {
        let error = read(map).unwrap_err();
        assert!(error.contains(expected), "{map}: {error}");
    }
}

#[test]
fn mappings_that_cannot_be_are_a_sentence() {
    for (mappings, expected) in [
        ("*", "not base 64"),
        ("g", "break off"),
        ("AA", "too few"),
        ("AAAAAA", "too many"),
        ("ACAA", "does not list"),
        ("D", "left of its line"),
        ("AADA", "above its file"),
        ("ggggggggB", "too large"),
    ] {
        let map = format!(r#"{{"version":3,"sources":["a"],"mappings":"{mappings}"}}"#);
        let map = read(&map).unwrap();
        let error = survey(&map, &Lines::of("abc"), &[]).unwrap_err();
        assert!(error.contains(expected), "{mappings}: {error}");
    }
}

#[test]
fn a_map_of_another_bundle_is_told() {
    for (mappings, expected) in [("AAAA;;AAAA", "line 3"), ("AAAA,gBAAA", "line 1")] {
        let map = format!(r#"{{"version":3,"sources":["a"],"mappings":"{mappings}"}}"#);
        let misfit = surveyed(&map, "abc\nd", &[]).misfit.unwrap();
        assert!(misfit.contains(expected), "{mappings}: {misfit}");
    }
}

#[test]
fn what_servers_put_before_a_map_is_skipped() {
    let map = ")]}'\n{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"\"}";
    assert_eq!(read(map).unwrap().sources, ["a"]);
}

#[test]
fn a_column_within_a_letter_is_behind_it() {
    let map = r#"{"version":3,"sources":["a","b"],"mappings":"AAAA,CCAA,CDAA"}"#;
    assert_eq!(surveyed(map, "𝒳bb", &[]).bytes, [4 + 2, 0]);
}

/// Two sections, the second from this place on, each mapped from its beginning and its end.
fn two_sections(line: u64, column: u64, mappings: &str) -> String {
    format!(
        r#"{{"version":3,"sections":[
        {{"offset":{{"line":0,"column":0}},"map":{{"version":3,"sources":["a"],"mappings":"{mappings}"}}}},
        {{"offset":{{"line":{line},"column":{column}}},"map":{{"version":3,"sources":["b"],"mappings":"AAAA,CAAA"}}}}]}}"#
    )
}

#[test]
fn a_section_ends_where_the_next_begins() {
    for (line, column, mappings, bytes) in [
        (0, 4, "AAAA", [4, 4]),
        (0, 4, "AAAA,MAAA", [4, 4]),
        (0, 4, "AAAA;AAAA", [4, 4]),
        (0, 4, "MAAA", [0, 4]),
        (0, 0, "AAAA", [0, 8]),
        (1, 0, "AAAA", [8, 0]),
    ] {
        let found = surveyed(&two_sections(line, column, mappings), "aaaabbb\n", &[]);
        assert_eq!(found.bytes, bytes, "{line}:{column} {mappings}");
    }
}

#[test]
fn sections_out_of_order_are_a_sentence() {
    let map = r#"{"version":3,"sections":[
        {"offset":{"line":1,"column":0},"map":{"version":3,"sources":["a"],"mappings":"AAAA"}},
        {"offset":{"line":0,"column":9},"map":{"version":3,"sources":["b"],"mappings":"AAAA"}}]}"#;
    assert!(read(map).unwrap_err().contains("not in order"));
}

#[test]
fn a_section_further_right_than_numbers_go_is_a_sentence() {
    for column in [i64::MAX as u64, u64::MAX] {
        let map = two_sections(0, column, "AAAA");
        let map = read(&map).unwrap();
        let why = survey(&map, &Lines::of("aaaa"), &[]).unwrap_err();
        assert!(why.contains("too large"), "{why}");
    }
}
