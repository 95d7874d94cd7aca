//! How results look: colour, tables, progress. Pure text in, pure text out;
//! only `progress` and `screen` touch the terminal.

mod echo;
pub(crate) mod findings;
pub(crate) mod outcome;
pub(crate) mod paint;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod text;
