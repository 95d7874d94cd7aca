//! Reads a program and finds what it imports.

mod kept;
mod license;
mod require;

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, ArrowFunctionExpression, AssignmentExpression, AssignmentTarget, CallExpression,
    ExportAllDeclaration, ExportFromDeclaration, Expression, FunctionBody, ImportDeclaration,
    ImportExpression, ImportSpecifier, ObjectProperty, PropertyKey, Statement, StringLiteral,
    TryStatement, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_span::{GetSpan, LabeledSpan, SourceType, Span};

use super::ImportKind;
use super::deep::{MOST_NESTED, nested_too_deep};
use super::lines::Lines;
use super::rules::Matcher;
use kept::Kept;
use license::file_of_react;
use require::Names;

/// What a program says of what it needs and of what it is made of.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The imports that the rules forbid, in the order of the text.
    pub(super) hits: Vec<Hit>,
    /// Where bundlers wrote down whose code follows, in the order of the text.
    pub(super) marks: Vec<Mark>,
}

/// A forbidden import, by byte offset.
#[derive(Debug)]
pub(super) struct Hit {
    /// The number of its rule.
    pub(super) rule: usize,
    pub(super) specifier: String,
    pub(super) kind: ImportKind,
    pub(super) offset: usize,
    /// Whether the program goes on without it: `try { require("x") } catch {}`.
    pub(super) guarded: bool,
    /// The key of the module that it is all of.
    key: Option<String>,
}

/// Where the code of a module begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) path: String,
    pub(super) offset: usize,
}

/// Reads a program, on a thread with room to nest. The error says where it cannot be parsed.
pub(super) fn find(text: &str, matcher: &Matcher) -> Result<Found, String> {
    if let Some(offset) = nested_too_deep(text) {
        let (line, column) = Lines::of(text).place(offset);
        return Err(format!(
            "{line}:{column}: nested more than {MOST_NESTED} levels deep"
        ));
    }
    let allocator = Allocator::default();
    let parsed = parse(&allocator, text)?;
    let mut finder = Finder {
        text,
        matcher,
        names: Names::new(),
        guards: 0,
        runs_at_once: false,
        kept: Kept::default(),
        exported: false,
        hits: Vec::new(),
        calls: Vec::new(),
        marks: Vec::new(),
    };
    for comment in &parsed.program.comments {
        finder.comment(slice(text, comment.content_span()), comment.span);
    }
    finder.visit_program(&parsed.program);
    Ok(finder.found())
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

/// Collects while it walks. A parameter or variable called `require` counts as the real
/// one: wrappers hand it in under its own name, and a wrong alarm is seen while a
/// missed import is not.
struct Finder<'t> {
    text: &'t str,
    matcher: &'t Matcher<'t>,
    names: Names<'t>,
    /// How many `try` are open that catch what is thrown.
    guards: usize,
    /// Whether the next function is run where it stands.
    runs_at_once: bool,
    kept: Kept<'t>,
    /// Whether what is read becomes a module's `exports`.
    exported: bool,
    hits: Vec<Hit>,
    /// Calls of other names with a forbidden specifier. A name may be given its meaning
    /// further down than it is called.
    calls: Vec<(String, Hit)>,
    marks: Vec<Mark>,
}

impl Finder<'_> {
    /// A forbidden specifier at its place.
    fn hit(&self, kind: ImportKind, specifier: &str, span: Span) -> Option<Hit> {
        Some(Hit {
            rule: self.matcher.specifier(specifier)?,
            specifier: specifier.to_owned(),
            kind,
            offset: span.start as usize,
            guarded: self.guards > 0,
            key: self
                .kept
                .key
                .filter(|_| self.exported)
                .map(ToOwned::to_owned),
        })
    }

    fn note(&mut self, kind: ImportKind, specifier: &str, span: Span) {
        let hit = self.hit(kind, specifier, span);
        self.hits.extend(hit);
    }

    fn note_from(&mut self, kind: ImportKind, source: &StringLiteral) {
        self.note(kind, source.value.as_str(), source.span);
    }

    fn found(self) -> Found {
        let (mut hits, mut marks) = (self.hits, self.marks);
        for (name, hit) in self.calls {
            let kind = self.names.stands_for(&name);
            hits.extend(kind.map(|kind| Hit { kind, ..hit }));
        }
        for hit in &mut hits {
            let key = hit.key.as_deref();
            hit.guarded |= key.is_some_and(|key| self.kept.is_guarded(key));
        }
        hits.sort_by_key(|hit| hit.offset);
        marks.sort_by_key(|mark| mark.offset);
        Found { hits, marks }
    }

    /// esbuild and rollup name each file in a comment, and nothing else stands in that.
    fn comment(&mut self, text: &str, span: Span) {
        let path = text.trim();
        if let Some(path) = file_of_react(text) {
            self.mark(&path, span);
        } else if path.contains("node_modules/") && !path.contains(char::is_whitespace) {
            self.mark(path, span);
        }
    }

    fn mark(&mut self, path: &str, span: Span) {
        self.marks.push(Mark {
            path: path.to_owned(),
            offset: span.start as usize,
        });
    }
}

fn is_then(expression: &Expression) -> bool {
    match expression {
        Expression::CallExpression(call) => matches!(
            &call.callee,
            Expression::StaticMemberExpression(member) if member.property.name == "then"
        ),
        _ => false,
    }
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
    fn visit_try_statement(&mut self, attempt: &TryStatement<'a>) {
        let caught = attempt.handler.as_ref().is_some_and(|handler| {
            let mut body = handler.body.body.iter();
            !body.any(|statement| matches!(statement, Statement::ThrowStatement(_)))
        });
        self.guards += usize::from(caught);
        self.visit_block_statement(&attempt.block);
        self.guards -= usize::from(caught);
        if let Some(handler) = &attempt.handler {
            self.visit_catch_clause(handler);
        }
        if let Some(finalizer) = &attempt.finalizer {
            self.visit_block_statement(finalizer);
        }
    }

    // What is in a function is run by somebody else, some other time.

    fn visit_function_body(&mut self, body: &FunctionBody<'a>) {
        let guards = std::mem::take(&mut self.guards);
        walk::walk_function_body(self, body);
        self.guards = guards;
    }

    fn visit_arrow_function_expression(&mut self, function: &ArrowFunctionExpression<'a>) {
        if std::mem::take(&mut self.runs_at_once) {
            return walk::walk_arrow_function_expression(self, function);
        }
        let guards = std::mem::take(&mut self.guards);
        walk::walk_arrow_function_expression(self, function);
        self.guards = guards;
    }

    /// webpack and esbuild keep modules as functions under their files' names.
    fn visit_object_property(&mut self, property: &ObjectProperty<'a>) {
        if let PropertyKey::StringLiteral(key) = &property.key
            && key.value.contains("node_modules/")
            && property.value.is_function()
        {
            self.mark(&key.value, key.span);
        }
        if property.value.is_function() {
            let key = kept::plain(slice(self.text, property.key.span()));
            let outer = self.kept.key.replace(key);
            walk::walk_object_property(self, property);
            self.kept.key = outer;
        } else {
            walk::walk_object_property(self, property);
        }
    }

    fn visit_assignment_expression(&mut self, assignment: &AssignmentExpression<'a>) {
        let exports = matches!(
            &assignment.left,
            AssignmentTarget::StaticMemberExpression(member) if member.property.name == "exports"
        );
        let outer = std::mem::replace(&mut self.exported, exports);
        walk::walk_assignment_expression(self, assignment);
        self.exported = outer;
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        // `import("x").catch(…)`, and what bundlers make of it:
        // `Promise.resolve().then(() => load("x")).catch(…)`.
        if let Expression::StaticMemberExpression(member) = &call.callee
            && member.property.name == "catch"
        {
            self.guards += 1;
            self.runs_at_once = is_then(&member.object);
            self.visit_expression(&member.object);
            self.runs_at_once = false;
            self.guards -= 1;
            self.visit_arguments(&call.arguments);
            return;
        }
        let argument = call.arguments.first().and_then(Argument::as_expression);
        let callee = call.callee.without_parentheses();
        let kind = self.names.require(callee);
        if kind.is_none()
            && let Some(Expression::StringLiteral(_) | Expression::NumericLiteral(_)) = argument
        {
            let key = argument.map(GetSpan::span).unwrap_or_default();
            self.kept.ask(slice(self.text, key), self.guards > 0);
        }
        if let Some((specifier, span)) = argument.and_then(literal) {
            if let Some(kind) = kind {
                self.note(kind, &specifier, span);
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
            self.note(ImportKind::DynamicImport, &specifier, span);
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_import_declaration(&mut self, import: &ImportDeclaration<'a>) {
        self.note_from(ImportKind::Import, &import.source);
        if matches!(import.source.value.as_str(), "module" | "node:module") {
            walk::walk_import_declaration(self, import);
        }
    }

    /// Only of node's own `module`.
    fn visit_import_specifier(&mut self, specifier: &ImportSpecifier<'a>) {
        if specifier.imported.name() == "createRequire" {
            self.names.maker(slice(self.text, specifier.local.span));
        }
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'a>) {
        self.note_from(ImportKind::ExportFrom, &export.source);
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'a>) {
        self.note_from(ImportKind::ExportFrom, &export.source);
    }

    fn visit_variable_declarator(&mut self, declarator: &VariableDeclarator<'a>) {
        self.names.declare(declarator, self.text);
        walk::walk_variable_declarator(self, declarator);
    }
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.start as usize..span.end as usize)
        .unwrap_or_default()
}
