//! Whether names of each environment resolve, as `trust --check` tells.

use std::net::IpAddr;

use futures_util::future::join_all;
use lockgate_model::{EnvName, ORGANIZATION_PREFIX};
use schemars::JsonSchema;
use serde::Serialize;

use crate::environment::Environment;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{HELP, Resolved, is_below_localhost, leads_here, resolve_all};
use crate::views::paint::{Paint, Tone};
use crate::views::table::{self, Cell, Column};

/// A UUID that is nobody's.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Names of one environment, one of each level, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    env: EnvName,
    domain: String,
    all: Vec<(String, Resolved)>,
}

/// Looks up names of all environments, all beside one another.
pub(super) async fn environments(home: &Home) -> Result<Vec<Names>, CommandError> {
    let environments = Environment::list(home)?.into_iter();
    let environments = environments.filter(|environment| !environment.deleting);
    Ok(join_all(environments.map(names)).await)
}

/// Looks up names of one environment.
pub(crate) async fn names(environment: Environment) -> Names {
    let domain = environment.domain;
    let mut gateways = environment.gateways.iter();
    let served = gateways.find_map(|gateway| gateway.organization.as_ref());
    let id = served.map_or(NOBODY, |id| id.as_str());
    let organization = format!("{ORGANIZATION_PREFIX}{id}.{domain}");
    let container = format!("uc-{NOBODY}.{organization}");
    let hosts = [domain.clone(), organization, container];
    let told = resolve_all(&hosts).await;
    Names {
        env: environment.name,
        domain,
        all: hosts.into_iter().zip(told).collect(),
    }
}

impl Names {
    fn wrong(&self) -> impl Iterator<Item = &(String, Resolved)> {
        self.all.iter().filter(|(_, told)| !leads_here(told))
    }

    /// What is wrong, and what helps.
    pub(super) fn said(&self) -> Option<String> {
        let what = self.trouble()?;
        Some(format!("{what}: `{HELP}`{}", self.but()))
    }

    /// Who resolves them all the same.
    pub(crate) fn but(&self) -> &'static str {
        if is_below_localhost(&self.domain) {
            "; browsers and curl know names below `localhost` by themselves"
        } else {
            ""
        }
    }

    /// What is wrong.
    pub(crate) fn trouble(&self) -> Option<String> {
        let (name, told) = self.wrong().next()?;
        let why = match told {
            Err(why) => why.clone(),
            Ok(_) => "they lead elsewhere".to_owned(),
        };
        let which = if self.wrong().count() == self.all.len() {
            format!("names of {} do not resolve", self.env)
        } else {
            format!("`{name}` does not resolve")
        };
        Some(format!("{which} ({why})"))
    }
}

const COLUMNS: [Column; 3] = [
    Column::kept("ENV"),
    Column::kept("RESOLVES"),
    Column::name("NAMES"),
];

/// A row for each environment.
pub(super) fn table(names: &[Names], width: Option<usize>, paint: Paint) -> String {
    let row = |one: &Names| -> [Cell; 3] {
        let (word, tone) = match one.wrong().count() {
            0 => ("yes", Tone::Good),
            wrong if wrong == one.all.len() => ("no", Tone::Bad),
            _ => ("in part", Tone::Busy),
        };
        let names = format!("{0}, *.{0}", one.domain);
        [one.env.as_str().into(), Cell::new(word, tone), names.into()]
    };
    let rows: Vec<[Cell; 3]> = names.iter().map(row).collect();
    table::render(COLUMNS, &rows, width, paint)
}

/// A name for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Name")]
pub(crate) struct Told<'t> {
    /// Its environment.
    env: &'t EnvName,
    /// The name.
    name: &'t str,
    /// Where it leads.
    addresses: &'t [IpAddr],
    /// Why it does not resolve.
    problem: Option<&'t String>,
}

/// The same for programs, name by name.
pub(super) fn document(names: &[Names]) -> Vec<Told<'_>> {
    let one = |(env, (name, told))| -> Told<'_> {
        let (env, name, told): (_, &String, &Resolved) = (env, name, told);
        Told {
            env,
            name,
            addresses: told.as_deref().unwrap_or_default(),
            problem: told.as_ref().err(),
        }
    };
    let all = names.iter().flat_map(|names| {
        names
            .all
            .iter()
            .map(|(name, told)| (&names.env, (name, told)))
    });
    all.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(domain: &str, told: [Result<&str, &str>; 2]) -> Names {
        let resolved = |told: Result<&str, &str>| match told {
            Ok(address) => Ok(vec![address.parse().unwrap()]),
            Err(why) => Err(why.to_owned()),
        };
        let hosts = [domain.to_owned(), format!("org-1.{domain}")];
        Names {
            env: "dev".parse().unwrap(),
            domain: domain.to_owned(),
            all: hosts.into_iter().zip(told.map(resolved)).collect(),
        }
    }

    #[test]
    fn what_does_not_resolve_is_told_with_the_line_that_helps() {
        let check = |domain, told, word: &str, expected: Option<&str>| {
            let names = names(domain, told);
            assert_eq!(names.said().as_deref(), expected);
            let table = table(&[names], None, Paint::new(false));
            let row = table.lines().nth(1).unwrap().to_owned();
            assert!(row.contains(&format!("  {word}  ")), "{table}");
        };
        check("a.test", [Ok("127.0.0.1"), Ok("::1")], "yes     ", None);
        check(
            "a.test",
            [Err("none"), Err("none")],
            "no      ",
            Some("names of dev do not resolve (none): `lockgate dns lines`"),
        );
        check(
            "a.test",
            [Ok("127.0.0.1"), Err("none")],
            "in part ",
            Some("`org-1.a.test` does not resolve (none): `lockgate dns lines`"),
        );
        check(
            "a.localhost",
            [Ok("10.0.0.1"), Ok("10.0.0.1")],
            "no      ",
            Some(
                "names of dev do not resolve (they lead elsewhere): `lockgate dns lines`; \
                 browsers and curl know names below `localhost` by themselves",
            ),
        );
    }
}
