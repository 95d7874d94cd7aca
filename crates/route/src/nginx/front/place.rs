//! The folder in which nginx finds everything of a front door.
//!
//! ```text
//! nginx.conf         the configuration that counts, around the environments
//! envs/{env}.conf    one environment
//! new/               the same as the two above, while they are being tested
//! .lockgate/         pages, each as .html and .json
//! nginx.pid, temp/   nginx's own
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http::StatusCode;
use lockgate_model::{EnvName, FrontTable, GatewayName, Standing};

use crate::front::unavailable;
use crate::nginx::PlaceError;
use crate::nginx::place::Place;
use crate::proxy::page::Page;

pub(super) const PAGES: &str = ".lockgate";
/// What ends the name of a gateway's pages.
pub(super) const NO_ANSWER: &str = "502";
pub(super) const STOPPED: &str = "503";
/// Pages that are no gateway's.
pub(super) const NOBODY: &str = "404";
pub(super) const NO_SITE: &str = "site";

/// The folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontPlace {
    place: Place,
}

impl FrontPlace {
    /// A folder by its absolute path, which nginx must be able to read out of a quoted
    /// text.
    pub fn new(dir: &Path) -> Result<Self, PlaceError> {
        Place::new(dir).map(|place| Self { place })
    }

    /// The folder itself: nginx's prefix.
    pub fn dir(&self) -> &Path {
        self.place.dir()
    }

    /// The configuration that counts.
    pub fn config(&self) -> PathBuf {
        self.place.config()
    }

    /// The file to which nginx writes its process's number.
    pub fn pid_file(&self) -> PathBuf {
        self.place.pid_file()
    }

    /// The folder of environments that count.
    pub(super) fn envs(&self) -> PathBuf {
        self.dir().join("envs")
    }

    pub(super) fn temp(&self) -> PathBuf {
        self.dir().join("temp")
    }

    /// Makes the folder, with the pages that are no gateway's.
    pub(super) fn prepare(&self) -> Result<(), PlaceError> {
        for folder in [self.envs(), self.temp(), self.dir().join(PAGES)] {
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        let nobody = "nobody serves this name; `lockgate urls` lists what is served";
        let site = "the site of this name did not answer";
        self.write_page(NOBODY, &Page::plain(StatusCode::NOT_FOUND, nobody))?;
        self.write_page(NO_SITE, &Page::plain(StatusCode::BAD_GATEWAY, site))
    }

    /// Makes the pages of all gateways say what is known of them.
    pub(super) fn show(&self, table: &FrontTable) -> Result<(), PlaceError> {
        for gateway in served(table) {
            let known = table.gateways().get(gateway);
            let build = known.and_then(|known| known.build.clone());
            let why = format!("gateway `{gateway}` did not answer");
            let no_answer = Page::no_answer(Some(gateway.clone()), build, why);
            self.write_page(&format!("{gateway}.{NO_ANSWER}"), &no_answer)?;
            let why = match known.map(|known| &known.standing) {
                Some(Standing::Stopped(why)) => format!("does not run: {why}"),
                Some(Standing::Starting) => "is being started".to_owned(),
                Some(Standing::At { .. }) | None => "is not known to run".to_owned(),
            };
            let page = Page::unavailable(unavailable(gateway, known, &why));
            self.write_page(&format!("{gateway}.{STOPPED}"), &page)?;
        }
        Ok(())
    }

    /// Lays out texts to be tested; the file that nginx reads first.
    pub(super) fn lay_out(
        &self,
        main: impl FnOnce(&Path) -> String,
        environments: &BTreeMap<EnvName, String>,
    ) -> Result<PathBuf, PlaceError> {
        let new = self.dir().join("new");
        let envs = new.join("envs");
        self.drop_new()?;
        fs::create_dir_all(&envs).map_err(failed(&envs))?;
        for (name, text) in environments {
            let path = envs.join(format!("{name}.conf"));
            fs::write(&path, text).map_err(failed(&path))?;
        }
        let config = new.join("nginx.conf");
        fs::write(&config, main(&envs)).map_err(failed(&config))?;
        Ok(config)
    }

    /// Removes what was laid out.
    pub(super) fn drop_new(&self) -> Result<(), PlaceError> {
        let new = self.dir().join("new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&new)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes these texts the ones that count.
    pub(super) fn take(
        &self,
        main: &str,
        environments: &BTreeMap<EnvName, String>,
    ) -> Result<(), PlaceError> {
        let envs = self.envs();
        for (name, text) in environments {
            replace(&envs.join(format!("{name}.conf")), text)?;
        }
        let there = fs::read_dir(&envs).map_err(failed(&envs))?;
        for file in there.flatten() {
            let name = file.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".conf"));
            let wanted = name.and_then(|name| EnvName::parse(name).ok());
            if !wanted.is_some_and(|name| environments.contains_key(&name)) {
                fs::remove_file(file.path()).map_err(failed(&file.path()))?;
            }
        }
        replace(&self.config(), main)
    }

    fn write_page(&self, name: &str, page: &Page) -> Result<(), PlaceError> {
        for (kind, text) in [("html", page.html()), ("json", page.json())] {
            replace(
                &self.dir().join(PAGES).join(format!("{name}.{kind}")),
                &text,
            )?;
        }
        Ok(())
    }
}

/// Every gateway that a name leads to.
fn served(table: &FrontTable) -> impl Iterator<Item = &GatewayName> {
    let environments = table.environments().iter();
    environments.flat_map(|environment| environment.organizations.values())
}

/// Writes beside, and renames: nginx reads all of it or what was before.
fn replace(path: &Path, text: &str) -> Result<(), PlaceError> {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, text).map_err(failed(&fresh))?;
    fs::rename(&fresh, path).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Write { path, source }
}
