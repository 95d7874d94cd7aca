//! By which names a program calls `require`.

use std::collections::HashMap;

use oxc_ast::ast::{CallExpression, Expression, VariableDeclarator};
use oxc_span::GetSpan;

use super::slice;
use crate::validate::ImportKind;

/// What esbuild's stand-in for `require` says when it cannot help. It keeps the sentence
/// when it shortens every name, so it tells which name the stand-in has.
const STAND_IN_MARK: &str = "Dynamic require of ";
/// The stand-in is three lines long.
const STAND_IN_BYTES: u32 = 2000;

/// The names that are known so far.
pub(super) struct Names<'t> {
    /// Of what makes a `require`.
    makers: Vec<&'t str>,
    /// That stand for `require`, and what a call of them is.
    stand: HashMap<&'t str, ImportKind>,
}

impl<'t> Names<'t> {
    pub(super) fn new() -> Self {
        Self {
            makers: vec!["createRequire"],
            stand: HashMap::new(),
        }
    }

    /// `import { createRequire as name } from "module"`.
    pub(super) fn maker(&mut self, name: &'t str) {
        self.makers.push(name);
    }

    /// A name that is given a `require`, where it is one.
    pub(super) fn declare(&mut self, declarator: &VariableDeclarator, text: &'t str) {
        if let Some(value) = &declarator.init
            && let Some(kind) = self.declared(value, text)
        {
            self.stand.insert(slice(text, declarator.id.span()), kind);
        }
    }

    /// What a call of this name is, where it was declared as a `require`.
    pub(super) fn stands_for(&self, name: &str) -> Option<ImportKind> {
        self.stand.get(name).copied()
    }

    /// What a called expression is when it is a `require`.
    pub(super) fn require(&self, callee: &Expression) -> Option<ImportKind> {
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
            Expression::SequenceExpression(sequence) => self.require(sequence.expressions.last()?),
            // `createRequire(import.meta.url)("x")`.
            Expression::CallExpression(call) => self.makes(call).then_some(ImportKind::Require),
            _ => None,
        }
    }

    fn makes(&self, call: &CallExpression) -> bool {
        match call.callee.without_parentheses() {
            Expression::Identifier(name) => self.makers.contains(&name.name.as_str()),
            callee => is_create_require(callee),
        }
    }

    /// What a name is that is declared with this value.
    fn declared(&self, value: &Expression, text: &str) -> Option<ImportKind> {
        let value = value.without_parentheses();
        match value {
            Expression::Identifier(name) if name.name == "require" => Some(ImportKind::Require),
            Expression::CallExpression(call) if self.makes(call) => Some(ImportKind::Require),
            Expression::CallExpression(call) if call.span.size() <= STAND_IN_BYTES => {
                let marked = slice(text, call.span).contains(STAND_IN_MARK);
                marked.then_some(ImportKind::BundledRequire)
            }
            _ => None,
        }
    }
}

/// `module.createRequire`, `(0, module.createRequire)`.
fn is_create_require(callee: &Expression) -> bool {
    match callee.without_parentheses() {
        Expression::StaticMemberExpression(member) => member.property.name == "createRequire",
        Expression::SequenceExpression(sequence) => {
            sequence.expressions.last().is_some_and(is_create_require)
        }
        _ => false,
    }
}

/// `__require`, and `__require2` where a bundle holds several.
fn is_stand_in(name: &str) -> bool {
    name.strip_prefix("__require")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}
