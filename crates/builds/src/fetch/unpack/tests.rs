//! Archives made by hand: the right one, and one for each way to be wrong.

use std::io::Cursor;
use std::os::unix::fs::MetadataExt as _;

use lockgate_model::{BuildId, EnvName};
use tar::{Builder, Header};

use super::*;

/// An archive under construction, entry by entry.
struct Made(Builder<Vec<u8>>);

impl Made {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// An entry whose name is written as it is, also one that the library refuses.
    fn entry(mut self, kind: EntryType, name: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, content.as_bytes())
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, b"")
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn start() -> Made {
    Made::new().folder("gateway/").folder("gateway/app/")
}

fn right() -> Made {
    start()
        .file("gateway/app/main.sh", "run")
        .file("gateway/main.js", "listen")
}

fn file(path: &str, mode: u32, content: &str) -> ManifestFile {
    ManifestFile {
        path: FilePath::parse(path).unwrap(),
        mode,
        size: content.len() as u64,
        sha256: Digest::from_bytes(Sha256::digest(content).into()),
    }
}

fn manifest(files: Vec<ManifestFile>, archive_bytes: usize) -> Manifest {
    Manifest {
        env: EnvName::parse("dev").unwrap(),
        build: BuildId::parse("0123456789ab").unwrap(),
        archive_bytes: archive_bytes as u64,
        files,
    }
}

fn two_files() -> Vec<ManifestFile> {
    vec![
        file("app/main.sh", 0o755, "run"),
        file("main.js", 0o644, "listen"),
    ]
}

fn unpack(archive: &[u8], manifest: &Manifest) -> Result<tempfile::TempDir, UnpackError> {
    let fresh = tempfile::tempdir().unwrap();
    let contents = Contents::of(manifest)?;
    contents.unpack(Cursor::new(archive), fresh.path())?;
    Ok(fresh)
}

#[test]
fn exactly_the_manifests_files_come_out_with_its_modes() {
    let archive = right().done();
    let fresh = unpack(&archive, &manifest(two_files(), archive.len())).unwrap();
    let read = |path| std::fs::read_to_string(fresh.path().join(path)).unwrap();
    let mode = |path| std::fs::metadata(fresh.path().join(path)).unwrap().mode() & 0o7777;
    assert_eq!((read("main.js"), mode("main.js")), ("listen".into(), 0o644));
    let script = "app/main.sh";
    assert_eq!((read(script), mode(script)), ("run".into(), 0o755));
    assert_eq!(mode("app"), 0o755);
}

#[test]
fn long_names_and_archives_without_folders_are_fine() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut made = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(1);
    made.append_data(&mut header, format!("gateway/{long}"), &b"x"[..])
        .unwrap();
    let archive = made.into_inner().unwrap();
    let fresh = unpack(
        &archive,
        &manifest(vec![file(&long, 0o644, "x")], archive.len()),
    )
    .unwrap();
    assert!(fresh.path().join(long).is_file());
}

/// An archive that is refused, with the sentence that says why.
fn check(archive: &[u8], why: &str) {
    let error = unpack(archive, &manifest(two_files(), archive.len())).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(why), "{error}\nshould say: {why}");
}

#[test]
fn entries_that_are_not_in_the_manifest_are_refused() {
    for name in [
        "gateway/extra.js",
        "gateway/../main.js",
        "gateway/app/../main.js",
        "gateway//main.js",
        "gateway/./main.js",
        "gateway/Main.js",
        "/gateway/main.js",
        "../gateway/main.js",
        "main.js",
        "gateway",
        "other/main.js",
        "gateway/app",
    ] {
        check(
            &right().file(name, "x").done(),
            "which is not in the manifest",
        );
    }
    for name in [
        "gateway/empty/",
        "other/",
        "gateway/app/../",
        "/",
        "gateway/main.js/",
    ] {
        check(&right().folder(name).done(), "none of the manifest's files");
    }
}

#[test]
fn a_name_twice_is_refused() {
    let twice = right().file("gateway/main.js", "listen").done();
    check(&twice, "`gateway/main.js`, and that twice");
}

#[test]
fn nothing_but_files_and_folders_is_unpacked() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
    ] {
        let archive = start()
            .entry(kind, "gateway/main.js", b"")
            .file("gateway/app/main.sh", "run");
        check(&archive.done(), "neither a regular file nor a folder");
    }
    for kind in [EntryType::XHeader, EntryType::XGlobalHeader] {
        let archive = start()
            .entry(kind, "x", b"24 path=gateway/main.js\n")
            .file("gateway/y.js", "listen")
            .file("gateway/app/main.sh", "run");
        check(&archive.done(), "which carries extended headers");
    }
}

#[test]
fn other_sizes_and_contents_are_refused() {
    let with = |content| {
        start()
            .file("gateway/app/main.sh", "run")
            .file("gateway/main.js", content)
    };
    check(&with("listeN").done(), "`main.js` has another content");
    check(&with("listen!").done(), "has 7 bytes, its manifest says 6");
    check(&with("").done(), "has 0 bytes, its manifest says 6");
}

#[test]
fn what_is_missing_is_named() {
    check(
        &start().file("gateway/main.js", "listen").done(),
        "`app/main.sh` among them",
    );
    check(&start().done(), "lacks 2 of its manifest's files");
    check(&[], "lacks 2");
}

#[test]
fn the_archive_has_exactly_its_length_and_ends_with_zeros() {
    let archive = right().done();
    let length = |bytes: &[u8], says| unpack(bytes, &manifest(two_files(), says)).unwrap_err();
    let error = length(&archive, archive.len() - 1).to_string();
    assert!(error.starts_with("it is longer than"), "{error}");
    let error = length(&archive, archive.len() + 512).to_string();
    assert!(error.starts_with("it is shorter than"), "{error}");
    let mut behind = archive.clone();
    behind.extend(Made::new().file("gateway/extra", "x").done());
    check(&behind, "something follows behind its end");
    for cut in [1, 100, 512, 600, 1200, archive.len() - 1024 - 512] {
        assert!(matches!(
            length(&archive[..cut], archive.len()),
            UnpackError::Read(_) | UnpackError::Missing { .. } | UnpackError::Size { .. }
        ));
    }
    check(b"not an archive at all", "cannot be read as an archive");
}

#[test]
fn manifests_that_no_folder_can_hold_are_refused() {
    let refused = |files: Vec<ManifestFile>| {
        let manifest = manifest(files, 0);
        Contents::of(&manifest).unwrap_err().to_string()
    };
    let pair = |one, two| refused(vec![file(one, 0o644, ""), file(two, 0o644, "")]);
    assert!(pair("a", "a").contains("that twice"));
    assert!(pair("a", "A").contains("but for case"));
    assert!(pair("src/a", "Src/b").contains("but for case"));
    assert!(pair("É", "é").contains("but for case"));
    assert!(pair("a", "a/b").contains("a file and a folder"));
    assert!(refused(vec![file("a", 0o4755, "")]).contains("mode"));
}
