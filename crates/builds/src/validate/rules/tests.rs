use super::*;

fn label(specifier: &str) -> Option<String> {
    let rules = Rules::default();
    let matcher = rules.matcher("main.js").unwrap();
    let number = matcher.specifier(specifier)?;
    Some(matcher.rules[number].label.clone())
}

fn check(specifier: &str, expected: Option<&str>) {
    assert_eq!(label(specifier).as_deref(), expected, "{specifier}");
}

#[test]
fn react_is_told_from_what_only_sounds_like_it() {
    for specifier in [
        "react",
        "react/jsx-runtime",
        "react/jsx-dev-runtime",
        "react-dom",
        "react-dom/client",
        "react-dom/server.node",
        "react-hotkeys-hook",
        "../../node_modules/react/index.js",
        "/home/x/node_modules/.pnpm/a/node_modules/react-dom/client",
    ] {
        check(specifier, Some("React"));
    }
    for specifier in [
        "",
        "React",
        "preact",
        "reactive",
        "react-is",
        "./react",
        "@scope/react",
        "react-native",
        "./react/index.js",
        "node_modules/preact",
    ] {
        check(specifier, None);
    }
}

#[test]
fn entry_points_for_the_browser_are_front_end() {
    for specifier in [
        "@scope/collab/frontend",
        "./frontend.js",
        "../lib/frontend",
        "x/dist/frontend.mjs",
    ] {
        check(specifier, Some("Frontend"));
    }
    for specifier in [
        "frontend",
        "frontend-api",
        "./frontend/api.js",
        "./my-frontend.js",
        "x/frontend.json",
    ] {
        check(specifier, None);
    }
}

#[test]
fn files_in_a_bundle_are_told_by_their_package_or_their_path() {
    let rules = Rules::default();
    let matcher = rules.matcher("main.js").unwrap();
    for (path, expected) in [
        (
            "node_modules/react/cjs/react.production.min.js",
            Some("React"),
        ),
        ("node_modules/@x/collab/frontend.js", Some("Frontend")),
        ("packages/collab/src/frontend.ts", Some("Frontend")),
        ("node_modules/react-is/index.js", None),
        ("packages/react/src/index.ts", None),
        ("packages/app/src/frontend-api.ts", None),
    ] {
        let label = matcher
            .file(path)
            .map(|number| matcher.rules[number].label.as_str());
        assert_eq!(label, expected, "{path}");
    }
}

#[test]
fn a_glob_that_is_none_is_named() {
    let mut rules = Rules::default();
    rules.rules[0].packages.push("[z-a]".to_owned());
    let error = rules.matcher("main.js").unwrap_err();
    assert!(
        error.contains("`[z-a]`") && error.contains("React"),
        "{error}"
    );
}

#[test]
fn a_rule_may_be_for_some_bundles_and_an_exception_too() {
    let mut rules = Rules::default();
    for rule in &mut rules.rules {
        rule.bundles = vec!["dist/*/main.js".to_owned()];
    }
    rules.allowed.push(Allowed {
        what: "react-dom/*".to_owned(),
        reason: "renders mails".to_owned(),
        bundles: vec!["dist/mail/*".to_owned()],
    });
    for (bundle, forbidden, allowed) in [
        ("dist/mail/main.js", true, true),
        ("dist/app/main.js", true, false),
        ("other.js", false, false),
    ] {
        let matcher = rules.matcher(bundle).unwrap();
        assert_eq!(matcher.specifier("react").is_some(), forbidden, "{bundle}");
        assert_eq!(
            matcher.reason("react-dom/server").is_some(),
            allowed,
            "{bundle}"
        );
    }
}

#[test]
fn the_built_in_sets_are_globs_and_hold_each_other() {
    for name in Rules::SETS {
        let rules = Rules {
            rules: Rules::set(name).unwrap(),
            ..Rules::default()
        };
        let matcher = rules.matcher("main.js").unwrap();
        assert!(matcher.specifier("react").is_some());
    }
    let rules = Rules {
        rules: Rules::set("frontend").unwrap(),
        ..Rules::default()
    };
    let matcher = rules.matcher("main.js").unwrap();
    for specifier in [
        "vue",
        "vue/dist/vue.js",
        "@angular/core",
        "@emotion/react",
        "preact/hooks",
    ] {
        assert!(matcher.specifier(specifier).is_some(), "{specifier}");
    }
    for specifier in ["express", "zod", "vuelidate", "svelter"] {
        assert!(matcher.specifier(specifier).is_none(), "{specifier}");
    }
}
