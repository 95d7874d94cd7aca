//! What is left out, what is missing, and what is refused.

use super::*;

#[test]
fn credentials_and_links_are_left_out_and_said() {
    let world = World::new();
    world.write("dist/.env", "TOKEN=1");
    world.write("dist/src/.env.local", "TOKEN=1");
    world.write("infra/tls/server.key", "key");
    world.write("infra/.git/config", "");
    world.write("infra/node_modules/.cache/x", "");
    world.write("infra/node_modules/y/index.js", "");
    world.write("dist/BUILD_INFO.txt", "of a build before");
    world.write("outside.txt", "outside");
    symlink("../outside.txt", world.workspace().join("dist/link.js")).unwrap();
    symlink("/etc", world.workspace().join("dist/etc")).unwrap();
    let fifo = world.workspace().join("dist/pipe");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::net::UnixListener::bind(world.workspace().join("dist/socket")).unwrap();

    // The top-level BUILD_INFO.txt only collides where a part lands at the top.
    let packed = world.pack().unwrap();
    let left: Vec<_> = packed
        .left_out
        .iter()
        .map(|one| (one.path.to_str().unwrap(), one.why))
        .collect();
    assert_eq!(
        left,
        [
            ("dist/.env", "environment file"),
            ("dist/etc", "symbolic link"),
            ("dist/link.js", "symbolic link"),
            ("dist/pipe", "named pipe"),
            ("dist/socket", "socket"),
            ("dist/src/.env.local", "environment file"),
            ("infra/.git", "version control"),
            ("infra/node_modules/.cache", "cache"),
            ("infra/tls/server.key", "key or certificate"),
        ]
    );
    assert_eq!(
        paths(&packed),
        [
            BUILD_INFO,
            "app-gateway/BUILD_INFO.txt",
            "app-gateway/main.js",
            "app-gateway/main.js.map",
            "app/config.conf",
            "app/main.sh",
            "app/node_modules/y/index.js",
        ]
    );
}

#[test]
fn a_build_info_of_the_workspace_gives_way_to_ours() {
    let world = World::new();
    world.write("dist/BUILD_INFO.txt", "of a build before");
    let mut source = world.source();
    source.parts.truncate(1);
    source.parts[0].to = ".".to_owned();
    let packed = pack(&source, &provenance(0), true, &world.store).unwrap();
    assert_eq!(paths(&packed), [BUILD_INFO, "main.js", "main.js.map"]);
    assert_eq!(packed.left_out[0].path, Path::new("dist/BUILD_INFO.txt"));
}

#[test]
fn what_is_missing_is_named() {
    let world = World::new();
    let mut source = world.source();
    source.parts[0].from = "dist/packages".into();
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(
        matches!(&error, PackError::Missing { path } if path.ends_with("dist/packages")),
        "{error}"
    );
    source.parts[0].required = false;
    let packed = pack(&source, &provenance(0), true, &world.store).unwrap();
    assert_eq!(
        paths(&packed),
        [BUILD_INFO, "app/config.conf", "app/main.sh"]
    );
    source.parts.truncate(1);
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(matches!(error, PackError::Empty { .. }), "{error}");
    source.workspace = world.dir.path().join("nowhere");
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(matches!(error, PackError::Missing { .. }), "{error}");
}

#[test]
fn a_part_may_be_a_link_inside_the_workspace_only() {
    let world = World::new();
    fs::rename(
        world.workspace().join("dist"),
        world.workspace().join("out"),
    )
    .unwrap();
    symlink("out", world.workspace().join("dist")).unwrap();
    assert_eq!(world.pack().unwrap().manifest.files.len(), 5);
    fs::remove_file(world.workspace().join("dist")).unwrap();
    symlink("/etc", world.workspace().join("dist")).unwrap();
    let error = world.pack().unwrap_err();
    assert!(matches!(error, PackError::Outside { .. }), "{error}");
    let mut source = world.source();
    source.parts[0].from = "../..".into();
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(matches!(error, PackError::Outside { .. }), "{error}");
}

#[test]
fn all_problems_are_said_at_once() {
    let world = World::new();
    world.write("dist/Main.js", "");
    world.write("dist/back\\slash.js", "");
    world.write("dist/new\nline.js", "");
    world.write("infra/lib/a.sh", "");
    world.write("infra/Lib/b.sh", "");
    let name = std::ffi::OsStr::new("dist").to_owned();
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.js");
    fs::write(world.workspace().join(name).join(odd), "").unwrap();
    let problems = world.problems();
    for part in [
        "differ in case only",
        "Main.js",
        "back\\slash",
        "UTF-8",
        "`app/Lib` and `app/lib`",
    ] {
        assert!(
            problems.iter().any(|one| one.contains(part)),
            "{part}: {problems:#?}"
        );
    }
    assert_eq!(problems.len(), 5, "{problems:#?}");
    let env = EnvName::parse("dev-001").unwrap();
    assert!(world.store.builds(&env).unwrap().is_empty());
}

#[test]
fn two_parts_may_not_claim_one_place() {
    let world = World::new();
    let mut source = world.source();
    world.write("infra/main.js", "");
    source.parts[1].to = "app-gateway".to_owned();
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("would both become `app-gateway/main.js`"),
        "{error}"
    );
    source.parts[1].to = "app-gateway/main.js".to_owned();
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(
        error.to_string().contains("both a file and a folder"),
        "{error}"
    );
}

#[test]
fn a_single_file_is_a_part_and_a_key_is_none() {
    let world = World::new();
    let mut source = world.source();
    source.parts.truncate(1);
    source.parts[0].from = "dist/main.js".into();
    source.parts[0].to = "server/index.js".to_owned();
    let packed = pack(&source, &provenance(0), true, &world.store).unwrap();
    assert_eq!(paths(&packed), [BUILD_INFO, "server/index.js"]);
    world.write("tls/server.pem", "key");
    source.parts[0].from = "tls/server.pem".into();
    let error = pack(&source, &provenance(0), true, &world.store).unwrap_err();
    assert!(error.to_string().contains("key or certificate"), "{error}");
}
