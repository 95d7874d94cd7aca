//! A source file, a NUL and a tsconfig: imports lie in the file, and lead to modules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_builds::validate::fuzzing;

fuzz_target!(|text: &str| {
    let (source, configuration) = text.split_once('\0').unwrap_or((text, "{}"));
    let lines = source.split('\n').count();
    for path in [
        "src/main.ts",
        "src/main.tsx",
        "src/main.js",
        "src/main.d.ts",
    ] {
        let imports = fuzzing::source(path, source).expect("the reader is done");
        let imports = imports.unwrap_or_default();
        assert!(
            imports.iter().all(|line| (1..=lines).contains(line)),
            "{imports:?}"
        );
    }
    let files = [
        ("src/main.ts", source),
        ("src/a.ts", "import './main'; import '@x/a'"),
        ("node_modules/react/index.js", ""),
    ];
    let (modules, edges) = fuzzing::graph(&files, configuration).expect("the graph is drawn");
    assert_eq!(edges.len(), modules);
    assert!(edges.iter().flatten().all(|to| *to < modules));
});
