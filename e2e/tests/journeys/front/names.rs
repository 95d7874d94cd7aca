//! A name server for the domains of environments, and programs that ask it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::Duration;

use lockgate_e2e::{FrontDoor, Ran, World, may_mount, ran, until};
use serde_json::json;

use super::{ONE, assign, create, workspace};

const HOST: &str = "org-0d1b3c5e-0000-4000-8000-000000000001.dev-001.test";
const CONTAINER: &str = "uc-0d1b3c5e-0000-4000-8000-000000000002--web.org-0d1b3c5e-0000-4000-8000-000000000001.dev-001.test";

/// Starts the name server where the C library asks, and waits until it answers.
fn answering(world: &World) -> Child {
    let child = world.start("dns", &["dns", "serve", "--listen", "127.0.0.1:53"]);
    until("the name server answers", Duration::from_secs(10), || {
        world.written("dns").contains("answering on").then_some(())
    });
    child
}

fn interrupt(world: &World, mut child: Child) {
    world.signal(child.id().into(), lockgate_e2e::Signal::SIGINT);
    assert!(child.wait().unwrap().success());
}

fn end(command: &mut Command) -> Ran {
    ran(&command.output().unwrap())
}

/// What `dig` says of a name: the code, and the answers.
fn dig(args: &[&str]) -> (String, Vec<String>) {
    let mut command = Command::new("dig");
    if !args.iter().any(|arg| arg.starts_with('@')) {
        command.arg("@127.0.0.1");
    }
    command.args(["+time=2", "+tries=1", "+noall", "+comments", "+answer"]);
    let ran = end(command.args(args));
    let said = ran.stdout.split("status: ").nth(1).unwrap_or_default();
    let code = said.split(',').next().unwrap_or_default().to_owned();
    let lines = ran.stdout.lines();
    let answers = lines.filter(|line| !line.is_empty() && !line.starts_with(';'));
    let data = answers.filter_map(|line| line.split_whitespace().last());
    (code, data.map(str::to_owned).collect())
}

fn code(args: &[&str]) -> String {
    dig(args).0
}

#[test]
fn names_of_an_environment_resolve_and_lead_to_its_organization() {
    if !may_mount() {
        eprintln!("left out: port 53 and other files for a program take root");
        return;
    }
    let world = World::new();
    let workspace = workspace(&world);
    world.serve();
    create(&world, "dev-001", "dev-001.test", &workspace, 1);
    world.deploy("dev-001").expect(0);
    assign(&world, "dev-001", ONE);
    let door = FrontDoor::of(&world);
    let url = format!("https://{HOST}:{}/", door.https);
    let curl = || {
        let mut curl = world.resolving("curl");
        curl.args(["-q", "--silent", "--show-error", "--max-time", "20"]);
        end(curl.arg("--cacert").arg(&door.trusted).arg(&url))
    };
    // Before there is a name server, nobody knows the name.
    assert_ne!(curl().code, 0);
    let urls = || {
        let lockgate = world.program("lockgate");
        let lockgate = lockgate.get_program().to_str().unwrap().to_owned();
        let mut urls = world.resolving(&lockgate);
        end(urls.args(["urls", "dev-001", "--format", "json"]))
            .expect(0)
            .json()
    };
    let organization = urls()["organizations"][0].clone();
    assert_eq!(organization["answers"]["status"], 200, "{organization}");
    let helps = organization["troubles"][0]["help"].as_str();
    assert_eq!(helps, Some("lockgate dns lines"), "{organization}");

    let server = answering(&world);
    let both = world.lockgate(&["dns", "serve", "--listen", "127.0.0.1:53"]);
    both.expect(1)
        .says("is taken by process")
        .says("--listen 127.0.0.1:5354");
    for name in ["dev-001.test", "ganymede.dev-001.test", HOST, CONTAINER] {
        let getent = end(world.resolving("getent").args(["ahosts", name]));
        assert!(getent.stdout.contains("127.0.0.1"), "{name}: {getent:?}");
    }
    let node = "require('dns').lookup(process.argv[1], (e, a) => console.log(e ? e.code : a))";
    let node = end(world.resolving("node").args(["-e", node, HOST]));
    assert!(
        ["127.0.0.1", "::1"].contains(&node.stdout.trim()),
        "{node:?}"
    );
    let answer = curl();
    assert_eq!(answer.expect(0).json()["version"], "1.0.0", "{answer:?}");
    let organization = urls()["organizations"][0].clone();
    let addresses = organization["resolves"]["addresses"].as_array().unwrap();
    assert!(addresses.contains(&json!("127.0.0.1")), "{organization}");
    let certificate = &organization["certificate"];
    let names = certificate["names"].as_array().unwrap();
    assert!(names.contains(&json!("*.dev-001.test")), "{organization}");
    assert_eq!(
        organization["containers"]["resolves"]["problem"],
        json!(null)
    );
    interrupt(&world, server);

    let browser = world.dir().join("browser");
    std::fs::write(&browser, "#!/bin/sh\necho \"$1\" > opened\n").unwrap();
    std::fs::set_permissions(&browser, PermissionsExt::from_mode(0o755)).unwrap();
    let mut open = world.program("lockgate");
    let open = open.args(["urls", "dev-001", "--open", ONE]);
    let opened = end(open.env("BROWSER", &browser));
    assert_eq!(opened.expect(0).stdout, format!("{url}\n"));
    let opened = std::fs::read_to_string(world.dir().join("opened")).unwrap();
    assert_eq!(opened, format!("{url}\n"));
}

#[test]
fn a_name_server_follows_environments_and_answers_for_nobody_else() {
    if !may_mount() {
        eprintln!("left out: port 53 takes root");
        return;
    }
    let world = World::new();
    let workspace = workspace(&world);
    let none = world.lockgate(&["dns", "lines"]);
    none.expect(1).says("there is no environment yet");
    let server = answering(&world);
    assert!(world.written("dns").contains("there is no environment yet"));
    let address = |name: &str| dig(&[name]).1;
    assert_eq!(code(&["dev-001.test"]), "REFUSED");
    create(&world, "dev-001", "dev-001.test", &workspace, 1);
    until(
        "the domain is answered for",
        Duration::from_secs(10),
        || (address(HOST) == ["127.0.0.1"]).then_some(()),
    );
    assert_eq!(dig(&["+tcp", CONTAINER]).1, ["127.0.0.1"]);
    let (code_of_text, texts) = dig(&[HOST, "TXT"]);
    assert_eq!((code_of_text.as_str(), texts.len()), ("NOERROR", 0));
    assert_eq!(dig(&["dev-001.test", "NS"]).1, ["ns.dev-001.test."]);
    assert_eq!(code(&["example.org"]), "REFUSED");

    let create_local = ["create", "dev-002", "domain.local", "--gateways", "1"];
    let path = workspace.path.display().to_string();
    let create_local = [&create_local[..3], &[&path], &create_local[3..]].concat();
    let warned = "`domain.local` lies below `.local`";
    world.lockgate(&create_local).expect(0).says(warned);
    until(
        "the second domain is there",
        Duration::from_secs(10),
        || (address("a.domain.local") == ["127.0.0.1"]).then_some(()),
    );
    world.lockgate(&["dns", "lines"]).expect(0).says(warned);
    let lines = world.lockgate(&["dns", "lines", "--for", "dnsmasq"]);
    lines.expect(0).says("address=/dev-001.test/127.0.0.1\n");
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);
    until("the first domain is gone", Duration::from_secs(10), || {
        (code(&[HOST]) == "REFUSED").then_some(())
    });
    assert_eq!(address("a.domain.local"), ["127.0.0.1"]);

    // What it does not own is asked of another, where one is named.
    let other = [
        "dns",
        "serve",
        "--listen",
        "127.0.0.2:53",
        "--address",
        "10.1.1.1",
    ];
    let forward = [&other[..], &["--forward", "127.0.0.1"]].concat();
    let forwarding = world.start("forwarding", &forward);
    until("the other one answers", Duration::from_secs(10), || {
        let answering = world.written("forwarding").contains("answering on");
        answering.then_some(())
    });
    assert_eq!(dig(&["@127.0.0.2", "a.domain.local"]).1, ["10.1.1.1"]);
    assert_eq!(code(&["@127.0.0.2", "example.org"]), "REFUSED");
    interrupt(&world, forwarding);
    interrupt(&world, server);
    let unprivileged = world.lockgate(&["dns", "serve", "--listen", "10.255.0.1:53"]);
    unprivileged
        .expect(1)
        .says("`10.255.0.1:53` cannot be bound");
}
