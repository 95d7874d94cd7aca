//! A metafile of any text: numbers name modules, and a bundle can be judged with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_builds::validate::fuzzing;

fuzz_target!(|text: &str| {
    if let Ok(told) = fuzzing::metafile(text, "dist/main.js") {
        assert_eq!(told.edges.len(), told.modules);
        let edges = told.edges.iter().flatten();
        assert!(
            edges
                .chain(&told.named)
                .all(|number| *number < told.modules)
        );
    }
    let judged = fuzzing::judged("require('react');\n", None, Some(text));
    let found = judged.expect("a bundle can be judged without its metafile");
    assert!(
        found
            .iter()
            .any(|one| one.specifier == "react" && one.line == 1)
    );
});
