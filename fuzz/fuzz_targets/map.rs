//! A bundle, a NUL and a map: nothing lies outside the bundle, or counts twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_builds::validate::fuzzing;

fuzz_target!(|text: &str| {
    let (bundle, map) = text.split_once('\0').unwrap_or(("a;\nb;\n", text));
    let places: Vec<usize> = (0..=bundle.len()).collect();
    if let Ok(found) = fuzzing::survey(bundle, map, &places) {
        let all: u64 = found.bytes.iter().sum();
        assert!(all <= bundle.len() as u64, "{all} of {}", bundle.len());
        assert_eq!(found.bytes.len(), found.sources);
        assert_eq!(found.first.len(), found.sources);
        assert_eq!(found.origins.len(), places.len());
        assert!(found.contents.is_none_or(|count| count == found.sources));
        assert!(
            found
                .first
                .iter()
                .flatten()
                .all(|first| *first <= bundle.len())
        );
        for (source, line) in found.origins.iter().flatten() {
            assert!(*source < found.sources && *line > 0, "{source}:{line}");
        }
    }
    if let Ok(found) = fuzzing::judged(bundle, Some(map), None) {
        let lines = bundle.split('\n').count();
        for one in found {
            assert!(one.line <= lines, "{one:?}");
            assert!(
                one.bytes.is_none_or(|bytes| bytes <= bundle.len() as u64),
                "{one:?}"
            );
        }
    }
});
