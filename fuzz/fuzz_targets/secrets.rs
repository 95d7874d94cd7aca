//! A file of any bytes: what is found lies in it, and no hit shows more than a fingerprint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_builds::secrets::scan_text;

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let found = scan_text("app-gateway/main.js", bytes);
    assert_eq!(found, scan_text("app-gateway/main.js", bytes), "twice");
    for hit in &found {
        let line = hit.line.checked_sub(1).and_then(|line| lines.get(line));
        let line = line.expect("the line is one of the file");
        assert!((1..=line.len()).contains(&hit.column), "{hit:?}");
        assert_eq!(hit.fingerprint.len(), 12, "{hit:?}");
    }
    // As a map it is told by its sources, or as any file: never less.
    let of_map = scan_text("app-gateway/main.js.map", bytes);
    assert!(found.is_empty() || !of_map.is_empty(), "{found:?}");
});
