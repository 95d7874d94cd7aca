use std::collections::HashMap;

use super::*;

/// The graph of these files; those of `disk` left nothing in the bundle.
fn drawn(files: &[(&str, &str)], disk: &[(&str, &str)]) -> Graph {
    let module = |(path, _): &(&str, &str)| Module {
        path: (*path).to_owned(),
        bytes: 1,
        first: None,
    };
    let texts: Vec<Option<&str>> = files.iter().map(|(_, text)| Some(*text)).collect();
    let disk: HashMap<&str, &str> = disk.iter().copied().collect();
    let read = |path: &str| disk.get(path).map(ToString::to_string);
    rebuild(files.iter().map(module).collect(), &texts, &read)
}

/// The files on the way to one, and what each imports there.
fn way(graph: &Graph, goal: &str) -> Option<Vec<String>> {
    let path = |number: usize| graph.modules[number].path.clone();
    let (steps, goal) = graph.way(|number| path(number) == goal)?;
    let mut said: Vec<String> = steps
        .iter()
        .map(|(at, edge)| format!("{}:{} {}", path(*at), edge.line.unwrap(), edge.specifier))
        .collect();
    said.push(path(goal));
    Some(said)
}

#[test]
fn the_shortest_way_is_found() {
    let graph = drawn(
        &[
            (
                "src/main.ts",
                "import './long';\nimport { b } from './b.js';\nb()",
            ),
            ("src/long.ts", "import './longer'"),
            ("src/longer.ts", "import './b'"),
            ("src/b.ts", "export const b = require('react')"),
            ("node_modules/react/index.js", ""),
        ],
        &[],
    );
    let expected = [
        "src/main.ts:2 ./b.js",
        "src/b.ts:1 react",
        "node_modules/react/index.js",
    ];
    assert_eq!(
        way(&graph, "node_modules/react/index.js").unwrap(),
        expected
    );
}

#[test]
fn a_file_that_left_nothing_in_the_bundle_is_read_from_the_workspace() {
    let graph = drawn(
        &[
            (
                "packages/app/src/main.ts",
                "import { A } from '@x/collab';\nnew A()",
            ),
            (
                "packages/collab/src/lib/hooks.ts",
                "import { useState } from 'react';\nuseState()",
            ),
            ("node_modules/react/index.js", ""),
        ],
        &[
            (
                "tsconfig.base.json",
                r#"{"compilerOptions":{"paths":{"@x/*":["packages/*/src"]}}}"#,
            ),
            ("packages/collab/src/index.ts", "export * from './lib'"),
            (
                "packages/collab/src/lib/index.ts",
                "\nexport * from './hooks'",
            ),
        ],
    );
    let expected = [
        "packages/app/src/main.ts:1 @x/collab",
        "packages/collab/src/index.ts:1 ./lib",
        "packages/collab/src/lib/index.ts:2 ./hooks",
        "packages/collab/src/lib/hooks.ts:1 react",
        "node_modules/react/index.js",
    ];
    assert_eq!(
        way(&graph, "node_modules/react/index.js").unwrap(),
        expected
    );
}

#[test]
fn imports_of_types_are_a_way_only_where_there_is_no_other() {
    let goal = "node_modules/react/index.js";
    let types = (
        "src/main.ts",
        "import { A } from 'react';\nimport './b';\nlet x: A",
    );
    let b = ("src/b.ts", "import 'react'");
    let react = (goal, "");
    let both = way(&drawn(&[types, b, react], &[]), goal).unwrap();
    assert_eq!(both, ["src/main.ts:2 ./b", "src/b.ts:1 react", goal]);
    let only = way(&drawn(&[types, react], &[]), goal).unwrap();
    assert_eq!(only, ["src/main.ts:1 react", goal]);
    let said = ("src/main.ts", "import type { A } from 'react'; let x: A");
    assert_eq!(way(&drawn(&[said, react], &[]), goal), None);
}

#[test]
fn modules_that_import_each_other_have_an_end() {
    let graph = drawn(
        &[
            ("src/main.ts", "import './a'"),
            ("src/a.ts", "import './b'"),
            ("src/b.ts", "import './a'; import './main'"),
            ("node_modules/react/index.js", ""),
        ],
        &[],
    );
    assert_eq!(way(&graph, "node_modules/react/index.js"), None);
}

#[test]
fn a_part_of_a_package_is_told_from_the_rest_of_it() {
    let graph = drawn(
        &[
            ("src/main.ts", "import 'react-dom/server'"),
            ("node_modules/react-dom/client.js", ""),
            ("node_modules/react-dom/server.node.js", ""),
        ],
        &[],
    );
    assert!(way(&graph, "node_modules/react-dom/server.node.js").is_some());
    assert!(way(&graph, "node_modules/react-dom/client.js").is_none());
}

#[test]
fn a_graph_of_many_files_is_the_same_read_on_two_cores() {
    for count in [3, 63, 64, 65, 200] {
        let goal = "node_modules/react/index.js";
        let mut files: Vec<(String, String)> = (1..count - 1)
            .map(|at| (format!("src/{at}.ts"), format!("import './{}'", at + 1)))
            .collect();
        files.insert(0, ("src/main.ts".to_owned(), "import './1'".to_owned()));
        files.push((goal.to_owned(), String::new()));
        if let Some((_, text)) = files.get_mut(count - 2) {
            "import 'react'".clone_into(text);
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(
            way(&drawn(&files, &[]), goal).unwrap().len(),
            count,
            "{count}"
        );
    }
}
