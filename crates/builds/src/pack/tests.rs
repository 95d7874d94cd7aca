use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, UNIX_EPOCH};

use lockgate_model::BUILD_INFO;
use tempfile::TempDir;

use super::*;

mod refused;

struct World {
    dir: TempDir,
    store: Store,
}

impl World {
    /// The layout that needs no configuration.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("builds")).unwrap();
        let world = Self { dir, store };
        world.write("dist/main.js", "listen(8888)");
        world.write("dist/main.js.map", "{}");
        world.write("infra/main.sh", "#!/bin/sh");
        world.write("infra/config.conf", "export A=1");
        world
    }

    fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.workspace().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn source(&self) -> PackSource {
        let part = |from: &str, to: &str| Part {
            from: from.into(),
            to: to.to_owned(),
            required: true,
        };
        PackSource {
            env: EnvName::parse("dev-001").unwrap(),
            workspace: self.workspace(),
            parts: vec![part("dist", "app-gateway"), part("infra", "app")],
        }
    }

    fn pack(&self) -> Result<Packed, PackError> {
        pack(&self.source(), &provenance(0), true, &self.store)
    }

    fn archive(&self, packed: &Packed) -> Vec<u8> {
        let manifest = &packed.manifest;
        let encoding = crate::store::Encoding::Identity;
        let path = self.store.archive(&manifest.env, &manifest.build, encoding);
        fs::read(path.unwrap().unwrap()).unwrap()
    }

    fn problems(&self) -> Vec<String> {
        match self.pack().unwrap_err() {
            PackError::Refused { problems } => problems,
            other => panic!("{other}"),
        }
    }
}

fn provenance(seconds: u64) -> Provenance {
    Provenance {
        built_at: UNIX_EPOCH + Duration::from_secs(seconds),
        commit: None,
        branch: None,
        dirty: None,
        node_version: None,
        tool: "lockgate 0.1.0".to_owned(),
    }
}

fn paths(packed: &Packed) -> Vec<&str> {
    packed
        .manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

/// Path, mode and kind of every entry.
fn entries(archive: &[u8]) -> Vec<(String, u32, tar::EntryType)> {
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.username().unwrap(), Some(""));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        found.push((path, header.mode().unwrap(), header.entry_type()));
    }
    found
}

#[test]
fn the_archive_is_canonical() {
    let world = World::new();
    let main = world.workspace().join("infra/main.sh");
    fs::set_permissions(&main, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(
        world.workspace().join("dist/main.js"),
        fs::Permissions::from_mode(0o4666),
    )
    .unwrap();
    fs::create_dir(world.workspace().join("dist/empty")).unwrap();
    let packed = world.pack().unwrap();
    let (file, folder) = (tar::EntryType::Regular, tar::EntryType::Directory);
    let expected = [
        ("gateway/", 0o755, folder),
        ("gateway/app/", 0o755, folder),
        ("gateway/app/config.conf", 0o644, file),
        ("gateway/app/main.sh", 0o755, file),
        ("gateway/app-gateway/", 0o755, folder),
        ("gateway/app-gateway/main.js", 0o644, file),
        ("gateway/app-gateway/main.js.map", 0o644, file),
        ("gateway/BUILD_INFO.txt", 0o644, file),
    ];
    let archive = world.archive(&packed);
    assert_eq!(packed.manifest.archive_bytes, archive.len() as u64);
    let mut found = entries(&archive);
    let mut expected = expected
        .map(|(path, mode, kind)| (path.to_owned(), mode, kind))
        .to_vec();
    assert_eq!(found.last(), expected.last());
    found.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
}

#[test]
fn the_manifest_tells_every_byte() {
    let world = World::new();
    let packed = world.pack().unwrap();
    assert!(packed.new);
    let mut sorted = paths(&packed);
    sorted.sort_unstable();
    assert_eq!(paths(&packed), sorted);
    let archive = world.archive(&packed);
    let mut archive = tar::Archive::new(&archive[..]);
    let mut checked = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let file = packed.manifest.files.iter();
        let file = file
            .clone()
            .find(|file| format!("gateway/{}", file.path) == path)
            .unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        assert_eq!(file.size, bytes.len() as u64);
        assert_eq!(
            file.sha256,
            Digest::from_bytes(Sha256::digest(&bytes).into())
        );
        assert_eq!(file.mode, entry.header().mode().unwrap());
        checked += 1;
    }
    assert_eq!(checked, packed.manifest.files.len());
    let stored = world
        .store
        .manifest(&packed.manifest.env, &packed.manifest.build);
    assert_eq!(
        stored.unwrap(),
        Some((packed.manifest, packed.manifest_digest))
    );
}

#[test]
fn the_same_content_is_the_same_build_wherever_and_whenever() {
    let one = World::new();
    let first = one.pack().unwrap();
    let bytes = one.archive(&first);
    let again = pack(&one.source(), &provenance(99), false, &one.store).unwrap();
    assert!(!again.new);
    assert_eq!(again.manifest, first.manifest);
    assert_eq!(again.manifest_digest, first.manifest_digest);
    assert_eq!(one.archive(&again), bytes);

    let elsewhere = World::new();
    let other = pack(&elsewhere.source(), &provenance(7), true, &elsewhere.store).unwrap();
    assert!(other.new);
    assert_eq!(other.manifest.build, first.manifest.build);
    let info = elsewhere
        .store
        .build_info(&other.manifest.env, &other.manifest.build)
        .unwrap();
    assert!(info.contains("Built: 1970-01-01T00:00:07Z"), "{info}");
    assert!(
        info.contains(&format!("Build: {}", first.manifest.build)),
        "{info}"
    );
}

#[test]
fn content_place_and_mode_make_the_name() {
    let name = |change: &dyn Fn(&World)| {
        let world = World::new();
        change(&world);
        world.pack().unwrap().manifest.build
    };
    let base = name(&|_| {});
    assert_ne!(
        base,
        name(&|world| world.write("dist/main.js", "listen(8889)"))
    );
    assert_ne!(base, name(&|world| world.write("dist/more.js", "")));
    assert_ne!(
        base,
        name(&|world| {
            let dist = world.workspace().join("dist");
            fs::rename(dist.join("main.js.map"), dist.join("other.map")).unwrap();
        })
    );
    let mode = |mode| {
        name(&|world| {
            let path = world.workspace().join("infra/main.sh");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        })
    };
    assert_ne!(base, mode(0o755));
    assert_eq!(mode(0o755), mode(0o700));
    assert_eq!(base, mode(0o600));
}

#[test]
fn the_name_is_the_digest_of_the_documented_list() {
    let world = World::new();
    let packed = world.pack().unwrap();
    let lines = [
        ("app-gateway/main.js", "listen(8888)"),
        ("app-gateway/main.js.map", "{}"),
        ("app/config.conf", "export A=1"),
        ("app/main.sh", "#!/bin/sh"),
    ]
    .map(|(path, text)| {
        let digest = Digest::from_bytes(Sha256::digest(text).into());
        format!("{path}\0644\0{}\0{}\n", text.len(), digest.hex())
    });
    let expected = Digest::from_bytes(Sha256::digest(lines.concat()).into()).build_id();
    assert_eq!(packed.manifest.build, expected);
}

#[test]
fn long_paths_survive() {
    let world = World::new();
    let long = format!("{}/{}.js", "folder/".repeat(40), "n".repeat(200));
    world.write(&format!("dist/{long}"), "long");
    let packed = world.pack().unwrap();
    let wanted = format!("gateway/app-gateway/{}", long.replace("//", "/"));
    let archive = world.archive(&packed);
    assert!(entries(&archive).iter().any(|(path, ..)| *path == wanted));
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_an_error() {
    let world = World::new();
    let path = world.workspace().join("dist/main.js");
    let target = world.dir.path().join("archive.tar");
    let place = FilePath::parse("main.js").unwrap();
    let mut archive = ArchiveWriter::create(&target).unwrap();
    let (_, state) = archive.append_file(&place, &path).unwrap();
    archive::expect_unchanged(&path, &state).unwrap();
    fs::write(&path, "longer than before").unwrap();
    let error = archive::expect_unchanged(&path, &state).unwrap_err();
    assert!(
        matches!(&error, PackError::Changed { path: named } if *named == path),
        "{error}"
    );
    fs::remove_file(&path).unwrap();
    assert!(archive::expect_unchanged(&path, &state).is_err());
    symlink("/etc/passwd", &path).unwrap();
    let error = archive.append_file(&place, &path).unwrap_err();
    assert!(matches!(error, PackError::Io { .. }), "{error}");
}

#[test]
fn packing_while_the_bundle_is_rewritten_never_stores_a_mixture() {
    let world = World::new();
    let (old, new) = ("a".repeat(300_000), "b".repeat(400_000));
    let done = std::sync::atomic::AtomicBool::new(false);
    world.write("dist/main.js", &old);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                world.write("dist/main.js", if round % 2 == 0 { &new } else { &old });
                round += 1;
                std::thread::yield_now();
            }
        });
        let mut kept = 0;
        for _ in 0..200 {
            match world.pack() {
                Ok(_) => kept += 1,
                Err(error) => assert!(matches!(error, PackError::Changed { .. }), "{error}"),
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("{kept} of 200 kept");
    });
    let env = EnvName::parse("dev-001").unwrap();
    for build in world.store.builds(&env).unwrap() {
        let (manifest, _) = world.store.manifest(&env, &build).unwrap().unwrap();
        let main = manifest
            .files
            .iter()
            .find(|file| file.path.as_str() == "app-gateway/main.js")
            .unwrap();
        let whole = [&old, &new].map(|text| Digest::from_bytes(Sha256::digest(text).into()));
        // Truncating and writing are two calls: an empty or half file that nobody touched
        // for as long as the pack took is a whole file to us.
        assert!(
            whole.contains(&main.sha256) || main.size < 400_000,
            "{main:?}"
        );
    }
}
