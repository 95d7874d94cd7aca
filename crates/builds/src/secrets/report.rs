//! Says which secrets were found, and never what they are.

use std::fmt::Write as _;

use super::SecretHit;

/// The hits for people, a line each, those that refuse the build first.
pub fn render(hits: &[SecretHit]) -> String {
    let mut text = String::new();
    let (refused, warned): (Vec<&SecretHit>, Vec<&SecretHit>) =
        hits.iter().partition(|hit| hit.refused);
    for (mark, what, hits) in [
        ("❌", "must not be packed", refused),
        ("⚠️ ", "in installed packages", warned),
    ] {
        if hits.is_empty() {
            continue;
        }
        let secrets = if hits.len() == 1 { "secret" } else { "secrets" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark} {} {secrets} {what}:", hits.len());
        for hit in hits {
            line(&mut text, hit);
        }
    }
    text
}

fn line(text: &mut String, hit: &SecretHit) {
    let SecretHit {
        file,
        line,
        column,
        title,
        rule,
        fingerprint,
        ..
    } = hit;
    let _ = write!(text, "   {file}:{line}:{column}: {title}");
    if let Some(source) = &hit.source {
        let line = hit
            .source_line
            .map_or(String::new(), |line| format!(":{line}"));
        let _ = write!(text, ", from {source}{line}");
    }
    let _ = writeln!(text, " ({rule}, fingerprint {fingerprint})");
}
