//! What a workspace's tsconfig makes of names: `compilerOptions.paths`.

use oxc_allocator::Allocator;
use oxc_ast::ast::{ArrayExpressionElement, Expression, ObjectExpression, ObjectPropertyKind};
use oxc_parser::Parser;
use oxc_span::SourceType;

use super::super::deep::nested_too_deep;
use super::super::modules::joined;

/// Names and what they stand for; each may hold one star.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Aliases(Vec<(String, Vec<String>)>);

impl Aliases {
    /// Reads a tsconfig. It is JSON with comments, and so an expression of JavaScript.
    pub(super) fn read(text: &str) -> Self {
        if nested_too_deep(text).is_some() {
            return Self::default();
        }
        let allocator = Allocator::default();
        let parser = Parser::new(&allocator, text, SourceType::cjs());
        let Ok(Expression::ObjectExpression(config)) = parser.parse_expression() else {
            return Self::default();
        };
        let options = object(&config, "compilerOptions");
        let base = options.and_then(|options| text_of(property(options, "baseUrl")?));
        let base = base.unwrap_or_default();
        let Some(paths) = options.and_then(|options| object(options, "paths")) else {
            return Self::default();
        };
        let mut aliases = Vec::new();
        for one in &paths.properties {
            let ObjectPropertyKind::ObjectProperty(one) = one else {
                continue;
            };
            let (Some(name), Expression::ArrayExpression(targets)) =
                (one.key.static_name(), &one.value)
            else {
                continue;
            };
            let targets = targets.elements.iter();
            let targets = targets.filter_map(ArrayExpressionElement::as_expression);
            let targets = targets
                .filter_map(text_of)
                .map(|target| joined(&base, &target));
            aliases.push((name.into_owned(), targets.collect()));
        }
        Self(aliases)
    }

    /// The paths that a specifier may stand for.
    pub(super) fn of(&self, specifier: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (name, targets) in &self.0 {
            let inner = match name.split_once('*') {
                None if name == specifier => "",
                None => continue,
                Some((before, after)) => {
                    let inner = specifier.strip_prefix(before);
                    match inner.and_then(|inner| inner.strip_suffix(after)) {
                        Some(inner) => inner,
                        None => continue,
                    }
                }
            };
            found.extend(targets.iter().map(|target| target.replacen('*', inner, 1)));
        }
        found
    }
}

fn property<'a, 'e>(object: &'e ObjectExpression<'a>, name: &str) -> Option<&'e Expression<'a>> {
    object.properties.iter().find_map(|one| match one {
        ObjectPropertyKind::ObjectProperty(one) if one.key.is_specific_static_name(name) => {
            Some(&one.value)
        }
        _ => None,
    })
}

fn object<'a, 'e>(of: &'e ObjectExpression<'a>, name: &str) -> Option<&'e ObjectExpression<'a>> {
    match property(of, name)? {
        Expression::ObjectExpression(object) => Some(object),
        _ => None,
    }
}

fn text_of(value: &Expression) -> Option<String> {
    match value {
        Expression::StringLiteral(text) => Some(text.value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_where_the_configuration_says() {
        let aliases = Aliases::read(
            r#"{
              // of the whole workspace
              "compilerOptions": {
                "baseUrl": ".",
                "paths": {
                  "@x/collab": ["packages/collab/src/index.ts"],
                  "@x/*/frontend": ["packages/*/src/frontend.ts"],
                  "@/*": ["./src/*", "./lib/*"],
                },
              },
            }"#,
        );
        for (specifier, expected) in [
            ("@x/collab", &["packages/collab/src/index.ts"][..]),
            ("@x/collab/frontend", &["packages/collab/src/frontend.ts"]),
            ("@/a/b", &["src/a/b", "lib/a/b"]),
            ("react", &[]),
        ] {
            assert_eq!(aliases.of(specifier), expected, "{specifier}");
        }
        for text in ["", "{", "[]", "{\"compilerOptions\":{\"paths\":1}}"] {
            assert_eq!(Aliases::read(text), Aliases::default());
        }
    }
}
