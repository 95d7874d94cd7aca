//! Reads a source file: what it imports, how it uses that, and whether it holds more.

use std::collections::HashSet;
use std::path::Path;

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, BindingIdentifier, CallExpression, ExportAllDeclaration, ExportDeclaration,
    ExportDefaultDeclaration, ExportFromDeclaration, Expression, IdentifierReference,
    ImportDeclaration, ImportDeclarationSpecifier, ImportExpression, JSXElement, JSXFragment,
    TSClassImplements, TSExternalModuleReference, TSInterfaceDeclaration, TSType,
    TSTypeAliasDeclaration, TSTypeAnnotation, TSTypeParameterDeclaration,
    TSTypeParameterInstantiation,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_span::{SourceType, Span};

use super::lines::Lines;

/// What a source file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// What it imports, in the order of the file.
    pub(super) imports: Vec<SourceImport>,
    /// Whether it exports something of its own, besides what it passes on.
    pub(super) exports_own: bool,
}

/// One import of a source file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SourceImport {
    pub(super) specifier: String,
    /// From 1.
    pub(super) line: usize,
    /// Whether it is passed on: `export … from`.
    pub(super) passed_on: bool,
    pub(super) uses: Uses,
}

/// What an import is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uses {
    /// `import type`: nothing of it reaches a bundle.
    TypesSaid,
    /// Types only, and that is not said: a bundler may keep it.
    TypesUnsaid,
    /// Something that runs.
    Values,
}

/// Reads a file, on a thread with room to nest; its path tells the language. `None` where it
/// is no script, or cannot be parsed.
pub(super) fn read(path: &str, text: &str) -> Option<Source> {
    let kind = SourceType::from_path(Path::new(path)).ok()?;
    let kind = if kind.is_javascript() {
        SourceType::unambiguous().with_jsx(true)
    } else {
        kind
    };
    // Deeper than people write: the parser calls itself for every level.
    if super::deep::nested_too_deep(text).is_some() {
        return None;
    }
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, kind).parse();
    if parsed.panicked {
        return None;
    }
    let mut reader = Reader {
        text,
        lines: Lines::of(text),
        is_typed: kind.is_typescript(),
        imports: Vec::new(),
        values: HashSet::new(),
        exports_own: false,
    };
    reader.visit_program(&parsed.program);
    Some(reader.read())
}

/// An import, and the names that it brings.
struct Imported<'t> {
    import: SourceImport,
    names: Vec<&'t str>,
}

struct Reader<'t> {
    text: &'t str,
    lines: Lines<'t>,
    is_typed: bool,
    imports: Vec<Imported<'t>>,
    /// Names that are used where something runs.
    values: HashSet<&'t str>,
    exports_own: bool,
}

impl<'t> Reader<'t> {
    fn read(self) -> Source {
        let Self {
            imports,
            values,
            is_typed,
            exports_own,
            ..
        } = self;
        let judged = imports.into_iter().map(|imported| {
            let Imported { mut import, names } = imported;
            let unused = !names.is_empty() && !names.iter().any(|name| values.contains(name));
            if is_typed && unused && import.uses == Uses::Values {
                import.uses = Uses::TypesUnsaid;
            }
            import
        });
        Source {
            imports: judged.collect(),
            exports_own,
        }
    }

    fn imports(
        &mut self,
        specifier: &str,
        span: Span,
        said: bool,
        passed_on: bool,
        names: Vec<&'t str>,
    ) {
        let (line, _) = self.lines.place(span.start as usize);
        let uses = if said { Uses::TypesSaid } else { Uses::Values };
        self.imports.push(Imported {
            import: SourceImport {
                specifier: specifier.to_owned(),
                line,
                passed_on,
                uses,
            },
            names,
        });
    }

    fn name(&self, span: Span) -> &'t str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    fn bound(&self, name: &BindingIdentifier) -> &'t str {
        // The span of a binding may hold its type as well.
        let length = u32::try_from(name.name.len()).unwrap_or(0);
        self.name(Span::new(name.span.start, name.span.start + length))
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_import_declaration(&mut self, import: &ImportDeclaration<'a>) {
        let mut said = import.import_kind.is_type();
        let mut names = Vec::new();
        if let Some(specifiers) = &import.specifiers {
            let mut each_said = !specifiers.is_empty();
            for specifier in specifiers {
                match specifier {
                    ImportDeclarationSpecifier::ImportSpecifier(one) => {
                        if !one.import_kind.is_type() {
                            each_said = false;
                            names.push(self.bound(&one.local));
                        }
                    }
                    ImportDeclarationSpecifier::ImportDefaultSpecifier(one) => {
                        each_said = false;
                        names.push(self.bound(&one.local));
                    }
                    ImportDeclarationSpecifier::ImportNamespaceSpecifier(one) => {
                        each_said = false;
                        names.push(self.bound(&one.local));
                    }
                }
            }
            said |= each_said;
        }
        let source = &import.source;
        self.imports(&source.value, source.span, said, false, names);
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'a>) {
        let (source, said) = (&export.source, export.export_kind.is_type());
        self.imports(&source.value, source.span, said, true, Vec::new());
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'a>) {
        let each = !export.specifiers.is_empty()
            && export
                .specifiers
                .iter()
                .all(|one| one.export_kind.is_type());
        let said = each || export.export_kind.is_type();
        let source = &export.source;
        self.imports(&source.value, source.span, said, true, Vec::new());
    }

    fn visit_export_declaration(&mut self, export: &ExportDeclaration<'a>) {
        self.exports_own = true;
        walk::walk_export_declaration(self, export);
    }

    fn visit_export_default_declaration(&mut self, export: &ExportDefaultDeclaration<'a>) {
        self.exports_own = true;
        walk::walk_export_default_declaration(self, export);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if let Expression::Identifier(name) = &call.callee
            && name.name == "require"
            && let Some(Argument::StringLiteral(specifier)) = call.arguments.first()
        {
            self.imports(&specifier.value, specifier.span, false, false, Vec::new());
        }
        walk::walk_call_expression(self, call);
    }

    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        if let Expression::StringLiteral(specifier) = &import.source {
            self.imports(&specifier.value, specifier.span, false, false, Vec::new());
        }
        walk::walk_import_expression(self, import);
    }

    /// `import x = require("x")`.
    fn visit_ts_external_module_reference(&mut self, reference: &TSExternalModuleReference<'a>) {
        let specifier = &reference.expression;
        self.imports(&specifier.value, specifier.span, false, false, Vec::new());
    }

    fn visit_identifier_reference(&mut self, name: &IdentifierReference<'a>) {
        let name = self.name(name.span);
        self.values.insert(name);
    }

    /// Classic JSX calls `React`, and does not say so.
    fn visit_jsx_element(&mut self, element: &JSXElement<'a>) {
        self.values.insert("React");
        walk::walk_jsx_element(self, element);
    }

    fn visit_jsx_fragment(&mut self, fragment: &JSXFragment<'a>) {
        self.values.insert("React");
        walk::walk_jsx_fragment(self, fragment);
    }

    // What only describes types runs nowhere.
    fn visit_ts_type(&mut self, _: &TSType<'a>) {}
    fn visit_ts_type_annotation(&mut self, _: &TSTypeAnnotation<'a>) {}
    fn visit_ts_interface_declaration(&mut self, _: &TSInterfaceDeclaration<'a>) {}
    fn visit_ts_type_alias_declaration(&mut self, _: &TSTypeAliasDeclaration<'a>) {}
    fn visit_ts_class_implements(&mut self, _: &TSClassImplements<'a>) {}
    fn visit_ts_type_parameter_declaration(&mut self, _: &TSTypeParameterDeclaration<'a>) {}
    fn visit_ts_type_parameter_instantiation(&mut self, _: &TSTypeParameterInstantiation<'a>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[(&str, usize, bool, Uses)]) {
        let source = read(path, text).unwrap();
        let found: Vec<_> = source
            .imports
            .iter()
            .map(|one| (one.specifier.as_str(), one.line, one.passed_on, one.uses))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn types_that_are_said_and_that_are_not_are_told_from_values() {
        use Uses::{TypesSaid, TypesUnsaid, Values};
        for (text, uses) in [
            ("import type { A } from 'x'; let a: A", TypesSaid),
            ("import { type A, type B } from 'x'", TypesSaid),
            ("import { A } from 'x'; let a: A", TypesUnsaid),
            (
                "import { A } from 'x'; function f(a: A): A[] { return [a] }",
                TypesUnsaid,
            ),
            (
                "import { A } from 'x'; class B implements A { a?: A }",
                TypesUnsaid,
            ),
            (
                "import { A } from 'x'; interface B extends A {} type C = A | B",
                TypesUnsaid,
            ),
            (
                "import A from 'x'; const m = new Map<string, A>()",
                TypesUnsaid,
            ),
            ("import * as X from 'x'; let a = {} as X.A", TypesUnsaid),
            ("import { A } from 'x'; class B extends A {}", Values),
            ("import { type A, b } from 'x'; b()", Values),
            ("import { A } from 'x'; export { A }", Values),
            ("import 'x'", Values),
            ("import {} from 'x'", Values),
        ] {
            check("a.ts", text, &[("x", 1, false, uses)]);
        }
        for text in [
            "import { A } from 'x'; export const b = <A/>",
            "import React from 'x'; export const b = <a/>",
        ] {
            check("a.tsx", text, &[("x", 1, false, Values)]);
        }
        // Without types, a name that is not used may still be meant.
        check("a.js", "import { A } from 'x'", &[("x", 1, false, Values)]);
    }

    #[test]
    fn every_way_to_import_is_seen_with_its_line() {
        use Uses::{TypesSaid, Values};
        let text = "import a from 'a';\nexport * from 'b';\nexport { c } from 'c';\n\
                    export type { d } from 'd';\nimport e = require('e');\n\
                    const f = require('f');\nimport('g');\na(e);";
        check(
            "x.ts",
            text,
            &[
                ("a", 1, false, Values),
                ("b", 2, true, Values),
                ("c", 3, true, Values),
                ("d", 4, true, TypesSaid),
                ("e", 5, false, Values),
                ("f", 6, false, Values),
                ("g", 7, false, Values),
            ],
        );
    }

    #[test]
    fn a_barrel_exports_nothing_of_its_own() {
        assert!(!read("a.ts", "export * from './b'").unwrap().exports_own);
        assert!(read("a.ts", "export class A {}").unwrap().exports_own);
        assert!(read("a.ts", "export default 1").unwrap().exports_own);
    }

    #[test]
    fn what_is_no_script_is_not_read() {
        assert_eq!(read("a.css", "a {}"), None);
        assert_eq!(read("a.ts", "(((").map(|source| source.imports.len()), None);
    }
}
