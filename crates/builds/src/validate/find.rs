//! Reads a program and finds what it imports.

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, CallExpression, ExportAllDeclaration, ExportFromDeclaration, Expression,
    ImportDeclaration, ImportExpression, StringLiteral, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_span::{GetSpan as _, LabeledSpan, SourceType, Span};

use super::rules::Matcher;
use super::{Finding, ImportKind};

/// Parser and visitor call themselves for every level of nesting, and generated code
/// nests deeper than people do. Only what is used becomes memory.
const STACK_BYTES: usize = 256 << 20;
/// The longest line that is shown whole, in characters.
const CODE_CHARS: usize = 160;
/// What esbuild's stand-in for `require` says when it cannot help. It keeps the sentence
/// when it shortens every name, so it tells which name the stand-in has.
const STAND_IN_MARK: &str = "Dynamic require of ";
/// The stand-in is three lines long.
const STAND_IN_BYTES: u32 = 2000;

/// Finds the imports that the rules forbid, in the order of the text.
pub(super) fn find(text: &str, matcher: &Matcher) -> Result<Vec<Finding>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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

/// How many lines an editor shows.
pub(super) fn count_lines(text: &str) -> usize {
    let newlines = text.bytes().filter(|byte| *byte == b'\n').count();
    newlines + usize::from(!text.is_empty() && !text.ends_with('\n'))
}

fn find_here(text: &str, matcher: &Matcher) -> Result<Vec<Finding>, String> {
    let allocator = Allocator::default();
    let parsed = parse(&allocator, text)?;
    let mut finder = Finder {
        text,
        matcher,
        stand_ins: Vec::new(),
        hits: Vec::new(),
    };
    finder.visit_program(&parsed.program);
    Ok(located(text, finder.hits))
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

struct Finder<'t> {
    text: &'t str,
    matcher: &'t Matcher,
    /// Names under which esbuild's stand-in for `require` was declared.
    stand_ins: Vec<&'t str>,
    hits: Vec<Hit>,
}

impl Finder<'_> {
    fn found(&mut self, kind: ImportKind, specifier: &str, span: Span) {
        if let Some(label) = self.matcher.label(specifier) {
            self.hits.push(Hit {
                label: label.to_owned(),
                specifier: specifier.to_owned(),
                kind,
                offset: span.start as usize,
            });
        }
    }

    fn found_from(&mut self, kind: ImportKind, source: &StringLiteral) {
        self.found(kind, source.value.as_str(), source.span);
    }

    /// What a called expression is when it is a `require`.
    fn require_kind(&self, callee: &Expression) -> Option<ImportKind> {
        match callee.without_parentheses() {
            Expression::Identifier(name) => match name.name.as_str() {
                "require" => Some(ImportKind::Require),
                name if is_stand_in(name) || self.stand_ins.contains(&name) => {
                    Some(ImportKind::BundledRequire)
                }
                _ => None,
            },
            // `module.require`, `globalThis.require`; not `require.resolve`.
            Expression::StaticMemberExpression(member) => {
                let of = member.object.without_parentheses();
                let plain = matches!(of, Expression::Identifier(name)
                    if matches!(name.name.as_str(), "module" | "global" | "globalThis"));
                (plain && member.property.name == "require").then_some(ImportKind::Require)
            }
            // `(0, require)("x")`.
            Expression::SequenceExpression(sequence) => {
                self.require_kind(sequence.expressions.last()?)
            }
            // `createRequire(import.meta.url)("x")`.
            Expression::CallExpression(call) => {
                let name = match call.callee.without_parentheses() {
                    Expression::Identifier(name) => name.name.as_str(),
                    Expression::StaticMemberExpression(member) => member.property.name.as_str(),
                    _ => return None,
                };
                (name == "createRequire").then_some(ImportKind::Require)
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
        if let Some((specifier, span)) = argument.and_then(literal)
            && let Some(kind) = self.require_kind(&call.callee)
        {
            self.found(kind, &specifier, span);
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
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'a>) {
        self.found_from(ImportKind::ExportFrom, &export.source);
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'a>) {
        self.found_from(ImportKind::ExportFrom, &export.source);
    }

    fn visit_variable_declarator(&mut self, declarator: &VariableDeclarator<'a>) {
        if let Some(init) = &declarator.init
            && matches!(init.without_parentheses(), Expression::CallExpression(_))
            && init.span().size() <= STAND_IN_BYTES
            && slice(self.text, init.span()).contains(STAND_IN_MARK)
        {
            let name = slice(self.text, declarator.id.span());
            self.stand_ins.push(name);
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

/// Where lines begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        (line, offset - start + 1)
    }

    fn text(&self, line: usize) -> &'t str {
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let end = self
            .starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        self.text.get(start..end).unwrap_or_default()
    }
}

/// The line trimmed, or the part of it around a byte. What would move a terminal's
/// cursor becomes a blank.
fn excerpt(line: &str, byte: usize) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    // A minified line is as long as its file: only its surroundings are looked at.
    let mut from = byte.saturating_sub(4 * CODE_CHARS);
    let mut to = (byte + 4 * CODE_CHARS).min(line.len());
    while !line.is_char_boundary(from) {
        from += 1;
    }
    while !line.is_char_boundary(to) {
        to -= 1;
    }
    let near = line.get(from..to).unwrap_or_default();
    let whole = from == 0 && to == line.len();
    let trimmed: Vec<char> = near.trim().chars().map(blank).collect();
    if whole && trimmed.len() <= CODE_CHARS {
        return trimmed.into_iter().collect();
    }
    let before = near.get(..byte.saturating_sub(from)).unwrap_or_default();
    let at = before.trim_start().chars().count();
    let room = CODE_CHARS - 2;
    let start = at
        .saturating_sub(room / 2)
        .min(trimmed.len().saturating_sub(room));
    let end = (start + room).min(trimmed.len());
    let cut_before = from > 0 || start > 0;
    let cut_after = to < line.len() || end < trimmed.len();
    let mut code = String::new();
    code.extend(cut_before.then_some('…'));
    code.extend(trimmed.get(start..end).unwrap_or_default());
    code.extend(cut_after.then_some('…'));
    code
}
