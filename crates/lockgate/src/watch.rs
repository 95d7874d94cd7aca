//! Waits until a folder's content changed and came to rest.
//!
//! The kernel's notices (or, where they cannot be had, a timer) only say *when* to look;
//! what counts is a fingerprint of the folder. So a notice too many deploys nothing, and
//! a folder that a build tool removes and makes again is not lost.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify_debouncer_full::notify::{self, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{Debouncer, NoCache, new_debouncer_opt};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::workspace::sources;

/// How long nothing may change before a build tool counts as done.
const QUIET: Duration = Duration::from_millis(200);
/// How often one looks without notices.
const POLL: Duration = Duration::from_millis(500);
/// How often one looks although there are notices: the folder itself may have been replaced.
const SAFETY: Duration = Duration::from_secs(2);

/// Watches one folder.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: PathBuf,
    seen: u64,
    notices: Option<Notices>,
    /// Whether to look by timer alone.
    poll: bool,
}

#[derive(Debug)]
struct Notices {
    changed: mpsc::Receiver<()>,
    inode: u64,
    _watcher: Debouncer<RecommendedWatcher, NoCache>,
}

impl Watch {
    /// Watches from now on; what is there already is no change.
    pub(crate) fn new(folder: &Path, poll: bool) -> Self {
        let mut watch = Self {
            folder: folder.to_owned(),
            seen: fingerprint(folder),
            notices: None,
            poll,
        };
        watch.listen();
        watch
    }

    /// Whether the kernel gives no notices, so that a timer has to do.
    pub(crate) fn polls(&self) -> bool {
        self.notices.is_none()
    }

    /// Takes what is there now for seen: the caller made it.
    pub(crate) fn settle(&mut self) {
        self.seen = fingerprint(&self.folder);
    }

    /// Waits for the next change that has come to rest.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.hint().await;
            let mut now = fingerprint(&self.folder);
            if now == self.seen {
                continue;
            }
            loop {
                tokio::time::sleep(QUIET).await;
                let later = fingerprint(&self.folder);
                if later == now {
                    break;
                }
                now = later;
            }
            // Changed and changed back is no change; an emptied folder is a build under way.
            if now != self.seen && self.folder.exists() {
                self.seen = now;
                return;
            }
        }
    }

    /// Waits until it is worth looking.
    async fn hint(&mut self) {
        self.listen();
        let pause = if self.notices.is_some() { SAFETY } else { POLL };
        let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + pause, pause);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        match &mut self.notices {
            Some(notices) => tokio::select! {
                notice = notices.changed.recv() => if notice.is_none() { self.notices = None },
                _ = timer.tick() => {}
            },
            None => {
                timer.tick().await;
            }
        }
    }

    /// Sets up notices, again when the folder is another one than before.
    fn listen(&mut self) {
        use std::os::unix::fs::MetadataExt as _;
        if self.poll {
            return;
        }
        let inode = std::fs::metadata(&self.folder)
            .ok()
            .map(|found| found.ino());
        if inode.is_some() && self.notices.as_ref().map(|notices| notices.inode) == inode {
            return;
        }
        self.notices = inode.and_then(|inode| match notices(&self.folder, inode) {
            Ok(notices) => Some(notices),
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "no notices for this folder; looking twice a second");
                self.poll = true;
                None
            }
        });
    }
}

/// Looks for edited sources.
///
/// By timer: notices for each folder of a large checkout cost more than a look at its files,
/// and a build takes longer than half a second anyway. A source that is only deleted is not seen.
#[derive(Debug)]
pub(crate) struct Sources {
    folders: Vec<PathBuf>,
    seen: Option<SystemTime>,
}

impl Sources {
    /// Looks below these folders; what is there already is no edit.
    pub(crate) async fn new(folders: &[PathBuf]) -> Self {
        Self {
            folders: folders.to_vec(),
            seen: last_edit(folders).await,
        }
    }

    /// Waits until a source was edited and no more is being written.
    pub(crate) async fn edited(&mut self) {
        loop {
            tokio::time::sleep(POLL).await;
            let mut now = last_edit(&self.folders).await;
            if now <= self.seen {
                continue;
            }
            loop {
                tokio::time::sleep(QUIET).await;
                let later = last_edit(&self.folders).await;
                if later == now {
                    break;
                }
                now = later;
            }
            self.seen = now;
            return;
        }
    }
}

async fn last_edit(folders: &[PathBuf]) -> Option<SystemTime> {
    let folders = folders.to_vec();
    let newest = tokio::task::spawn_blocking(move || sources::newest(&folders)).await;
    newest.ok().flatten().map(|(changed, _)| changed)
}

fn notices(folder: &Path, inode: u64) -> Result<Notices, notify::Error> {
    let (tell, changed) = mpsc::channel(1);
    let handler = move |_events| {
        // A full channel holds a notice already.
        let _ = tell.try_send(());
    };
    let mut watcher: Debouncer<RecommendedWatcher, NoCache> = new_debouncer_opt(
        QUIET,
        None,
        handler,
        NoCache::new(),
        notify::Config::default(),
    )?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(Notices {
        changed,
        inode,
        _watcher: watcher,
    })
}

/// Stands for names, sizes and times of all files below a folder.
fn fingerprint(folder: &Path) -> u64 {
    let mut files: Vec<(PathBuf, u64, Option<SystemTime>)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What is gone meanwhile is not there.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => files.push((entry.path(), found.len(), found.modified().ok())),
                Err(_) => {}
            }
        }
    }
    files.sort_unstable();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), future)
            .await
            .expect("a change is seen")
    }

    async fn sees_a_write_and_a_replaced_folder(poll: bool) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dist");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("main.js"), "1").unwrap();
        let mut watch = Watch::new(&folder, poll);
        assert_eq!(watch.polls(), poll);

        fs::write(folder.join("main.js"), "22").unwrap();
        within(watch.changed()).await;

        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("main.js"), "333").unwrap();
        within(watch.changed()).await;

        // The new folder is watched, too.
        fs::write(folder.join("main.js"), "4444").unwrap();
        within(watch.changed()).await;
    }

    #[tokio::test]
    async fn a_change_is_seen_by_notices() {
        sees_a_write_and_a_replaced_folder(false).await;
    }

    #[tokio::test]
    async fn a_change_is_seen_by_polling() {
        sees_a_write_and_a_replaced_folder(true).await;
    }

    #[tokio::test]
    async fn what_the_caller_made_itself_is_no_change() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(root.path(), false);
        fs::write(root.path().join("main.js"), "1").unwrap();
        watch.settle();
        let changed = tokio::time::timeout(Duration::from_secs(1), watch.changed()).await;
        assert!(changed.is_err());
    }

    #[tokio::test]
    async fn an_edited_source_is_seen_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("node_modules")).unwrap();
        fs::write(root.path().join("room.ts"), "1").unwrap();
        let mut sources = Sources::new(&[root.path().to_owned()]).await;
        fs::write(root.path().join("node_modules/x.js"), "1").unwrap();
        let nothing = tokio::time::timeout(Duration::from_secs(1), sources.edited()).await;
        assert!(nothing.is_err());
        fs::write(root.path().join("room.ts"), "2").unwrap();
        within(sources.edited()).await;
        let nothing = tokio::time::timeout(Duration::from_secs(1), sources.edited()).await;
        assert!(nothing.is_err());
    }

    #[tokio::test]
    async fn a_file_rewritten_as_it_was_is_no_change() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("main.js");
        fs::write(&file, "1").unwrap();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        let mut watch = Watch::new(root.path(), false);
        fs::write(&file, "1").unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(before)
            .unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(1), watch.changed()).await;
        assert!(changed.is_err());
    }
}
