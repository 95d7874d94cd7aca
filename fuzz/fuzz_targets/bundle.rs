//! A bundle of any text: what is found lies in it, and is found again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_builds::validate::{Rules, find_imports, fuzzing};

fuzz_target!(|text: &str| {
    let found = find_imports(text, &Rules::default());
    assert_eq!(found, find_imports(text, &Rules::default()), "twice");
    let Ok(found) = found else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    for one in &found {
        let line = one.line.checked_sub(1).and_then(|line| lines.get(line));
        let line = line.expect("the line is one of the text");
        // A byte order mark counts as nothing.
        assert!((1..=line.len() + 1).contains(&one.column), "{one:?}");
        assert!(!one.code.chars().any(char::is_control), "{one:?}");
    }
    let judged = fuzzing::judged(text, None, None);
    if !text.starts_with('\u{feff}') {
        assert_eq!(judged, Ok(found), "as a bundle");
    }
});
