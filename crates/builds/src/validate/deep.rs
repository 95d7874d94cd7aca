//! A thread for what calls itself for every level of nesting: parser and visitors.

/// Generated code nests deeper than people do. Only what is used becomes memory. Brackets
/// of [`MOST_NESTED`] levels need half of it in a build without optimisation, and chains
/// without brackets (`a?b:`, `else if`, `+`) are good for 200,000 links.
const STACK_BYTES: usize = 512 << 20;

/// Brackets that may be open at the same time. Running out of stack would end the
/// whole program, so what might is refused before.
pub(super) const MOST_NESTED: usize = 100_000;

/// Works on a thread with room for all that [`nested_too_deep`] lets through, and does
/// something else on this one `meanwhile`.
pub(super) fn deep<T: Send>(
    work: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce(),
) -> Result<T, String> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("validate".to_owned())
            .stack_size(STACK_BYTES);
        let worker = worker
            .spawn_scoped(scope, work)
            .map_err(|error| format!("no thread to parse in: {error}"))?;
        meanwhile();
        let stopped = |_| "the parser stopped half-way".to_owned();
        worker.join().map_err(stopped)
    })
}

/// Where the brackets are nested deeper than can be parsed. Those in strings count as
/// well: they come in pairs or are few, compared with the limit.
pub(super) fn nested_too_deep(text: &str) -> Option<usize> {
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
