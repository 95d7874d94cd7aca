//! Published bundles hold no secrets, and none is found in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockgate_builds::secrets::scan;
use lockgate_model::FilePath;

/// Large bundles among what the corpus and the example are built with.
const PUBLISHED: [&str; 5] = [
    "crates/builds/corpus/node_modules/typescript/lib/typescript.js",
    "crates/builds/corpus/node_modules/typescript/lib/_tsc.js",
    "crates/builds/corpus/node_modules/rollup/dist/shared/rollup.js",
    "crates/builds/corpus/node_modules/terser/dist/bundle.min.js",
    "crates/builds/corpus/node_modules/acorn/dist/acorn.js",
];

#[test]
fn nothing_is_found_in_published_bundles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: BTreeMap<FilePath, PathBuf> = BTreeMap::new();
    let mut bytes = 0;
    for path in PUBLISHED {
        let found = std::fs::metadata(root.join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}; `scripts/corpus.sh` installs it"));
        bytes += found.len();
        // As a file of one's own, where everything would be refused.
        let place = path.rsplit('/').next().unwrap();
        files.insert(FilePath::parse(place).unwrap(), root.join(path));
    }
    assert!(bytes > 10_000_000, "{bytes} bytes");
    assert_eq!(scan(&files), []);
}
