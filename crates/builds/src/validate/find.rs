//! Reads a program and finds what it imports.

use std::collections::HashMap;

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, CallExpression, ExportAllDeclaration, ExportFromDeclaration, Expression,
    ImportDeclaration, ImportExpression, ImportSpecifier, StringLiteral, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_span::{GetSpan as _, LabeledSpan, SourceType, Span};

use super::lines::{Lines, excerpt};
use super::rules::Matcher;
use super::{Finding, ImportKind};

/// Parser and visitor call themselves for every level of nesting, and generated code
/// nests deeper than people do. Only what is used becomes memory. Brackets of
/// [`MOST_NESTED`] levels need half of it in a build without optimisation, and chains
/// without brackets (`a?b:`, `else if`, `+`) are good for 200,000 links.
const STACK_BYTES: usize = 512 << 20;
/// Brackets that may be open at the same time. Running out of stack would end the
/// whole program, so what might is refused before.
const MOST_NESTED: usize = 100_000;
/// What esbuild's stand-in for `require` says when it cannot help. It keeps the sentence
/// when it shortens every name, so it tells which name the stand-in has.
const STAND_IN_MARK: &str = "Dynamic require of ";
/// The stand-in is three lines long.
const STAND_IN_BYTES: u32 = 2000;

/// Finds the imports that the rules forbid, in the order of the text.
pub(super) fn find(text: &str, matcher: &Matcher) -> Result<Vec<Finding>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(offset) = nested_too_deep(text) {
        let (line, column) = Lines::of(text).place(offset);
        return Err(format!(
            "{line}:{column}: nested more than {MOST_NESTED} levels deep"
        ));
    }
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("validate".to_owned())
            .stack_size(STACK_BYTES);
        let worker = worker
            .spawn_scoped(scope, || find_here(text, matcher))
            .map_err(|error| format!("no thread to parse in: {error}"))?;
        let stopped = |_| Err("the parser stopped half-way".to_owned());
        worker.join().unwrap_or_else(stopped)
    })
}

/// Where the brackets are nested deeper than can be parsed. Those in strings count as
/// well: they come in pairs or are few, compared with the limit.
fn nested_too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MOST_NESTED
    })
}

fn find_here(text: &str, matcher: &Matcher) -> Result<Vec<Finding>, String> {
    let allocator = Allocator::default();
    let parsed = parse(&allocator, text)?;
    let mut finder = Finder {
        text,
        matcher,
        makers: vec!["createRequire"],
        names: HashMap::new(),
        hits: Vec::new(),
        calls: Vec::new(),
    };
    finder.visit_program(&parsed.program);
    Ok(located(text, finder.all_hits()))
}

/// A bundle's ending does not say whether it is a module: what reads as either is read
/// as either. Of two failures the one that came further tells more.
fn parse<'a>(allocator: &'a Allocator, text: &'a str) -> Result<ParserReturn<'a>, String> {
    let options = ParseOptions {
        allow_return_outside_function: true,
        ..ParseOptions::default()
    };
    let mut failure: Option<(u32, String)> = None;
    for kind in [
        SourceType::unambiguous(),
        SourceType::cjs(),
        SourceType::mjs(),
    ] {
        let parser = Parser::new(allocator, text, kind).with_options(options);
        let parsed = parser.parse();
        let Some(error) = parsed.diagnostics.errors().next() else {
            if parsed.panicked {
                return Err("the parser gave up".to_owned());
            }
            return Ok(parsed);
        };
        let offset = error.labels.first().map_or(0, LabeledSpan::offset);
        if failure
            .as_ref()
            .is_none_or(|(further, _)| offset > *further)
        {
            failure = Some((offset, error.message.to_string()));
        }
    }
    let (offset, message) = failure.unwrap_or_default();
    let (line, column) = Lines::of(text).place(offset as usize);
    Err(format!("{line}:{column}: {message}"))
}

/// A forbidden import, by byte offset.
struct Hit {
    label: String,
    specifier: String,
    kind: ImportKind,
    offset: usize,
}

/// Collects while it walks. A parameter or variable called `require` counts as the real
/// one: wrappers hand it in under its own name, and a wrong alarm is seen while a
/// missed import is not.
struct Finder<'t> {
    text: &'t str,
    matcher: &'t Matcher,
    /// Names of what makes a `require`.
    makers: Vec<&'t str>,
    /// Names that stand for `require`, and what a call of them is.
    names: HashMap<&'t str, ImportKind>,
    hits: Vec<Hit>,
    /// Calls of other names with a forbidden specifier. A name may be given its meaning
    /// further down than it is called.
    calls: Vec<(String, Hit)>,
}

impl Finder<'_> {
    /// A forbidden specifier at its place.
    fn hit(&self, kind: ImportKind, specifier: &str, span: Span) -> Option<Hit> {
        let label = self.matcher.label(specifier)?;
        Some(Hit {
            label: label.to_owned(),
            specifier: specifier.to_owned(),
            kind,
            offset: span.start as usize,
        })
    }

    fn found(&mut self, kind: ImportKind, specifier: &str, span: Span) {
        let hit = self.hit(kind, specifier, span);
        self.hits.extend(hit);
    }

    fn all_hits(self) -> Vec<Hit> {
        let mut hits = self.hits;
        for (name, hit) in self.calls {
            let kind = self.names.get(name.as_str());
            hits.extend(kind.map(|kind| Hit { kind: *kind, ..hit }));
        }
        hits
    }

    fn found_from(&mut self, kind: ImportKind, source: &StringLiteral) {
        self.found(kind, source.value.as_str(), source.span);
    }

    /// What a called expression is when it is a `require`.
    fn require_kind(&self, callee: &Expression) -> Option<ImportKind> {
        match callee.without_parentheses() {
            Expression::Identifier(name) => match name.name.as_str() {
                "require" => Some(ImportKind::Require),
                name if is_stand_in(name) => Some(ImportKind::BundledRequire),
                _ => None,
            },
            // `module.require`, `require.main.require`; not `require.resolve`.
            Expression::StaticMemberExpression(member) => {
                let of = member.object.without_parentheses();
                let plain = match of {
                    Expression::Identifier(name) => {
                        matches!(name.name.as_str(), "module" | "global" | "globalThis")
                    }
                    Expression::StaticMemberExpression(of) => {
                        matches!(of.property.name.as_str(), "main" | "mainModule")
                    }
                    _ => false,
                };
                (plain && member.property.name == "require").then_some(ImportKind::Require)
            }
            // `(0, require)("x")`.
            Expression::SequenceExpression(sequence) => {
                self.require_kind(sequence.expressions.last()?)
            }
            // `createRequire(import.meta.url)("x")`.
            Expression::CallExpression(call) => {
                self.makes_require(call).then_some(ImportKind::Require)
            }
            _ => None,
        }
    }

    fn makes_require(&self, call: &CallExpression) -> bool {
        match call.callee.without_parentheses() {
            Expression::Identifier(name) => self.makers.contains(&name.name.as_str()),
            Expression::StaticMemberExpression(member) => member.property.name == "createRequire",
            _ => false,
        }
    }

    /// What a name is that is declared with this value.
    fn declared_kind(&self, value: &Expression) -> Option<ImportKind> {
        let value = value.without_parentheses();
        match value {
            Expression::Identifier(name) if name.name == "require" => Some(ImportKind::Require),
            Expression::CallExpression(call) if self.makes_require(call) => {
                Some(ImportKind::Require)
            }
            Expression::CallExpression(call) if call.span.size() <= STAND_IN_BYTES => {
                let marked = slice(self.text, call.span).contains(STAND_IN_MARK);
                marked.then_some(ImportKind::BundledRequire)
            }
            _ => None,
        }
    }
}

/// `__require`, and `__require2` where a bundle holds several.
fn is_stand_in(name: &str) -> bool {
    name.strip_prefix("__require")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The text of a string or of a template without holes.
fn literal(expression: &Expression) -> Option<(String, Span)> {
    match expression.without_parentheses() {
        Expression::StringLiteral(text) => Some((text.value.to_string(), text.span)),
        Expression::TemplateLiteral(template) => {
            Some((template.single_quasi()?.to_string(), template.span))
        }
        _ => None,
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        let argument = call.arguments.first().and_then(Argument::as_expression);
        if let Some((specifier, span)) = argument.and_then(literal) {
            let callee = call.callee.without_parentheses();
            if let Some(kind) = self.require_kind(callee) {
                self.found(kind, &specifier, span);
            } else if let Expression::Identifier(name) = callee
                && let Some(hit) = self.hit(ImportKind::Require, &specifier, span)
            {
                self.calls.push((name.name.to_string(), hit));
            }
        }
        walk::walk_call_expression(self, call);
    }

    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        if let Some((specifier, span)) = literal(&import.source) {
            self.found(ImportKind::DynamicImport, &specifier, span);
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_import_declaration(&mut self, import: &ImportDeclaration<'a>) {
        self.found_from(ImportKind::Import, &import.source);
        if matches!(import.source.value.as_str(), "module" | "node:module") {
            walk::walk_import_declaration(self, import);
        }
    }

    /// Only of node's own `module`.
    fn visit_import_specifier(&mut self, specifier: &ImportSpecifier<'a>) {
        if specifier.imported.name() == "createRequire" {
            let name = slice(self.text, specifier.local.span);
            self.makers.push(name);
        }
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'a>) {
        self.found_from(ImportKind::ExportFrom, &export.source);
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'a>) {
        self.found_from(ImportKind::ExportFrom, &export.source);
    }

    fn visit_variable_declarator(&mut self, declarator: &VariableDeclarator<'a>) {
        if let Some(value) = &declarator.init
            && let Some(kind) = self.declared_kind(value)
        {
            let name = slice(self.text, declarator.id.span());
            self.names.insert(name, kind);
        }
        walk::walk_variable_declarator(self, declarator);
    }
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.start as usize..span.end as usize)
        .unwrap_or_default()
}

fn located(text: &str, mut hits: Vec<Hit>) -> Vec<Finding> {
    if hits.is_empty() {
        return Vec::new();
    }
    hits.sort_by_key(|hit| hit.offset);
    let lines = Lines::of(text);
    let find = |hit: Hit| {
        let (line, column) = lines.place(hit.offset);
        Finding {
            code: excerpt(lines.text(line), column - 1),
            label: hit.label,
            specifier: hit.specifier,
            kind: hit.kind,
            line,
            column,
        }
    };
    hits.into_iter().map(find).collect()
}
