//! What containers are: made as the shell system made them, found again, left alone.

use lockgate_e2e::{World, get, image};
use serde_json::json;

use crate::{is_ready, problem, settings, small, until_gateway, until_version};

#[test]
fn three_gateways_come_up_from_nothing_and_an_edit_reaches_them_all() {
    let world = World::with_engine();
    let workspace = world.workspace("monorepo");
    settings(&workspace, "");
    world.running("dev-001", &workspace);
    world.expect_version("dev-001", "1.0.0");
    assert_eq!(
        world.engine().containers(),
        [
            "gw-pool-dev-001-0",
            "gw-pool-dev-001-1",
            "gw-pool-dev-001-2"
        ]
    );

    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");

    let server = world
        .lockgate(&["serve", "status", "--format", "json"])
        .json();
    let bridge = format!("172.17.0.1:{}", world.port);
    assert_eq!(
        server["server"]["listeners"],
        json!([format!("127.0.0.1:{}", world.port), bridge])
    );
    for gateway in world.gateways("dev-001") {
        assert_eq!(gateway["container"]["image"], image());
        assert_eq!(gateway["container"]["running"], true);
        assert!(
            gateway["memory_bytes"].as_u64() > Some(1 << 20),
            "{gateway}"
        );
    }
}

#[test]
fn a_container_has_what_the_shell_system_gave_it_and_no_credential_of_ours() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let (name, port) = ("gw-pool-dev-001-1", world.ports("dev-001")[1]);
    let shown = world.engine().inspect(name);
    assert_eq!(shown["Config"]["Hostname"], name);
    let labels = &shown["Config"]["Labels"];
    let id = std::fs::read_to_string(world.home().join("id")).unwrap();
    assert_eq!(labels["environment"], "dev-001");
    assert_eq!(labels["io.lockgate.home"], id.as_str());
    assert_eq!(labels["io.lockgate.gateway"], name);
    let host = &shown["HostConfig"];
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(host["NetworkMode"], "bridge");
    let bindings = host["PortBindings"][format!("{port}/tcp")]
        .as_array()
        .unwrap();
    let addresses: Vec<_> = bindings.iter().map(|one| &one["HostIp"]).collect();
    assert_eq!(addresses, ["127.0.0.1", "172.17.0.1"]);

    let token = world.home().join("envs/dev-001/gateways/1/token");
    let token = std::fs::read_to_string(token).unwrap();
    assert!(!shown.to_string().contains(token.trim()));
    let found =
        world
            .engine()
            .docker(&["exec", name, "stat", "-c", "%a %U", "/etc/lockgate/token"]);
    assert_eq!(found, "600 root");
    let tun = world
        .engine()
        .docker(&["exec", name, "test", "-c", "/dev/net/tun"]);
    assert_eq!(tun, "");
    // Another container reaches the gateway through the bridge's address, as a front door does.
    let url = format!("http://172.17.0.1:{port}/health");
    world
        .engine()
        .docker(&["exec", "gw-pool-dev-001-0", "curl", "-fsS", &url]);
}

#[test]
fn a_server_that_ends_leaves_them_serving_and_the_next_one_finds_them() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let ids = |world: &World| -> Vec<_> {
        let names = world.engine().containers();
        let id = |name: &String| {
            let shown = world.engine().inspect(name);
            (shown["Id"].clone(), shown["State"]["StartedAt"].clone())
        };
        names.iter().map(id).collect()
    };
    let before = ids(&world);
    let ports = world.ports("dev-001");
    world.stop();
    for port in ports {
        assert_eq!(get(port, "/health").unwrap().status, 200);
    }
    world.serve();
    for number in 0..3 {
        until_gateway(&world, "it is ready again", "dev-001", number, is_ready);
    }
    assert_eq!(ids(&world), before);
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_gateway_created_while_no_server_runs_starts_as_soon_as_one_does() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.create("dev-001", &workspace);
    assert_eq!(world.engine().containers(), Vec::<String>::new());
    world.serve();
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn a_foreign_container_of_the_same_name_is_named_and_not_touched() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let name = "gw-pool-dev-001-1";
    world.engine().docker(&[
        "run",
        "--detach",
        "--name",
        name,
        "--entrypoint",
        "sleep",
        &image(),
        "1000",
    ]);
    let before = world.engine().inspect(name);
    world.serve();
    world.create("dev-001", &workspace);
    let told = until_gateway(&world, "it is named", "dev-001", 1, |gateway| {
        let problem = problem(gateway);
        problem
            .contains("was not made by Lockgate")
            .then(|| problem.to_owned())
    });
    assert!(told.contains("docker rename gw-pool-dev-001-1"), "{told}");
    // It waits for all three, and says which of them is not there.
    world
        .lockgate(&["deploy", "dev-001", "--wait", "ready", "--timeout", "5s"])
        .expect(1)
        .says("was not made by Lockgate");
    for number in [0, 2] {
        until_gateway(&world, "the others serve", "dev-001", number, is_ready);
    }
    world.lockgate(&["stop", "dev-001"]).expect(0);
    world.lockgate(&["start", "dev-001"]).expect(0);
    let after = world.engine().inspect(name);
    for field in ["Id", "State", "Config"] {
        assert_eq!(before[field], after[field], "{field}");
    }

    // Out of the way, it is the gateway's name again.
    world.engine().docker(&["rename", name, "aside"]);
    until_version(&world, "dev-001", "1.0.0");
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);
    assert_eq!(world.engine().containers(), ["aside"]);
}

#[test]
fn two_environments_stand_side_by_side_and_a_deleted_one_leaves_nothing() {
    let world = World::with_engine();
    let (one, two) = (small(&world, "one"), small(&world, "two"));
    two.set_version("2.0.0");
    world.running("dev-001", &one);
    world.create("dev-002", &two);
    world.deploy("dev-002").expect(0);
    world.expect_version("dev-001", "1.0.0");
    world.expect_version("dev-002", "2.0.0");
    assert_eq!(world.engine().containers().len(), 6);

    let ports = world.ports("dev-001");
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);
    assert_eq!(
        world.engine().containers(),
        [
            "gw-pool-dev-002-0",
            "gw-pool-dev-002-1",
            "gw-pool-dev-002-2"
        ]
    );
    for port in ports {
        std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    }
    assert!(!world.home().join("envs/dev-001").exists());
    world.expect_version("dev-002", "2.0.0");

    // Also where no server runs.
    world.stop();
    world.lockgate(&["delete", "dev-002", "--yes"]).expect(0);
    assert_eq!(world.engine().containers(), Vec::<String>::new());
}

#[test]
fn what_an_engine_cannot_have_is_refused_before_it_is_made() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let path = workspace.path.display().to_string();
    let create = [
        "create",
        "dev-001",
        "dev.localhost",
        &path,
        "--runtime",
        "docker",
    ];

    settings(&workspace, "[docker]\nimage = 'no/such:1'\n");
    world
        .lockgate(&create)
        .expect(1)
        .says("has no image `no/such:1`")
        .says("lockgate image build --tag no/such:1");
    settings(&workspace, "[docker]\nnetwork = 'nowhere'\n");
    world
        .lockgate(&create)
        .expect(1)
        .says("the network `nowhere`");
    let away = world
        .program("lockgate")
        .args(create)
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert_eq!(away.status.code(), Some(1));
    assert!(
        said.contains("no engine answers at `unix:///nowhere/docker.sock`"),
        "{said}"
    );
    assert!(said.contains("--runtime local"), "{said}");
    let list = world.lockgate(&["list", "--format", "json"]).json();
    assert!(!list.to_string().contains("dev-001"), "{list}");
}

#[test]
fn an_image_that_is_built_again_under_its_name_comes_with_the_next_deploy() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let name = "lockgate-test/again:1";
    let build = |round: u32| {
        let lines = format!("FROM {}\nLABEL round={round}", image());
        world.engine().image(name, &lines);
    };
    build(1);
    settings(&workspace, &format!("[docker]\nimage = '{name}'\n"));
    world.running("dev-001", &workspace);
    let round = |number: usize| {
        let shown = world.engine().inspect(&format!("gw-pool-dev-001-{number}"));
        let label = shown["Config"]["Labels"]["round"].as_str();
        (shown["Id"].clone(), label.map(str::to_owned))
    };
    let first: Vec<_> = (0..3).map(round).collect();
    assert!(first.iter().all(|(_, label)| label.as_deref() == Some("1")));

    // Nothing changes by itself, and an unchanged deploy changes nothing.
    world.deploy("dev-001").expect(0);
    assert_eq!((0..3).map(round).collect::<Vec<_>>(), first);

    build(2);
    world.deploy("dev-001").expect(0).says(
        "the containers of dev-001 are made anew: `lockgate-test/again:1` is another image now",
    );
    for number in 0..3 {
        until_gateway(&world, "it serves again", "dev-001", number, is_ready);
    }
    let second: Vec<_> = (0..3).map(round).collect();
    assert!(
        second
            .iter()
            .all(|(_, label)| label.as_deref() == Some("2"))
    );
    world.deploy("dev-001").expect(0);
    assert_eq!((0..3).map(round).collect::<Vec<_>>(), second);
    world.expect_version("dev-001", "1.0.0");
}
