//! Programs that died half-way, and builds that change under somebody's hands.

use super::*;

#[test]
fn a_build_whose_archive_was_lost_is_packed_anew() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    std::fs::write(
        store.build_dir(&env(), &build(1)).join("archive.tar"),
        "cut",
    )
    .unwrap();
    let (_, _, new) = keep(&store, 1, b"one");
    assert!(new);
    assert_eq!(
        store.build_info(&env(), &build(1)).unwrap(),
        format!("Build: {}\n", build(1))
    );
}

#[test]
fn drafts_of_the_dead_are_swept_and_those_of_the_living_stay() {
    let (_dir, store) = store();
    let living = store.draft(&env()).unwrap();
    let dead = store.builds_dir(&env()).join(".draft-dead");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("archive.tar"), "half").unwrap();
    let second = store.draft(&env()).unwrap();
    assert!(!dead.exists());
    assert!(living.archive_path().parent().unwrap().exists());
    drop((living, second));
    assert!(names(&store.builds_dir(&env())).is_empty());
    assert!(store.builds(&env()).unwrap().is_empty());
}

/// As when a program dies after a rename, or before one.
#[test]
fn what_the_dead_left_is_swept_and_other_environments_are_left_alone() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    let dir = store.dir();
    store.put_statement(&gateway(0), 1, &signed("a")).unwrap();
    std::fs::create_dir_all(dir.join(".tmp-dev-001.x/removed/archive")).unwrap();
    std::fs::create_dir_all(dir.join(".tmp-dev-001-b.x/removed")).unwrap();
    for left in [
        ".tmp-dev-001.link",
        "dev-001/.tmp-x",
        "dev-001/statements/.tmp-y",
    ] {
        std::fs::write(dir.join(left), "half").unwrap();
    }
    drop(store.draft(&env()).unwrap());
    assert_eq!(names(dir), [".dev-001.lock", ".tmp-dev-001-b.x", "dev-001"]);
    assert_eq!(names(&dir.join("dev-001")), ["builds", "statements"]);
    assert_eq!(
        names(&dir.join("dev-001/statements")),
        ["gw-pool-dev-001-0.json"]
    );
}

#[test]
fn a_build_that_is_packed_anew_while_it_is_compressed_gets_its_own_archive() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    let folder = store.build_dir(&env(), &build(1));
    let rounds = AtomicUsize::new(0);
    let encode = |identity: &Path| {
        let bytes = std::fs::read(identity)?;
        if rounds.fetch_add(1, Ordering::Relaxed) == 0 {
            store.prune(&env(), 0, &[]).unwrap();
            keep(&store, 1, b"one, of another time");
        }
        Ok(bytes)
    };
    let path = store.encoded(&env(), &folder, "archive.tar.x", encode);
    let path = path.unwrap().unwrap();
    let identity = std::fs::read(folder.join("archive.tar")).unwrap();
    assert!(std::fs::read(path).unwrap() == identity);
}

#[test]
fn a_build_that_is_removed_while_it_is_compressed_is_not_there() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    let folder = store.build_dir(&env(), &build(1));
    let encode = |identity: &Path| {
        let bytes = std::fs::read(identity)?;
        store.prune(&env(), 0, &[]).unwrap();
        Ok(bytes)
    };
    let path = store.encoded(&env(), &folder, "archive.tar.x", encode);
    assert_eq!(path.unwrap(), None);
    assert!(!folder.exists());
}
