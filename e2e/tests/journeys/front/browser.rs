//! A browser opens an organization, with the authority in its user's store and no flag that would
//! look away.

use std::path::PathBuf;

use lockgate_e2e::{World, may_mount, ran};

use super::{ONE, TWO, assign, host, running, until_answered, workspace};

/// Told or taken back in this world's store alone.
fn trust(world: &World, args: &[&str]) -> i32 {
    let mut trust = world.without_system_store(&[&["trust"], args].concat());
    ran(&trust.output().unwrap()).code
}

/// Where pictures go that somebody wants to look at.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("LOCKGATE_PICTURES").map(PathBuf::from)
}

/// The page that is shown.
fn look(world: &World, url: &str, name: &str) -> String {
    if let Some(folder) = pictures() {
        world.picture(url, &folder.join(name));
    }
    let ran = world.look(url);
    ran.expect(0);
    assert!(!ran.stdout.is_empty(), "{}", ran.stderr);
    ran.stdout
}

#[test]
fn a_browser_shows_an_organization_once_its_user_trusts_the_authority() {
    if !may_mount() {
        eprintln!("left out: to leave the system's own store alone takes root");
        return;
    }
    let world = World::new();
    let door = running(&world, &workspace(&world), 1);
    assign(&world, "dev-001", ONE);
    let url = |organization: &str| format!("https://{}:{}/", host(organization), door.https);

    // The same page as below, but for the one command.
    let refused = world.look(&url(ONE));
    refused.says("ERR_CERT_AUTHORITY_INVALID");
    assert!(!refused.stdout.contains("1.0.0"), "{refused:?}");
    assert_eq!(trust(&world, &["--check"]), 1);

    assert_eq!(trust(&world, &[]), 0);
    assert_eq!(trust(&world, &["--check"]), 0);
    let page = look(&world, &url(ONE), "page.png");
    assert!(page.contains("\"version\":\"1.0.0\""), "{page}");

    let nobody = look(&world, &url(TWO), "404.png");
    assert!(nobody.contains("404 Not Found"), "{nobody}");
    let command = format!("lockgate org assign dev-001 {TWO}");
    assert!(nobody.contains(&command), "{nobody}");
    world.lockgate(&["stop", "dev-001", "0"]).expect(0);
    until_answered(&door, &host(ONE), "is stopped", |it| it.status == 503);
    let stopped = look(&world, &url(ONE), "503.png");
    assert!(stopped.contains("503 Service Unavailable"), "{stopped}");
    assert!(stopped.contains("lockgate start dev-001 0"), "{stopped}");
}
