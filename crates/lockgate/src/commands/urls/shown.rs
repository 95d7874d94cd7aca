//! What was found, for people.

use std::fmt::Write as _;

use super::asked::Asked;
use super::listed::Listed;
use super::trouble::{Around, Trouble, is_of_the_door, join, troubles};
use crate::server::front::FrontDescription;
use crate::views::paint::Paint;

/// The URL of something that is listed, where it has one.
pub(super) fn url(listed: &Listed<'_>, front: Option<&FrontDescription>) -> Option<String> {
    match listed {
        Listed::Gateway { address, .. } => Some(format!("http://{address}/")),
        Listed::Organization { host, .. } | Listed::Site { host, .. } => front?.url_of(host),
    }
}

/// Lines of one thing: its URL, where that leads, what was found, and what is wrong.
pub(super) fn block(
    listed: &Listed<'_>,
    url: Option<&str>,
    asked: Option<(&Asked, &Around<'_>)>,
    paint: Paint,
) -> String {
    let mut text = match (url, listed.host()) {
        (Some(url), _) => format!("{}\n", paint.strong(url)),
        (None, Some(host)) => format!("{host}\n"),
        (None, None) => String::new(),
    };
    let mut facts = vec![target(listed)];
    if url.is_none() && asked.is_none() {
        facts.push("the front door is closed".to_owned());
    }
    if let Some((asked, _)) = asked {
        if let Ok(status) = asked.own.answer
            && !is_of_the_door(status)
        {
            facts.push(format!("answers {status}"));
        }
        if let Some(Ok(addresses)) = &asked.own.resolves {
            facts.push(format!("resolves to {}", join(addresses)));
        }
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {}", facts.join("; "));
    let Some((asked, around)) = asked else {
        return text;
    };
    let own = asked.own.certificate.as_ref();
    if let Some(seen) = own {
        let until = seen.not_after.date();
        let _ = writeln!(text, "  certificate until {until}, by {}", seen.issuer);
    }
    let containers = asked.containers.as_ref();
    if let Some(seen) = containers.and_then(|it| it.certificate.as_ref()) {
        let by = match own {
            Some(own) if own.issuer == seen.issuer => String::new(),
            _ => format!(", by {}", seen.issuer),
        };
        let until = seen.not_after.date();
        let _ = writeln!(text, "  user containers: certificate until {until}{by}");
    }
    for Trouble { what, help } in troubles(listed, asked, around) {
        let _ = writeln!(text, "  {} {what}: {help}", paint.warning("!"));
    }
    text
}

fn target(listed: &Listed<'_>) -> String {
    match listed {
        Listed::Organization { gateway, .. } => format!("to {gateway}"),
        Listed::Site { site, .. } => format!("to {site}"),
        Listed::Gateway { name, .. } => format!("{name}, its own door"),
    }
}
