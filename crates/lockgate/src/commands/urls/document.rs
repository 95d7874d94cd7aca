//! What was found, for programs.

use std::net::IpAddr;

use lockgate_model::{EnvName, GatewayName, OrganizationId, Site};
use schemars::JsonSchema;
use serde::Serialize;

use super::asked::{Asked, Found};
use super::listed::Listed;
use super::trouble::{Around, Trouble, troubles};

/// What an environment is reached by. What is asked for is null with `--no-check`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Urls<'u> {
    /// The environment.
    pub(super) env: &'u EnvName,
    /// The gateways' own doors.
    pub(super) gateways: Vec<GatewayUrl<'u>>,
    /// The organizations at the front door.
    pub(super) organizations: Vec<OrganizationUrl<'u>>,
    /// The sites at the front door.
    pub(super) sites: Vec<SiteUrl<'u>>,
    /// Where the build server serves the current archive.
    pub(super) archive: &'u str,
}

/// A gateway's own door.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GatewayUrl<'u> {
    /// The gateway.
    name: &'u GatewayName,
    /// Its URL.
    url: Option<String>,
    /// What it answers.
    answers: Option<Answer<'u>>,
    /// What is wrong.
    troubles: Option<Vec<Wrong>>,
}

/// An organization at the front door.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OrganizationUrl<'u> {
    /// The organization.
    organization: &'u OrganizationId,
    /// The gateway that serves it.
    gateway: &'u GatewayName,
    /// Its name.
    host: &'u str,
    /// Its URL; null where the front door is closed.
    url: Option<String>,
    /// What it answers.
    answers: Option<Answer<'u>>,
    /// How its name resolves.
    resolves: Option<Resolves<'u>>,
    /// The certificate that was shown.
    certificate: Option<Certificate<'u>>,
    /// The same for a name as its user containers have.
    containers: Option<Containers<'u>>,
    /// What is wrong.
    troubles: Option<Vec<Wrong>>,
}

/// A site at the front door.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SiteUrl<'u> {
    /// `apex` or `ganymede`.
    name: &'static str,
    /// What serves it: a server's address or a folder.
    site: &'u Site,
    /// Its name.
    host: &'u str,
    /// Its URL; null where the front door is closed.
    url: Option<String>,
    /// What it answers.
    answers: Option<Answer<'u>>,
    /// How its name resolves.
    resolves: Option<Resolves<'u>>,
    /// The certificate that was shown.
    certificate: Option<Certificate<'u>>,
    /// What is wrong.
    troubles: Option<Vec<Wrong>>,
}

/// An answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Answer<'u> {
    /// Its status.
    status: Option<u16>,
    /// Why there is none.
    problem: Option<&'u String>,
}

/// How a name resolves.
#[derive(Debug, Serialize, JsonSchema)]
struct Resolves<'u> {
    /// Where it leads.
    addresses: &'u [IpAddr],
    /// Why it leads nowhere.
    problem: Option<&'u String>,
}

/// A certificate.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificate<'u> {
    /// Who signed it.
    issuer: &'u str,
    /// The names it is for.
    names: &'u [String],
    /// When it ends, UNIX milliseconds.
    not_after: i64,
    /// The stores of this machine that do not trust it, where it is of this home's authority.
    distrusted_by: &'u [&'u str],
}

/// What was found at a name as user containers have.
#[derive(Debug, Serialize, JsonSchema)]
struct Containers<'u> {
    /// How it resolves.
    resolves: Option<Resolves<'u>>,
    /// The certificate that was shown.
    certificate: Option<Certificate<'u>>,
}

/// Something wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct Wrong {
    /// What.
    problem: String,
    /// What helps.
    help: String,
}

/// What was asked of one thing, and what is known beside it.
type Known<'u> = Option<(&'u Asked, &'u Around<'u>)>;

impl<'u> Urls<'u> {
    /// Takes one thing in.
    pub(super) fn add(&mut self, listed: &'u Listed<'u>, url: Option<String>, known: Known<'u>) {
        let own = known.map(|(asked, around)| (&asked.own, around));
        let answers = own.map(|(found, _)| answer(found));
        let resolves = own.and_then(|(found, _)| resolved(found));
        let certificate = own.and_then(signed);
        let troubles = known.map(|(asked, around)| wrong(troubles(listed, asked, around)));
        match listed {
            Listed::Gateway { name, .. } => self.gateways.push(GatewayUrl {
                name,
                url,
                answers,
                troubles,
            }),
            Listed::Site { name, site, host } => self.sites.push(SiteUrl {
                name,
                site,
                host,
                url,
                answers,
                resolves,
                certificate,
                troubles,
            }),
            Listed::Organization { id, gateway, host } => {
                let containers = known.and_then(|(asked, around)| {
                    let found = asked.containers.as_ref()?;
                    Some(Containers {
                        resolves: resolved(found),
                        certificate: signed((found, around)),
                    })
                });
                self.organizations.push(OrganizationUrl {
                    organization: id,
                    gateway,
                    host,
                    url,
                    answers,
                    resolves,
                    certificate,
                    containers,
                    troubles,
                });
            }
        }
    }
}

fn answer(found: &Found) -> Answer<'_> {
    Answer {
        status: found.answer.as_ref().ok().copied(),
        problem: found.answer.as_ref().err(),
    }
}

fn resolved(found: &Found) -> Option<Resolves<'_>> {
    let resolves = found.resolves.as_ref()?;
    Some(Resolves {
        addresses: resolves.as_deref().unwrap_or_default(),
        problem: resolves.as_ref().err(),
    })
}

fn signed<'u>((found, around): (&'u Found, &Around<'u>)) -> Option<Certificate<'u>> {
    let seen = found.certificate.as_ref()?;
    Some(Certificate {
        issuer: &seen.issuer,
        names: &seen.names,
        not_after: seen.not_after.unix_timestamp() * 1000,
        distrusted_by: around.distrusting(seen),
    })
}

fn wrong(troubles: Vec<Trouble>) -> Vec<Wrong> {
    let one = |trouble: Trouble| Wrong {
        problem: trouble.what,
        help: trouble.help,
    };
    troubles.into_iter().map(one).collect()
}
