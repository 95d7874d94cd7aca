//! What was found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::asked::{Asked, Found};
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

/// One thing for programs.
pub(super) fn document(
    listed: &Listed<'_>,
    url: Option<&str>,
    asked: Option<(&Asked, &Around<'_>)>,
) -> Value {
    let mut document = match listed {
        Listed::Organization { id, gateway, host } => {
            json!({"organization": id, "gateway": gateway, "host": host, "url": url})
        }
        Listed::Site { name, site, host } => {
            json!({"name": name, "site": site, "host": host, "url": url})
        }
        Listed::Gateway { name, .. } => json!({"name": name, "url": url}),
    };
    let Some(fields) = document.as_object_mut() else {
        return document;
    };
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    let own = asked.map(|(asked, around)| (&asked.own, around));
    put("answers", own.map_or(Value::Null, |(it, _)| answer(it)));
    if listed.host().is_some() {
        put("resolves", own.map_or(Value::Null, |(it, _)| resolved(it)));
        put("certificate", own.map_or(Value::Null, signed));
    }
    if listed.container_host().is_some() {
        let containers = asked.and_then(|(asked, around)| {
            let found = asked.containers.as_ref()?;
            let certificate = signed((found, around));
            Some(json!({"resolves": resolved(found), "certificate": certificate}))
        });
        put("containers", json!(containers));
    }
    let wrong = asked.map(|(asked, around)| {
        let all = troubles(listed, asked, around).into_iter();
        let one = |it: Trouble| json!({"problem": it.what, "help": it.help});
        all.map(one).collect::<Vec<_>>()
    });
    put("troubles", json!(wrong));
    document
}

fn answer(found: &Found) -> Value {
    json!({"status": found.answer.as_ref().ok(), "problem": found.answer.as_ref().err()})
}

fn resolved(found: &Found) -> Value {
    let Some(resolves) = &found.resolves else {
        return Value::Null;
    };
    let addresses = resolves.as_deref().unwrap_or_default();
    json!({"addresses": addresses, "problem": resolves.as_ref().err()})
}

fn signed((found, around): (&Found, &Around<'_>)) -> Value {
    let certificate = found.certificate.as_ref().map(|seen| {
        json!({
            "issuer": seen.issuer,
            "names": seen.names,
            "not_after": seen.not_after.unix_timestamp() * 1000,
            "distrusted_by": around.distrusting(seen),
        })
    });
    json!(certificate)
}
