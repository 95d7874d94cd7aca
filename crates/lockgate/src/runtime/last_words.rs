//! What an agent said before it ended: its error if there is one, else its last line that is not
//! about the ordinary course of things.

/// Picks it from the end of an agent's log; one line, empty where nothing tells.
pub(crate) fn pick(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let ordinary = |line: &str| line.contains(" INFO ") || line.contains(" DEBUG ");
    let telling = |line: &&str| !line.is_empty() && !ordinary(line);
    let said: Vec<&str> = lines.into_iter().filter(telling).collect();
    let error = said.iter().rposition(|line| line.starts_with("error:"));
    let from = error.unwrap_or(said.len().saturating_sub(1));
    said.get(from..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_with_its_causes_goes_before_the_last_line() {
        let check = |text: &str, expected: &str| assert_eq!(pick(text), expected);
        check("", "");
        check("\n \n", "");
        check("T  INFO start\nT  INFO end\n", "");
        check(
            "T  INFO start\nno such library\nT  INFO end\n",
            "no such library",
        );
        check(
            "INFO start\nerror: a\n  caused by: b\n",
            "error: a; caused by: b",
        );
        check("error: old\nINFO\nerror: new", "error: new");
    }
}
