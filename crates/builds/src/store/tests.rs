use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lockgate_model::{Digest, FilePath, Manifest, ManifestFile, SignedStatement};
use tempfile::TempDir;

use super::*;

mod interrupted;

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("builds")).unwrap();
    (dir, store)
}

fn env() -> EnvName {
    EnvName::parse("dev-001").unwrap()
}

fn gateway(number: u32) -> GatewayName {
    GatewayName::new(&env(), number)
}

fn build(number: u8) -> BuildId {
    Digest::from_bytes([number; 32]).build_id()
}

/// A tar with `gateway/main.js` and `gateway/BUILD_INFO.txt`.
fn archive(main: &[u8], info: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in [
        ("main.js", main),
        (lockgate_model::BUILD_INFO, info.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, format!("gateway/{path}"), bytes)
            .unwrap();
    }
    tar.into_inner().unwrap()
}

fn keep(store: &Store, number: u8, main: &[u8]) -> (Manifest, Digest, bool) {
    let draft = store.draft(&env()).unwrap();
    let bytes = archive(main, &format!("Build: {}\n", build(number)));
    std::fs::write(draft.archive_path(), &bytes).unwrap();
    let manifest = Manifest {
        env: env(),
        build: build(number),
        archive_bytes: bytes.len() as u64,
        files: vec![ManifestFile {
            path: FilePath::parse("main.js").unwrap(),
            mode: 0o644,
            size: main.len() as u64,
            sha256: Digest::from_bytes([0; 32]),
        }],
    };
    draft.keep(manifest).unwrap()
}

fn publication(number: u8, at: u64) -> Publication {
    Publication {
        build: build(number),
        at,
        commit: Some("abc".to_owned()),
        branch: None,
        dirty: Some(false),
        by: "user@host".to_owned(),
        validated: true,
        action: "deploy".to_owned(),
    }
}

fn signed(text: &str) -> SignedStatement {
    SignedStatement {
        statement: text.to_owned(),
        signature: "signature".to_owned(),
    }
}

/// Names below the store, hidden ones too.
fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_kept_build_is_found_with_its_digest() {
    let (_dir, store) = store();
    assert_eq!(store.manifest(&env(), &build(1)).unwrap(), None);
    let (manifest, digest, new) = keep(&store, 1, b"one");
    assert!(new);
    let found = store.manifest(&env(), &build(1)).unwrap().unwrap();
    assert_eq!(found, (manifest, digest.clone()));
    let bytes = std::fs::read(store.manifest_path(&env(), &build(1))).unwrap();
    assert_eq!(Digest::from_bytes(sha256(&bytes)), digest);
    assert_eq!(
        store.build_info(&env(), &build(1)).unwrap(),
        format!("Build: {}\n", build(1))
    );
    assert_eq!(names(&store.builds_dir(&env())), [build(1).as_str()]);
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

#[test]
fn a_build_that_is_there_is_never_changed() {
    let (_dir, store) = store();
    let (_, digest, _) = keep(&store, 1, b"one");
    let before = std::fs::read(store.build_dir(&env(), &build(1)).join("archive.tar")).unwrap();
    let (_, again, new) = keep(&store, 1, b"other");
    assert!(!new);
    assert_eq!(again, digest);
    let after = std::fs::read(store.build_dir(&env(), &build(1)).join("archive.tar")).unwrap();
    assert_eq!(before, after);
    assert_eq!(names(&store.builds_dir(&env())), [build(1).as_str()]);
}

#[test]
fn a_manifest_of_another_build_is_damage() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    let path = store.manifest_path(&env(), &build(1));
    let moved = store.build_dir(&env(), &build(2));
    std::fs::create_dir(&moved).unwrap();
    std::fs::copy(&path, moved.join("manifest.json")).unwrap();
    let error = store.manifest(&env(), &build(2)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    std::fs::write(&path, "{").unwrap();
    let error = store.manifest(&env(), &build(1)).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn every_encoding_holds_the_same_bytes() {
    let (_dir, store) = store();
    keep(&store, 1, &b"const x = 1;\n".repeat(10_000));
    let path = |encoding| store.archive(&env(), &build(1), encoding).unwrap().unwrap();
    let identity = std::fs::read(path(Encoding::Identity)).unwrap();
    let gzip = std::fs::read(path(Encoding::Gzip)).unwrap();
    let zstd = std::fs::read(path(Encoding::Zstd)).unwrap();
    assert_eq!(gunzip(&gzip).unwrap(), identity);
    assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), identity);
    assert_eq!(gzip[4..8], [0; 4], "no time in the header");
    assert!(gzip.len() < identity.len() / 10 && zstd.len() < identity.len() / 10);
    assert_eq!(
        store.archive(&env(), &build(2), Encoding::Zstd).unwrap(),
        None
    );
}

fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let size = u32::from_le_bytes(bytes.get(bytes.len().checked_sub(4)?..)?.try_into().ok()?);
    let mut output = vec![0; size as usize];
    let mut decompressor = libdeflater::Decompressor::new();
    let size = decompressor.gzip_decompress(bytes, &mut output).ok()?;
    (size == output.len()).then_some(output)
}

#[test]
fn the_current_archive_is_never_seen_half() {
    let (_dir, store) = store();
    keep(&store, 1, &b"one ".repeat(50_000));
    keep(&store, 2, &b"two, longer ".repeat(80_000));
    store.make_current(&env(), &build(1)).unwrap();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let bytes = std::fs::read(store.current_path(&env())).unwrap();
                let tar = gunzip(&bytes).expect("a whole gzip");
                let entries = tar::Archive::new(&tar[..]).entries().unwrap().count();
                assert_eq!(entries, 2);
                reads += 1;
            }
            reads
        });
        for round in 0_u8..250 {
            let build = build(1 + round % 2);
            store.make_current(&env(), &build).unwrap();
            assert_eq!(store.current(&env()).unwrap(), Some(build));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 10, "{reads}");
    let left: Vec<_> = names(store.dir())
        .into_iter()
        .filter(|name| name.starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn making_the_current_build_current_leaves_it_alone() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    let first = store.make_current(&env(), &build(1)).unwrap();
    assert_eq!(store.make_current(&env(), &build(1)).unwrap(), first);
    assert_eq!(first.0, store.dir().join("gateway-dev-001.tar.gz"));
    assert_eq!(first.1, std::fs::metadata(&first.0).unwrap().len());
    let error = store.make_current(&env(), &build(9)).unwrap_err();
    assert!(matches!(error, StoreError::UnknownBuild { .. }), "{error}");
    assert_eq!(
        names(store.dir()),
        [".dev-001.lock", "dev-001", "gateway-dev-001.tar.gz"]
    );
}

#[test]
fn publications_come_back_in_order_and_order_the_builds() {
    let (_dir, store) = store();
    assert!(store.publications(&env()).unwrap().is_empty());
    for number in [1, 2, 3] {
        keep(&store, number, &[number]);
    }
    let history = [
        publication(2, 10),
        publication(1, 20),
        publication(3, 30),
        publication(2, 40),
    ];
    for one in &history {
        store.publish(&env(), one).unwrap();
    }
    assert_eq!(store.publications(&env()).unwrap(), history);
    assert_eq!(
        store.builds(&env()).unwrap(),
        [build(1), build(3), build(2)]
    );
    let error = store.publish(&env(), &publication(9, 50)).unwrap_err();
    assert!(matches!(error, StoreError::UnknownBuild { .. }), "{error}");
}

#[test]
fn a_damaged_history_names_file_and_line() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    store.publish(&env(), &publication(1, 10)).unwrap();
    let path = store.dir().join("dev-001/publications.jsonl");
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"{\"build\n").unwrap();
    let error = store.publications(&env()).unwrap_err().to_string();
    assert!(
        error.contains(path.to_str().unwrap()) && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn prune_keeps_the_newest_the_used_and_the_current() {
    let (_dir, store) = store();
    for number in 1..=6 {
        keep(&store, number, &[number]);
        store
            .publish(&env(), &publication(number, u64::from(number)))
            .unwrap();
    }
    store.make_current(&env(), &build(2)).unwrap();
    let removed = store.prune(&env(), 2, &[build(3)]).unwrap();
    assert_eq!(removed, [build(1), build(4)]);
    assert_eq!(
        store.builds(&env()).unwrap(),
        [build(2), build(3), build(5), build(6)]
    );
    assert!(store.prune(&env(), 9, &[]).unwrap().is_empty());
}

#[test]
fn gateways_are_admitted_and_dismissed() {
    let (_dir, store) = store();
    let (one, two) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
    assert_eq!(store.token_digest(&gateway(0)).unwrap(), None);
    store.admit(&gateway(10), &two).unwrap();
    store.admit(&gateway(2), &one).unwrap();
    store.admit(&gateway(2), &two).unwrap();
    assert_eq!(store.token_digest(&gateway(2)).unwrap(), Some(two));
    assert_eq!(store.gateways(&env()).unwrap(), [gateway(2), gateway(10)]);
    store.put_statement(&gateway(2), 1, &signed("a")).unwrap();
    store.dismiss(&gateway(2)).unwrap();
    store.dismiss(&gateway(2)).unwrap();
    assert_eq!(store.token_digest(&gateway(2)).unwrap(), None);
    assert_eq!(store.statement(&gateway(2)).unwrap(), None);
    assert_eq!(store.gateways(&env()).unwrap(), [gateway(10)]);
}

#[test]
fn statements_only_ever_get_newer() {
    let (_dir, store) = store();
    assert_eq!(store.statement(&gateway(0)).unwrap(), None);
    store.put_statement(&gateway(0), 5, &signed("a")).unwrap();
    store.put_statement(&gateway(0), 5, &signed("a")).unwrap();
    for (seq, text) in [(5, "b"), (4, "a")] {
        let error = store
            .put_statement(&gateway(0), seq, &signed(text))
            .unwrap_err();
        assert!(
            matches!(error, StoreError::NotNewer { held: 5, .. }),
            "{error}"
        );
    }
    store.put_statement(&gateway(0), 6, &signed("b")).unwrap();
    assert_eq!(
        store.statement(&gateway(0)).unwrap(),
        Some((6, signed("b")))
    );
}

#[test]
fn a_removed_environment_leaves_nothing_and_its_name_is_free() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    store.publish(&env(), &publication(1, 10)).unwrap();
    store.make_current(&env(), &build(1)).unwrap();
    store.put_statement(&gateway(0), 9, &signed("a")).unwrap();
    store.remove_env(&env()).unwrap();
    store.remove_env(&env()).unwrap();
    assert!(names(store.dir()).is_empty());
    assert!(store.publications(&env()).unwrap().is_empty());
    keep(&store, 1, b"one");
    store.put_statement(&gateway(0), 1, &signed("a")).unwrap();
}

#[test]
fn writers_of_one_environment_take_turns() {
    let (_dir, store) = store();
    keep(&store, 1, b"one");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..25 {
                    let at = writer * 100 + number;
                    store.publish(&env(), &publication(1, at)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.publications(&env()).unwrap().len(), 100);
}
