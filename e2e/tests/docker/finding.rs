//! Containers and server find each other, also where one of them has moved.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use lockgate_e2e::{Engine, Ran, Workspace, World, get, until};
use serde_json::{Value, json};

use crate::{LONG, is_ready, problem, settings, small, until_gateway};

/// What must not change where no container is made anew or started again.
fn lives(engine: &Engine) -> Vec<(Value, Value)> {
    let names = engine.containers();
    let gateways = names.iter().filter(|name| name.starts_with("gw-pool-"));
    let life = |name: &String| {
        let shown = engine.inspect(name);
        (shown["Id"].clone(), shown["State"]["StartedAt"].clone())
    };
    gateways.map(life).collect()
}

#[test]
fn a_server_on_another_port_is_found_again_by_the_same_containers() {
    let mut world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let until_found = |world: &World| {
        let server = format!("http://172.17.0.1:{}", world.port);
        for (number, port) in world.ports("dev-001").into_iter().enumerate() {
            until_gateway(
                world,
                "server and door are found",
                "dev-001",
                number,
                |gateway| {
                    let door = json!(format!("127.0.0.1:{port}"));
                    (gateway["server"] == server.as_str() && gateway["address"] == door)
                        .then_some(())
                },
            );
        }
    };
    until_found(&world);
    let before = lives(world.engine());

    world.stop();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    world.port = free.local_addr().unwrap().port();
    drop(free);
    world.serve();
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
    until_found(&world);
    assert_eq!(lives(world.engine()), before);
    let wide = world.lockgate(&["status", "dev-001", "--wide"]);
    wide.expect(0)
        .says("ADDRESS")
        .says(&format!("http://172.17.0.1:{}", world.port));

    // One that ended meanwhile is told before it starts.
    let name = "gw-pool-dev-001-1";
    world.engine().docker(&["stop", name]);
    until_gateway(&world, "it serves again", "dev-001", 1, is_ready);
    until_found(&world);
}

#[test]
fn a_gateway_answers_for_itself_and_is_found_again_after_a_restart() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let name = "gw-pool-dev-001-2";
    let port = world.ports("dev-001")[2];
    let build = world.gateways("dev-001")[2]["running_build"].clone();
    let card = get(port, "/.well-known/lockgate").unwrap();
    assert_eq!(card.json(), json!({"gateway": name, "build": build}));

    let until_address = |expected: Value| {
        until_gateway(&world, "its address is shown", "dev-001", 2, |gateway| {
            (gateway["address"] == expected).then_some(())
        });
    };
    until_address(json!(format!("127.0.0.1:{port}")));
    world.lockgate(&["stop", "dev-001", "2"]).expect(0);
    until_address(Value::Null);
    world.lockgate(&["start", "dev-001", "2"]).expect(0);
    until_address(json!(format!("127.0.0.1:{port}")));
    let urls = world
        .lockgate(&["urls", "dev-001", "--format", "json"])
        .json();
    let url = format!("http://127.0.0.1:{port}/");
    let gateway = &urls["gateways"][2];
    let answers = &gateway["answers"]["status"];
    assert_eq!(
        (&gateway["name"], &gateway["url"]),
        (&json!(name), &json!(url))
    );
    assert_eq!(*answers, 200, "{gateway}");
}

#[test]
fn a_given_address_goes_first_and_who_else_answers_there_is_passed_by() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let port = world.ports("dev-001")[0];
    let serve_with = |host_ip: &str| {
        world.stop();
        let mut serve = world.program("lockgate");
        serve.args(["serve", "--detach"]);
        serve.env("DOCKER_HOST_IP", host_ip);
        assert!(serve.status().unwrap().success());
    };
    let until_address = |ip: &str| {
        let expected = json!(format!("{ip}:{port}"));
        until_gateway(&world, "its address is shown", "dev-001", 0, |gateway| {
            (gateway["address"] == expected).then_some(())
        });
    };
    serve_with("172.17.0.1");
    until_address("172.17.0.1");

    // Another gateway's door, as far as it says.
    let other = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut head = [0; 1024];
        let read = stream.read(&mut head).unwrap();
        let card = r#"{"gateway": "gw-pool-other-0", "build": null}"#;
        let length = card.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{card}"
        )
        .unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    serve_with("127.0.0.2");
    until_address("127.0.0.1");
    let head = asked.join().unwrap();
    assert!(
        head.starts_with("GET /.well-known/lockgate HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        !head.to_ascii_lowercase().contains("authorization"),
        "{head}"
    );
}

/// A server that runs in a container of the engine, and its command in there.
struct Inside<'a> {
    world: &'a World,
    program: String,
}

impl<'a> Inside<'a> {
    const NAME: &'static str = "lockgate";

    /// Starts it, with the engine's socket and the world's folder at its own path.
    fn serve(world: &'a World, network: &str) -> Self {
        let program = world.program("lockgate");
        let program = Path::new(program.get_program()).canonicalize().unwrap();
        let folder = program.parent().unwrap().display();
        let engine = world.engine();
        let socket = engine.host().strip_prefix("unix://").unwrap();
        let dir = world.dir().display();
        engine.docker(&[
            "run",
            "--detach",
            "--name",
            Self::NAME,
            "--network",
            network,
            "--volume",
            &format!("{socket}:/var/run/docker.sock"),
            "--volume",
            &format!("{folder}:/opt/lockgate:ro"),
            "--volume",
            &format!("{dir}:{dir}"),
            "--env",
            &format!("HOME={dir}"),
            "--env",
            &format!("XDG_RUNTIME_DIR={dir}"),
            "--env",
            &format!("LOCKGATE_HOME={}", world.home().display()),
            &engine.base,
            "/opt/lockgate/lockgate",
            "serve",
        ]);
        let inside = Self {
            world,
            program: "/opt/lockgate/lockgate".to_owned(),
        };
        until("the server serves", LONG, || {
            (inside.lockgate(&["serve", "status"]).code == 0).then_some(())
        });
        inside
    }

    /// Runs `lockgate` in the container.
    fn lockgate(&self, args: &[&str]) -> Ran {
        let exec = ["exec", Self::NAME, &self.program];
        self.world.engine().run(&[&exec[..], args].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let ran = self.lockgate(&[args, &["--format", "json"]].concat());
        ran.expect(0).json()
    }

    /// The gateways as `status` shows them.
    fn gateways(&self) -> Vec<Value> {
        let status = self.json(&["status", "dev-001"]);
        status["environments"][0]["gateways"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    fn create(&self, workspace: &Workspace) {
        let path = workspace.path.display().to_string();
        let create = ["create", "dev-001", "dev.localhost", &path];
        self.lockgate(&[&create[..], &["--runtime", "docker"]].concat())
            .expect(0);
    }

    fn deploy(&self) {
        let deploy = self.lockgate(&["deploy", "dev-001", "--wait", "ready"]);
        deploy.expect(0);
    }

    /// Its address in a network.
    fn address(&self, network: &str) -> String {
        let shown = self.world.engine().inspect(Self::NAME);
        let address = &shown["NetworkSettings"]["Networks"][network]["IPAddress"];
        address.as_str().unwrap().to_owned()
    }
}

/// Where a gateway's container is in a network.
fn door(world: &World, gateway: &Value, network: &str) -> String {
    let shown = world.engine().inspect(gateway["name"].as_str().unwrap());
    let address = &shown["NetworkSettings"]["Networks"][network]["IPAddress"];
    format!("{}:{}", address.as_str().unwrap(), gateway["http_port"])
}

/// Each gateway's version, asked from the server's container at the URLs that `urls` prints there.
fn versions(inside: &Inside<'_>) -> Vec<Value> {
    let urls = inside.json(&["urls", "dev-001"]);
    let ask = |gateway: &Value| {
        let url = gateway["url"].as_str().unwrap();
        let curl = ["exec", Inside::NAME, "curl", "-fsS", url];
        inside.world.engine().run(&curl).expect(0).json()["version"].clone()
    };
    urls["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .map(ask)
        .collect()
}

/// Waits until gateways and server have found each other in a network; the server's address there.
fn until_they_find_each_other(inside: &Inside<'_>, network: &str) -> String {
    let own = format!("{}:8090", inside.address(network));
    until("all find each other", LONG, || {
        let gateways = inside.gateways();
        let finds = |gateway: &Value| {
            gateway["server"] == format!("http://{own}")
                && gateway["address"] == door(inside.world, gateway, network)
        };
        (gateways.len() == 3 && gateways.iter().all(finds)).then_some(())
    });
    own
}

#[test]
fn a_server_in_a_container_finds_its_gateways_and_is_found_by_them() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let inside = Inside::serve(&world, "bridge");
    inside.create(&workspace);
    inside.deploy();
    let own = until_they_find_each_other(&inside, "bridge");
    assert_eq!(versions(&inside), ["1.0.0", "1.0.0", "1.0.0"]);

    let before = lives(world.engine());
    workspace.set_version("2.0.0");
    inside.deploy();
    assert_eq!(versions(&inside), ["2.0.0", "2.0.0", "2.0.0"]);
    assert_eq!(lives(world.engine()), before);
    // The engine's host reaches them at the ports they always have.
    for gateway in inside.gateways() {
        let port = gateway["http_port"].as_u64().unwrap().try_into().unwrap();
        assert_eq!(get(port, "/").unwrap().json()["version"], "2.0.0");
    }
    // Nothing but loopback and its own address is listened on.
    let server = inside.json(&["serve", "status"]);
    assert_eq!(
        server["server"]["listeners"],
        json!(["127.0.0.1:8090", own])
    );
}

#[test]
fn a_server_in_a_container_with_its_hosts_network_is_as_on_the_host() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let inside = Inside::serve(&world, "host");
    inside.create(&workspace);
    inside.deploy();
    until("all find each other", LONG, || {
        let gateways = inside.gateways();
        let finds = |gateway: &Value| {
            gateway["server"] == "http://172.17.0.1:8090"
                && gateway["address"] == format!("127.0.0.1:{}", gateway["http_port"])
        };
        (gateways.len() == 3 && gateways.iter().all(finds)).then_some(())
    });
    assert_eq!(versions(&inside), ["1.0.0", "1.0.0", "1.0.0"]);
    let server = inside.json(&["serve", "status"]);
    let listeners = json!(["127.0.0.1:8090", "172.17.0.1:8090"]);
    assert_eq!(server["server"]["listeners"], listeners);
}

#[test]
fn a_server_in_a_container_of_another_network_says_how_to_connect_it() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let network = |args: &[&str]| world.engine().docker(&[&["network"], args].concat());
    network(&["create", "apart"]);
    network(&["create", "--subnet", "172.30.0.0/16", "pool"]);
    settings(&workspace, "[docker]\nnetwork = 'pool'\n");
    let inside = Inside::serve(&world, "apart");
    inside.create(&workspace);
    let told = until("it is told", LONG, || {
        let gateway = inside.gateways().into_iter().next()?;
        let told = problem(&gateway);
        told.contains("is not in the network `pool`")
            .then(|| told.to_owned())
    });
    assert!(
        told.contains("`docker network connect pool lockgate` connects it"),
        "{told}"
    );
    assert_eq!(world.engine().containers(), ["lockgate"]);

    network(&["connect", "pool", "lockgate"]);
    inside.deploy();
    until_they_find_each_other(&inside, "pool");
    assert_eq!(versions(&inside), ["1.0.0", "1.0.0", "1.0.0"]);

    // Another address under its feet: agents wait at one from which nothing comes any more.
    let before = lives(world.engine());
    network(&["disconnect", "pool", "lockgate"]);
    network(&["connect", "--ip", "172.30.77.77", "pool", "lockgate"]);
    let own = until_they_find_each_other(&inside, "pool");
    assert_eq!(own, "172.30.77.77:8090");
    // The front door is there, too, and its names lead there.
    let names = "172.30.77.77\tdev.localhost ganymede.dev.localhost\n";
    until("its names follow", LONG, || {
        let cat = ["exec", "gw-pool-dev-001-0", "cat", "/etc/hosts"];
        world
            .engine()
            .run(&cat)
            .stdout
            .contains(names)
            .then_some(())
    });
    workspace.set_version("2.0.0");
    inside.deploy();
    assert_eq!(versions(&inside), ["2.0.0", "2.0.0", "2.0.0"]);
    assert_eq!(lives(world.engine()), before);
}

#[test]
fn an_engine_whose_networks_begin_elsewhere_is_told_of() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    // A network of its own, without an address of the engine's.
    let lockgate = world.program("lockgate");
    let apart = "ip link set lo up && exec \"$0\" serve --detach";
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--net", "sh", "-c", apart]);
    unshare.arg(lockgate.get_program()).env_clear();
    unshare.envs(
        lockgate
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    assert!(unshare.status().unwrap().success());
    world.create("dev-001", &workspace);
    let told = until_gateway(&world, "it is told", "dev-001", 0, |gateway| {
        let told = problem(gateway);
        told.contains("is no address of this machine")
            .then(|| told.to_owned())
    });
    let far = format!("host.docker.internal:{}", world.port);
    assert!(told.contains(&far) && told.contains("--listen"), "{told}");
    let servers = until("the container is there", LONG, || {
        let cat = ["exec", "gw-pool-dev-001-0", "cat", "/etc/lockgate/servers"];
        let ran = world.engine().run(&cat);
        (ran.code == 0).then_some(ran.stdout)
    });
    assert_eq!(servers, format!("http://{far}\n"));
}

#[test]
fn an_image_with_a_user_of_its_own_gets_files_that_this_user_reads() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    let (base, image) = ("lockgate-test/named-base", "lockgate-test/named");
    world.engine().image(
        base,
        "RUN useradd --uid 1234 app && mkdir -p /opt/lockgate /run/lockgate \\\n    \
         && chown -R app /opt /run/lockgate /var/lib/nginx /var/log/nginx\n\
         USER app",
    );
    let built = world.lockgate(&["image", "build", "--base", base, "--tag", image]);
    built.expect(0);
    settings(&workspace, &format!("[docker]\nimage = '{image}'\n"));
    world.running("dev-001", &workspace);
    world.expect_version("dev-001", "1.0.0");
    let files = [
        ("token", "600 1234"),
        ("servers", "644 0"),
        ("ca.pem", "644 0"),
    ];
    for (file, expected) in files {
        let path = format!("/etc/lockgate/{file}");
        let stat = ["exec", "gw-pool-dev-001-0", "stat", "-c", "%a %u", &path];
        assert_eq!(world.engine().docker(&stat), expected, "{file}");
    }
    // It does not write the hosts file, which is root's; that is told and nothing else.
    let told = problem(&world.gateways("dev-001")[0]).to_owned();
    let why = "`/etc/hosts` cannot be written, so names of `dev-001.localhost` do not lead";
    assert!(told.starts_with(why), "{told}");
}
