//! The folder in which nginx finds everything: its configuration and what it reads for
//! each request.
//!
//! ```text
//! nginx.conf            the configuration that counts
//! nginx.conf.new        one that is being tested
//! nginx.pid             written by nginx
//! temp/                 nginx's own
//! now ─▶ builds/BUILD/  the build that answers; `none` before the first
//! pages/                502, 503, …, each as .html and .json; found below every build
//! pages/door.json       who the door is
//! unavailable           there while nothing can answer: 503 at once, nobody waits
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use http::StatusCode;
use lockgate_model::{BuildId, DoorCard, GatewayName};

use crate::lookup::Unavailable;
use crate::proxy::card;
use crate::proxy::page::Page;
use crate::seam::FollowError;

/// The folder of pages, below the folder of each build: where nginx's `root` leads.
pub(super) const PAGES: &str = ".lockgate";
pub(super) const NOW: &str = "now";
pub(super) const UNAVAILABLE: &str = "unavailable";
const CONFIG: &str = "nginx.conf";
const CANDIDATE: &str = "nginx.conf.new";
const BUILDS: &str = "builds";
const NO_BUILD: &str = "none";

/// A page for each thing that the door itself says.
pub(super) const NO_ANSWER: &str = "502";
pub(super) const STOPPED: &str = "503";
pub(super) const NO_ROUTE: &str = "404";
pub(super) const NO_CONTAINER: &str = "container";

/// Who the door is, below `PAGES`.
pub(super) const DOOR: &str = "door.json";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// nginx would read something else.
    #[error(
        "`{0}` cannot be named in a configuration of nginx: it holds `$`, a quote or a control character"
    )]
    Unspeakable(PathBuf),
    /// A file or folder.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl From<PlaceError> for FollowError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Unspeakable(path) => Self::Write {
                path,
                source: io::ErrorKind::InvalidFilename.into(),
            },
            PlaceError::Write { path, source } => Self::Write { path, source },
        }
    }
}

/// What nginx is shown of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The gateway.
    pub gateway: GatewayName,
    /// The build that runs, or should.
    pub build: Option<BuildId>,
    /// Why nothing can answer now, where that is so.
    pub unavailable: Option<Unavailable>,
    /// What is known of an application that does not answer a request.
    pub why: String,
}

/// The folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// A folder by its absolute path, which nginx must be able to read out of a quoted
    /// text.
    pub fn new(dir: &Path) -> Result<Self, PlaceError> {
        if is_speakable(dir) {
            Ok(Self {
                dir: dir.to_owned(),
            })
        } else {
            Err(PlaceError::Unspeakable(dir.to_owned()))
        }
    }

    /// The folder itself: nginx's prefix.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration that counts.
    pub fn config(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// The file to which nginx writes its process's number.
    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("nginx.pid")
    }

    /// Makes the folder as it is before the first build.
    pub fn prepare(&self, gateway: &GatewayName) -> Result<(), PlaceError> {
        for folder in ["temp", BUILDS, "pages"] {
            let path = self.dir.join(folder);
            fs::create_dir_all(&path).map_err(failed(&path))?;
        }
        let plain = [
            (
                NO_ROUTE,
                StatusCode::NOT_FOUND,
                "no route for this host: it has the name of a user container, and none is set",
            ),
            (
                NO_CONTAINER,
                StatusCode::BAD_GATEWAY,
                "the user container of this name did not answer",
            ),
        ];
        for (name, status, why) in plain {
            let mut page = Page::plain(status, why);
            page.gateway = Some(gateway.clone());
            self.write_page(name, &page)?;
        }
        self.point_to(None)
    }

    /// Makes answers name this build from now on.
    pub fn point_to(&self, build: Option<&BuildId>) -> Result<(), PlaceError> {
        let name = build.map_or(NO_BUILD, BuildId::as_str);
        let builds = self.dir.join(BUILDS);
        let folder = builds.join(name);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let pages = folder.join(PAGES);
        if fs::read_link(&pages).is_err() {
            symlink("../../pages", &pages).map_err(failed(&pages))?;
        }
        let now = self.dir.join(NOW);
        let next = self.dir.join(".now.next");
        remove(&next)?;
        symlink(Path::new(BUILDS).join(name), &next).map_err(failed(&next))?;
        fs::rename(&next, &now).map_err(failed(&now))?;
        // What earlier builds have left is nobody's any more.
        let others = fs::read_dir(&builds).into_iter().flatten().flatten();
        for other in others.filter(|other| other.file_name() != name) {
            let _ = fs::remove_file(other.path().join(PAGES));
            let _ = fs::remove_dir(other.path());
        }
        Ok(())
    }

    /// Makes the pages say what is so now, and nginx answer with them where nothing can.
    pub fn show(&self, shown: &Shown) -> Result<(), PlaceError> {
        let page = Page::no_answer(
            Some(shown.gateway.clone()),
            shown.build.clone(),
            shown.why.clone(),
        );
        self.write_page(NO_ANSWER, &page)?;
        let card = DoorCard {
            gateway: shown.gateway.clone(),
            build: shown.build.clone(),
        };
        self.write_below_pages(DOOR, &card::text(&card))?;
        let flag = self.dir.join(UNAVAILABLE);
        match &shown.unavailable {
            Some(why) => {
                self.write_page(STOPPED, &Page::unavailable(why.clone()))?;
                fs::write(&flag, "").map_err(failed(&flag))
            }
            None => remove(&flag),
        }
    }

    /// Writes a configuration that does not count yet.
    pub(super) fn write_candidate(&self, text: &str) -> Result<PathBuf, PlaceError> {
        let path = self.dir.join(CANDIDATE);
        fs::write(&path, text).map_err(failed(&path))?;
        Ok(path)
    }

    /// Makes it the one that counts.
    pub(super) fn take_candidate(&self) -> Result<(), PlaceError> {
        let config = self.config();
        fs::rename(self.dir.join(CANDIDATE), &config).map_err(failed(&config))
    }

    /// Removes one that was refused.
    pub(super) fn drop_candidate(&self) {
        // It is overwritten by the next one.
        let _ = fs::remove_file(self.dir.join(CANDIDATE));
    }

    /// A path in the folder, as text.
    pub(super) fn named(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn write_page(&self, name: &str, page: &Page) -> Result<(), PlaceError> {
        for (kind, text) in [("html", page.html()), ("json", page.json())] {
            self.write_below_pages(&format!("{name}.{kind}"), &text)?;
        }
        Ok(())
    }

    fn write_below_pages(&self, name: &str, text: &str) -> Result<(), PlaceError> {
        let path = self.dir.join("pages").join(name);
        let fresh = path.with_extension("new");
        fs::write(&fresh, text).map_err(failed(&fresh))?;
        fs::rename(&fresh, &path).map_err(failed(&path))
    }
}

/// Whether nginx can read an absolute path out of a quoted text.
pub(super) fn is_speakable(path: &Path) -> bool {
    path.is_absolute()
        && path.to_str().is_some_and(|text| {
            !text
                .chars()
                .any(|letter| letter.is_control() || matches!(letter, '$' | '"' | '\\' | '\''))
        })
}

fn remove(path: &Path) -> Result<(), PlaceError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn gateway() -> GatewayName {
        GatewayName::parse("gw-pool-dev-001-0").unwrap()
    }

    fn read(place: &Place, name: &str) -> String {
        fs::read_to_string(place.dir().join(name)).unwrap_or_default()
    }

    #[test]
    fn pages_are_found_below_each_build_and_only_the_newest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path()).unwrap();
        place.prepare(&gateway()).unwrap();
        let target = || fs::read_link(dir.path().join("now")).unwrap();
        assert_eq!(target(), Path::new("builds/none"));
        for build in ["0123456789ab", "ba9876543210", "ba9876543210"] {
            place
                .point_to(Some(&BuildId::parse(build).unwrap()))
                .unwrap();
            assert_eq!(target(), Path::new("builds").join(build));
            assert!(read(&place, "now/.lockgate/404.json").contains("no route"));
        }
        let kept = fs::read_dir(dir.path().join("builds")).unwrap().count();
        assert_eq!(kept, 1);
    }

    #[test]
    fn pages_say_what_is_so_now() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path()).unwrap();
        place.prepare(&gateway()).unwrap();
        let mut shown = Shown {
            gateway: gateway(),
            build: Some(BuildId::parse("0123456789ab").unwrap()),
            unavailable: None,
            why: "it crashed".to_owned(),
        };
        place.show(&shown).unwrap();
        let page = read(&place, "pages/502.json");
        for fact in ["it crashed", "gw-pool-dev-001-0", "0123456789ab"] {
            assert!(page.contains(fact), "{fact} in {page}");
        }
        let flag = || dir.path().join("unavailable").exists();
        assert!(!flag());
        shown.unavailable = Some(Unavailable {
            gateway: Some(gateway()),
            build: None,
            why: "it is stopped".to_owned(),
            retry_after: Duration::from_secs(2),
        });
        place.show(&shown).unwrap();
        assert!(flag());
        assert!(read(&place, "pages/503.html").contains("it is stopped"));
        shown.unavailable = None;
        place.show(&shown).unwrap();
        place.show(&shown).unwrap();
        assert!(!flag());
    }

    #[test]
    fn a_folder_that_nginx_would_read_otherwise_is_refused() {
        for bad in ["relative", "/a$b", "/a\"b", "/a\\b", "/a\nb"] {
            assert!(Place::new(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(Place::new(Path::new("/a b/ü")).is_ok());
    }
}
