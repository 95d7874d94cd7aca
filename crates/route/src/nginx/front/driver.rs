//! The driver: what was rendered is tested before it counts, environment by environment.

use std::collections::BTreeMap;
use std::path::Path;

use lockgate_model::{EnvName, FrontTable};
use tokio::sync::Mutex;

use super::place::FrontPlace;
use super::render::{CertificateFiles, Front, FrontListen, Text};
use crate::nginx::Master;
use crate::seam::{FollowError, Followed};

const NAME: &str = "nginx";

/// What came of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontFollowed {
    /// Whether anything is served otherwise than before.
    pub followed: Followed,
    /// The environments whose texts nginx refused, with what it said of the file
    /// `refused/{env}.conf`, where the text lies. They are served as before, or not at all
    /// where they are new.
    pub refused: BTreeMap<EnvName, String>,
}

/// A front door that nginx serves.
#[derive(Debug)]
pub struct FrontNginx<M> {
    listen: FrontListen,
    place: FrontPlace,
    master: M,
    /// What counts.
    written: Mutex<Texts>,
}

/// What nginx reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Texts {
    main: String,
    environments: BTreeMap<EnvName, Text>,
}

impl<M: Master> FrontNginx<M> {
    /// A front door whose files lie in `place`; nothing is written yet.
    pub fn new(listen: FrontListen, place: FrontPlace, master: M) -> Self {
        Self {
            listen,
            place,
            master,
            written: Mutex::default(),
        }
    }

    /// The process.
    pub fn master(&self) -> &M {
        &self.master
    }

    /// Serves this table with these certificates from now on. An environment whose text
    /// nginx refuses is left as it was, and the others are not held up.
    pub async fn follow(
        &self,
        table: &FrontTable,
        certificates: &[CertificateFiles],
    ) -> Result<FrontFollowed, FollowError> {
        let mut written = self.written.lock().await;
        let front = Front {
            listen: &self.listen,
            place: &self.place,
            table,
            certificates,
        };
        let wanted = front.environments();
        self.place.prepare()?;
        self.place.show(table)?;
        let main = |folder: &Path| front.main(folder);
        let mut texts = Texts {
            main: main(self.place.dir()),
            environments: wanted.clone(),
        };
        if texts == *written {
            return Ok(FrontFollowed {
                followed: Followed::Unchanged,
                refused: BTreeMap::new(),
            });
        }
        let (mut refused, mut kept_back) = (BTreeMap::new(), BTreeMap::new());
        if self.test(main, &wanted).await?.is_err() {
            // One of them is wrong: those that nginx takes beside what counts are taken.
            let kept = written.environments.iter();
            texts.environments = kept
                .filter(|(name, _)| wanted.contains_key(name))
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect();
            if let Err(said) = self.test(main, &texts.environments).await? {
                self.place.drop_new()?;
                return Err(FollowError::Refused { driver: NAME, said });
            }
            for (name, text) in wanted {
                let mut with = texts.environments.clone();
                with.insert(name.clone(), text.clone());
                match self.test(main, &with).await? {
                    Ok(()) => texts.environments = with,
                    Err(said) => {
                        refused.insert(name.clone(), self.place.said_of_refused(&name, &said));
                        kept_back.insert(name, text);
                    }
                }
            }
        }
        self.place.drop_new()?;
        self.place.keep_refused(&kept_back)?;
        let changed = texts != *written;
        if changed {
            self.place.take(&texts.main, &texts.environments)?;
            *written = texts;
            let untold = |why| FollowError::Untold { driver: NAME, why };
            self.master.reload().await.map_err(untold)?;
        }
        Ok(FrontFollowed {
            followed: if changed {
                Followed::Changed
            } else {
                Followed::Unchanged
            },
            refused,
        })
    }

    /// Whether a file is named in what counts.
    pub async fn reads(&self, file: &Path) -> bool {
        let quoted = format!("\"{}\"", file.display());
        let written = self.written.lock().await;
        let texts = written.environments.values();
        let mut texts = texts.flat_map(|text| [&text.served, &text.unserved]);
        texts.any(|text| text.contains(&quoted))
    }

    /// Has nginx test texts that do not count yet; what it says where they are not right.
    async fn test(
        &self,
        main: impl FnOnce(&Path) -> String,
        environments: &BTreeMap<EnvName, Text>,
    ) -> Result<Result<(), String>, FollowError> {
        let config = self.place.lay_out(main, environments)?;
        Ok(self.master.test(&config).await)
    }
}
