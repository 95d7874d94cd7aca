//! The built-in rule sets.

use super::{Rule, Severity};

/// React in all its packages, and entry points for the browser, as the shell system had it.
pub(super) fn react() -> Vec<Rule> {
    let react = [
        "react",
        "react/*",
        "react-dom",
        "react-dom/*",
        "react-hotkeys-hook",
    ];
    let entries = [
        "*/frontend",
        "*/frontend.js",
        "*/frontend.mjs",
        "*/frontend.cjs",
    ];
    let mut frontend = rule("Frontend", &entries);
    frontend.files = texts(&["*/src/frontend.ts", "*/src/frontend.tsx", "*/frontend.js"]);
    vec![rule("React", &react), frontend]
}

/// Everything that is written for a browser: frameworks, styles in scripts, and what works
/// on its documents.
pub(super) fn frontend() -> Vec<Rule> {
    let mut rules = react();
    rules.extend([
        packages(
            "React",
            &[
                "react-router-dom",
                "react-redux",
                "react-helmet",
                "react-query",
                "react-hook-form",
                "@tanstack/react-query",
                "@tanstack/react-table",
                "next",
                "@remix-run/react",
            ],
        ),
        packages(
            "Vue",
            &["vue", "vue-router", "vuex", "pinia", "nuxt", "@vue/*"],
        ),
        packages("Svelte", &["svelte", "@sveltejs/kit"]),
        packages("Angular", &["@angular/*", "zone.js"]),
        packages("Solid", &["solid-js", "@solidjs/*"]),
        packages("Preact", &["preact", "@preact/*"]),
        packages(
            "Styles",
            &[
                "styled-components",
                "@emotion/*",
                "emotion",
                "@mui/*",
                "@chakra-ui/*",
                "@radix-ui/*",
                "@headlessui/*",
                "antd",
                "jss",
                "react-jss",
                "@stitches/react",
                "goober",
                "linaria",
                "@linaria/*",
                "@vanilla-extract/*",
                "styled-jsx",
                "aphrodite",
                "tailwindcss",
            ],
        ),
        packages(
            "Browser",
            &[
                "jquery",
                "lit",
                "lit-html",
                "lit-element",
                "@lit/*",
                "@hotwired/*",
                "alpinejs",
                "htmx.org",
                "d3-selection",
                "@popperjs/core",
                "@floating-ui/dom",
                "framer-motion",
                "gsap",
                "lottie-web",
                "quill",
                "@tiptap/*",
                "prosemirror-view",
                "@codemirror/view",
                "monaco-editor",
                "xterm",
                "@xterm/xterm",
                "leaflet",
                "mapbox-gl",
                "swiper",
            ],
        ),
    ]);
    rules
}

fn rule(label: &str, globs: &[&str]) -> Rule {
    Rule {
        label: label.to_owned(),
        packages: texts(globs),
        files: Vec::new(),
        severity: Severity::Error,
        bundles: Vec::new(),
    }
}

/// A rule for whole packages, however they are entered.
fn packages(label: &str, names: &[&str]) -> Rule {
    let globs = names.iter().flat_map(|name| {
        let inside = (!name.ends_with('*')).then(|| format!("{name}/*"));
        std::iter::once((*name).to_owned()).chain(inside)
    });
    Rule {
        packages: globs.collect(),
        ..rule(label, &[])
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
