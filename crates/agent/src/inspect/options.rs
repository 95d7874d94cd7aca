//! The options of Node that take the next word as their value, of Node 20, 22 and 24.
//!
//! Node refuses a value that begins with `-`, so what looks like an option is one. An
//! option that is not in the list is taken for one without a value: then its value
//! looks like the script, and what follows is left as it is.

/// Sorted, in bytes.
const WITH_VALUE: &[&str] = &[
    "--allow-fs-read",
    "--allow-fs-write",
    "--build-snapshot-config",
    "--conditions",
    "--cpu-prof-dir",
    "--cpu-prof-interval",
    "--cpu-prof-name",
    "--diagnostic-dir",
    "--disable-proto",
    "--disable-warning",
    "--dns-result-order",
    "--env-file",
    "--env-file-if-exists",
    "--es-module-specifier-resolution",
    "--eval",
    "--experimental-config-file",
    "--experimental-default-type",
    "--experimental-loader",
    "--experimental-package-map",
    "--experimental-policy",
    "--experimental-sea-config",
    "--experimental-specifier-resolution",
    "--experimental-test-isolation",
    "--experimental-test-tag-filter",
    "--heap-prof-dir",
    "--heap-prof-interval",
    "--heap-prof-name",
    "--heapsnapshot-near-heap-limit",
    "--heapsnapshot-signal",
    "--icu-data-dir",
    "--import",
    "--input-type",
    "--inspect-publish-uid",
    "--loader",
    "--localstorage-file",
    "--max-http-header-size",
    "--max-old-space-size-percentage",
    "--network-family-autoselection-attempt-timeout",
    "--openssl-config",
    "--policy-integrity",
    "--print",
    "--redirect-warnings",
    "--report-dir",
    "--report-directory",
    "--report-filename",
    "--report-signal",
    "--require",
    "--run",
    "--secure-heap",
    "--secure-heap-min",
    "--security-revert",
    "--security-reverts",
    "--snapshot-blob",
    "--stack-trace-limit",
    "--test-concurrency",
    "--test-coverage-branches",
    "--test-coverage-exclude",
    "--test-coverage-functions",
    "--test-coverage-include",
    "--test-coverage-lines",
    "--test-global-setup",
    "--test-isolation",
    "--test-name-pattern",
    "--test-random-seed",
    "--test-reporter",
    "--test-reporter-destination",
    "--test-rerun-failures",
    "--test-shard",
    "--test-skip-pattern",
    "--test-timeout",
    "--title",
    "--tls-cipher-list",
    "--tls-keylog",
    "--trace-event-categories",
    "--trace-event-file-pattern",
    "--trace-require-module",
    "--unhandled-rejections",
    "--use-largepages",
    "--v8-pool-size",
    "--watch-kill-signal",
    "--watch-path",
    "-C",
    "-e",
    "-p",
    "-pe",
    "-r",
];

/// Whether an option of this name, without `=`, takes the next word.
pub(super) fn takes_value(name: &str) -> bool {
    WITH_VALUE.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(WITH_VALUE.is_sorted());
        assert!(takes_value("--require"));
        assert!(!takes_value("--inspect"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test asks Node itself")]
    fn the_installed_node_has_no_other() {
        const ASK: &str = "
            const { internalBinding } = require('internal/test/binding');
            const options = internalBinding('options');
            const all = options.getCLIOptionsInfo?.() ?? options.getCLIOptions?.() ?? options;
            const { kString, kStringList, kInteger, kUInteger, kHostPort } = options.types;
            const types = [kString, kStringList, kInteger, kUInteger, kHostPort];
            for (const [name, it] of all.options) if (types.includes(it.type)) console.log(name);";
        let asked = std::process::Command::new("node")
            .args(["--expose-internals", "--no-warnings", "-e", ASK])
            .output()
            .unwrap();
        let names = String::from_utf8(asked.stdout).unwrap();
        assert!(names.contains("--require\n"), "{names}");
        let unknown: Vec<&str> = names
            .lines()
            .filter(|name| !takes_value(name) && *name != "--inspect-port")
            .collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }
}
