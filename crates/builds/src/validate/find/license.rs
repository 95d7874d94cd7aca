//! What React says of itself in the comments that minifiers keep.

/// The file of React that a comment is the head of, as a path of its package.
pub(super) fn file_of_react(comment: &str) -> Option<String> {
    let (_, rest) = comment.split_once("@license React")?;
    let name = rest.split_whitespace().find(|word| *word != "*")?;
    let (module, _) = name.strip_suffix(".js")?.split_once('.')?;
    let package = match module {
        "react" | "react-jsx-runtime" | "react-jsx-dev-runtime" | "react-compiler-runtime" => {
            "react"
        }
        "react-dom" => "react-dom",
        module if module.starts_with("react-dom-") => "react-dom",
        _ => return None,
    };
    Some(format!("node_modules/{package}/cjs/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn react_is_told_from_its_namesakes() {
        for (name, expected) in [
            (
                "react.production.js",
                Some("node_modules/react/cjs/react.production.js"),
            ),
            (
                "react.production.min.js",
                Some("node_modules/react/cjs/react.production.min.js"),
            ),
            (
                "react-jsx-runtime.development.js",
                Some("node_modules/react/cjs/react-jsx-runtime.development.js"),
            ),
            (
                "react-dom-client.production.js",
                Some("node_modules/react-dom/cjs/react-dom-client.production.js"),
            ),
            ("react-is.production.js", None),
            ("scheduler.production.js", None),
        ] {
            let comment = format!("*\n * @license React\n * {name}\n *\n * Copyright (c)");
            assert_eq!(file_of_react(&comment).as_deref(), expected, "{name}");
        }
        assert_eq!(file_of_react("* @license MIT react.production.js"), None);
    }
}
