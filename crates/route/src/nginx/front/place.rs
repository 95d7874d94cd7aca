//! The folder in which nginx finds everything of a front door.
//!
//! ```text
//! nginx.conf         the configuration that counts, around the environments
//! envs/{env}.conf    one environment, by the names that it serves
//! unserved/….conf    and by those that it does not
//! new/               the same as the three above, while they are being tested
//! refused/{env}.conf what nginx refused of an environment
//! .lockgate/         pages, each as .html and .json
//! nginx.pid, temp/   nginx's own
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http::StatusCode;
use lockgate_model::{EnvName, FrontTable, GatewayName, Standing};

use super::render::Text;
use crate::front::unavailable;
use crate::nginx::PlaceError;
use crate::nginx::place::Place;
use crate::proxy::page::Page;

pub(super) const PAGES: &str = ".lockgate";
/// Folders of the environments' texts, in the order in which nginx reads them.
pub(super) const SERVED: &str = "envs";
pub(super) const UNSERVED: &str = "unserved";
/// Of those being tested, and those refused.
const TEMP: &str = "temp";
const NEW: &str = "new";
const REFUSED: &str = "refused";
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

    pub(super) fn temp(&self) -> PathBuf {
        self.dir().join(TEMP)
    }

    /// Makes the folder, with the pages that are no gateway's.
    pub(super) fn prepare(&self) -> Result<(), PlaceError> {
        for folder in [SERVED, UNSERVED, TEMP, PAGES].map(|it| self.dir().join(it)) {
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
        environments: &BTreeMap<EnvName, Text>,
    ) -> Result<PathBuf, PlaceError> {
        let new = self.dir().join(NEW);
        self.drop_new()?;
        for folder in [SERVED, UNSERVED].map(|it| new.join(it)) {
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        for (name, text) in environments {
            for (file, text) in files(name, text) {
                let path = new.join(file);
                fs::write(&path, text).map_err(failed(&path))?;
            }
        }
        let config = new.join("nginx.conf");
        fs::write(&config, main(&new)).map_err(failed(&config))?;
        Ok(config)
    }

    /// Removes what was laid out.
    pub(super) fn drop_new(&self) -> Result<(), PlaceError> {
        let new = self.dir().join(NEW);
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&new)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Keeps exactly these texts for whoever looks at why they were refused.
    pub(super) fn keep_refused(&self, texts: &BTreeMap<EnvName, Text>) -> Result<(), PlaceError> {
        let refused = self.dir().join(REFUSED);
        match fs::remove_dir_all(&refused) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&refused)(error));
            }
            Ok(()) | Err(_) => {}
        }
        if !texts.is_empty() {
            fs::create_dir_all(&refused).map_err(failed(&refused))?;
        }
        for (name, text) in texts {
            let path = refused.join(format!("{name}.conf"));
            let all = format!("{}{}", text.served, text.unserved);
            fs::write(&path, all).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// What nginx said of a text that was laid out, as said of where it is kept.
    pub(super) fn said_of_refused(&self, name: &EnvName, said: &str) -> String {
        let file = |folder: &Path| folder.join(format!("{name}.conf")).display().to_string();
        let tested = file(&self.dir().join(NEW).join(SERVED));
        said.replace(&tested, &file(&self.dir().join(REFUSED)))
    }

    /// Makes these texts the ones that count.
    pub(super) fn take(
        &self,
        main: &str,
        environments: &BTreeMap<EnvName, Text>,
    ) -> Result<(), PlaceError> {
        let wanted = environments.iter().flat_map(|it| files(it.0, it.1));
        let wanted: BTreeMap<PathBuf, &str> = wanted
            .map(|(file, text)| (self.dir().join(file), text))
            .collect();
        for (path, text) in &wanted {
            replace(path, text)?;
        }
        for folder in [SERVED, UNSERVED].map(|it| self.dir().join(it)) {
            let there = fs::read_dir(&folder).map_err(failed(&folder))?;
            for path in there.flatten().map(|file| file.path()) {
                if !wanted.contains_key(&path) {
                    fs::remove_file(&path).map_err(failed(&path))?;
                }
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

/// The files of an environment, below the folder of the configuration that includes them.
fn files<'a>(name: &EnvName, text: &'a Text) -> [(PathBuf, &'a str); 2] {
    let Text {
        served,
        unserved,
        order,
    } = text;
    let in_order = format!("{order:03}-{name}.conf");
    [
        (Path::new(SERVED).join(format!("{name}.conf")), served),
        (Path::new(UNSERVED).join(in_order), unserved),
    ]
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
