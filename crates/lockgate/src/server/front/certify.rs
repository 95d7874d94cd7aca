//! The certificates of all names that are served.
//!
//! ```text
//! [front] certificate, key ─▶ given ──┐ what they cover
//! the home's authority ─▶ signed ─────┴▶ the rest ─▶ shown
//! ```
//!
//! Each one for itself: what cannot be had is a problem that is told, and the others are shown all
//! the same. A certificate that was shown before stays until its successor is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockgate_model::{EnvName, FrontEnvironment, FrontTable};
use lockgate_route::{Certificate, Certificates};
use time::OffsetDateTime;

use super::names::{Wanted, covers, shown, wanted};
use crate::certificates::{Authority, CertificateError, Leaf, given, keep, trusted};
use crate::environment::Environment;
use crate::error::in_one_line;
use crate::home::Home;

/// Why a certificate is not shown.
#[derive(Debug, thiserror::Error)]
enum CertifyError {
    /// One cannot be made, kept or read.
    #[error(transparent)]
    Have(#[from] CertificateError),
    /// One cannot be shown.
    #[error(transparent)]
    Show(#[from] lockgate_route::CertificateError),
    /// It is for something else.
    #[error("`{path}` is for no name of `{domain}`")]
    Strange {
        /// The certificate's file.
        path: PathBuf,
        /// The environment's domain.
        domain: String,
    },
}

impl CertifyError {
    /// The error and its causes on one line.
    fn in_one_line(&self) -> String {
        in_one_line(self)
    }
}

/// Files of a certificate and its key.
type Files = (PathBuf, PathBuf);

/// The files that environments give.
pub(super) fn files<'a>(
    environments: impl IntoIterator<Item = &'a Environment>,
) -> BTreeMap<EnvName, Files> {
    let given = environments.into_iter().filter_map(|environment| {
        let (certificate, key) = environment.front.own_certificate()?;
        let files = (certificate.to_owned(), key.to_owned());
        Some((environment.name.clone(), files))
    });
    given.collect()
}

/// What is shown, and what could not be had.
#[derive(Debug, Clone, Default)]
pub(super) struct Certified {
    pub(super) certificates: Certificates,
    /// Sentences for people, one for each certificate.
    pub(super) problems: Vec<String>,
    /// Whether gateways are told to trust another authority than before.
    pub(super) trust_changed: bool,
}

/// Has the certificates, and remembers those that were given.
pub(super) struct Certifier {
    home: Home,
    /// Who stands in the authority's name.
    caller: String,
    /// What could be used last, and from where.
    used: BTreeMap<EnvName, (Files, Leaf)>,
    shown: Certificates,
    /// Whether the file of what gateways trust was written since somebody asked.
    trust_changed: bool,
}

impl Certifier {
    pub(super) fn new(home: Home, caller: String) -> Self {
        Self {
            home,
            caller,
            used: BTreeMap::new(),
            shown: Certificates::default(),
            trust_changed: false,
        }
    }

    /// Reads all from their files, and signs anew what is missing or about to end.
    pub(super) fn certify(
        &mut self,
        table: &FrontTable,
        files: &BTreeMap<EnvName, Files>,
        now: OffsetDateTime,
    ) -> Certified {
        let mut problems = Vec::new();
        let own = self.given(table, files, now, &mut problems);
        let covered: Vec<String> = own.iter().flat_map(|it| it.names()).cloned().collect();
        let missing = wanted(table).into_iter().map(|wanted| Wanted {
            names: without(wanted.names, &covered),
            ..wanted
        });
        let missing: Vec<Wanted> = missing.filter(|it| !it.names.is_empty()).collect();
        let mut all = self.signed(&missing, now, &mut problems);
        // Of two for one name the later counts.
        all.extend(own);
        self.shown = Certificates::new(all);
        Certified {
            certificates: self.shown.clone(),
            problems,
            trust_changed: std::mem::take(&mut self.trust_changed),
        }
    }

    /// The certificates that environments have of their own: of two for one name, that of the longer
    /// domain comes last, and of one domain that of the environment created first.
    fn given(
        &mut self,
        table: &FrontTable,
        files: &BTreeMap<EnvName, Files>,
        now: OffsetDateTime,
        problems: &mut Vec<String>,
    ) -> Vec<Arc<Certificate>> {
        self.used
            .retain(|env, (from, _)| files.get(env) == Some(from));
        let mut environments: Vec<&FrontEnvironment> = table.environments().iter().rev().collect();
        environments.sort_by_key(|it| it.domain.as_str().len());
        let mut all = Vec::new();
        for environment in environments {
            let env = &environment.name;
            let Some(from) = files.get(env) else {
                continue;
            };
            let certificate = match read(environment, from, now) {
                Ok((certificate, leaf)) => {
                    self.used.insert(env.clone(), (from.clone(), leaf));
                    Some(certificate)
                }
                Err(error) => {
                    problems.push(format!(
                        "the certificate of `{env}` cannot be used: {}",
                        error.in_one_line()
                    ));
                    // Its files may be written at this moment.
                    let before = self.used.get(env).filter(|(_, it)| it.not_after > now);
                    before.and_then(|(_, leaf)| certificate(environment, leaf, &from.0).ok())
                }
            };
            all.extend(certificate.map(Arc::new));
        }
        all
    }

    /// What the home's authority signs; what was shown before where it cannot.
    fn signed(
        &mut self,
        missing: &[Wanted],
        now: OffsetDateTime,
        problems: &mut Vec<String>,
    ) -> Vec<Arc<Certificate>> {
        // A home that signs nothing has no authority that somebody could be asked to trust.
        if missing.is_empty() {
            return Vec::new();
        }
        let authority = match Authority::of_home(&self.home, &self.caller, now) {
            Ok(authority) => authority,
            Err(error) => {
                let why = CertifyError::from(error).in_one_line();
                problems.push(format!("no certificate can be signed: {why}"));
                return missing.iter().flat_map(|one| self.before(one)).collect();
            }
        };
        match trusted::keep(&self.home, &authority.pem) {
            Ok(changed) => self.trust_changed |= changed,
            Err(error) => problems.push(format!(
                "gateways are not told whom to trust: `{}` cannot be written: {error}",
                self.home.trusted_file().display()
            )),
        }
        let mut all = Vec::new();
        for one in missing {
            let folder = self.home.env_dir(&one.env).join("tls");
            match sign(&folder, &authority, &one.names, now) {
                Ok(certificate) => all.push(Arc::new(certificate)),
                Err(error) => {
                    problems.push(format!(
                        "there is no certificate for {}: {}",
                        one.names.join(", "),
                        error.in_one_line()
                    ));
                    all.extend(self.before(one));
                }
            }
        }
        all
    }

    /// What was shown for these names until now.
    fn before(&self, wanted: &Wanted) -> Vec<Arc<Certificate>> {
        let names = wanted.names.iter();
        let found = names.filter_map(|name| self.shown.find(name));
        found.cloned().collect()
    }
}

fn without(mut names: Vec<String>, covered: &[String]) -> Vec<String> {
    names.retain(|name| !covers(covered, name));
    names
}

fn read(
    environment: &FrontEnvironment,
    (file, key): &Files,
    now: OffsetDateTime,
) -> Result<(Certificate, Leaf), CertifyError> {
    let leaf = given(file, key, now)?;
    let certificate = certificate(environment, &leaf, file)?;
    Ok((certificate, leaf))
}

fn certificate(
    environment: &FrontEnvironment,
    leaf: &Leaf,
    file: &Path,
) -> Result<Certificate, CertifyError> {
    let names = shown(environment, &leaf.names);
    if names.is_empty() {
        return Err(CertifyError::Strange {
            path: file.to_owned(),
            domain: environment.domain.to_string(),
        });
    }
    of_leaf(&names, leaf)
}

fn sign(
    folder: &Path,
    authority: &Authority,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Certificate, CertifyError> {
    of_leaf(names, &keep(folder, authority, names, now)?)
}

fn of_leaf(names: &[String], leaf: &Leaf) -> Result<Certificate, CertifyError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (chain, key) = (leaf.chain.as_bytes(), leaf.key.as_bytes());
    Ok(Certificate::from_pem(&names, chain, key)?)
}

#[cfg(test)]
mod tests;
