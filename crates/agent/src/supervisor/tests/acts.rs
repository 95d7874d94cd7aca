//! What a process did before its first `listen`, where that was much.

use super::*;

/// Looks at that many files in a folder, and after them reads a counter, before it listens.
const READER: &str = "
const fs = require('fs');
const { FOLDER, COUNTER, WORDS } = process.env;
for (let n = 0; n < Number(WORDS); n += 1) fs.existsSync(`${FOLDER}/${'w'.repeat(240)}${n}`);
if (COUNTER) fs.existsSync(COUNTER);
require('http').createServer((request, response) => response.end()).listen(8888);
";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_hides_nothing_that_is_not_however_much_it_is() {
    let mut bench = Bench::new().await;
    let words = bench.folder.path().join("words").display().to_string();
    let counter = bench.folder.path().join("counter").display().to_string();
    let not_allowed = format!("it read {counter} before it listened");
    for (seq, build, count, counter, expected) in [
        (1, 'a', 0, "", None),
        (2, 'b', 500, "", None),
        (3, 'c', 500, counter.as_str(), Some(not_allowed.as_str())),
        (4, 'd', 2_500, "", Some("it did more than ")),
    ] {
        let mut target = bench.target(build, seq, "node", READER);
        target.settings.before_listen = vec![format!("read:{words}/*")];
        target.settings.env.extend([
            ("FOLDER".to_owned(), words.clone()),
            ("COUNTER".to_owned(), counter.to_owned()),
            ("WORDS".to_owned(), count.to_string()),
        ]);
        bench.handle.run(target).await;
        let snapshot = bench.ready(seq).await;
        assert_eq!(snapshot.refused, None, "{}", bench.log());
        if seq > 1 {
            let change = snapshot.change.unwrap();
            assert_eq!(change.gated, expected.is_none(), "{change:?}");
            let why = change.why_cold.unwrap_or_default();
            assert!(why.starts_with(expected.unwrap_or_default()), "{why}");
        }
    }
    bench.shutdown().await;
}
