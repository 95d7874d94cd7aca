//! Several environments and checkouts on one host.

use lockgate_e2e::World;

#[test]
fn two_environments_run_different_versions() {
    let world = World::new();
    let main = world.workspace("monorepo");
    let feature = world.workspace("monorepo-feature");
    feature.set_version("2.0.0-feature");
    world.running("dev-001", &main);
    world.create("dev-002", &feature);
    world.deploy("dev-002").expect(0);
    world.expect_version("dev-001", "1.0.0");
    world.expect_version("dev-002", "2.0.0-feature");
    let mut ports = world.ports("dev-001");
    ports.extend(world.ports("dev-002"));
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 6);
    let list = world.lockgate(&["list"]);
    assert!(
        list.stdout.contains("dev-001") && list.stdout.contains("dev-002"),
        "{}",
        list.stdout
    );
}

#[test]
fn a_deploy_from_another_checkout_is_refused_with_both_paths() {
    let world = World::new();
    let main = world.workspace("monorepo");
    let other = world.workspace("elsewhere");
    world.running("dev-001", &main);
    other.set_version("6.6.6");
    let output = world
        .program("lockgate")
        .args(["deploy", "dev-001"])
        .current_dir(&other.path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for path in [&main.path, &other.path] {
        assert!(said.contains(&path.display().to_string()), "{said}");
    }
    world.expect_version("dev-001", "1.0.0");
    // Said aloud, it is done.
    let path = other.path.display().to_string();
    world
        .lockgate(&["deploy", "dev-001", "--workspace", &path, "--wait", "ready"])
        .expect(0);
    world.expect_version("dev-001", "6.6.6");
}

#[test]
fn deleted_and_created_again_works_at_once() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let ports = world.ports("dev-001");
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);
    assert!(!world.home().join("envs/dev-001").exists());
    assert!(!world.home().join("builds/gateway-dev-001.tar.gz").exists());
    workspace.set_version("2.0.0");
    world.create("dev-001", &workspace);
    world.deploy("dev-001").expect(0);
    assert_eq!(world.ports("dev-001"), ports, "the ports are free again");
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_port_taken_by_someone_else_is_named_with_its_owner_and_the_way_out() {
    let world = World::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    let own_pid = std::process::id().to_string();
    let port = world.port.to_string();
    world
        .lockgate(&["serve", "--detach"])
        .expect(1)
        .says(&own_pid)
        .says(&port)
        .says("--port");
}
