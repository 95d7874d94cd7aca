//! The VPN of user containers: real clients in containers of their own.

use lockgate_e2e::{Container, FrontDoor, Ran, Workspace, World, image, until};
use serde_json::Value;

use crate::{LONG, settings};

const ONE: &str = "0d1b3c5e-8f1a-4c52-9a52-2f7e0a9a1c11";
const TWO: &str = "2f7e0a9a-8f1a-4c52-9a52-0d1b3c5e1c11";
const CONTAINER: &str = "4f1c0a9a-8f1a-4c52-9a52-0d1b3c5e1c11";
const GATEWAY: &str = "gw-pool-dev-001-0";

/// Reads at its load what the VPN has left, as the seed's application does: without it, it does not
/// start. Says what it has read.
const READS: &str = r#"
const GATEWAY_VERSION = "1.0.0";
const read = () => JSON.parse(require("fs").readFileSync("/tmp/vpn-config.json", "utf8"));
const vpn = process.env.ORGANIZATION_ID ? read() : null;
const answer = () => JSON.stringify({ version: GATEWAY_VERSION, pid: process.pid, vpn });
const server = require("http").createServer((request, response) => response.end(answer()));
server.listen(8888, () => console.log("gateway listens on 8888"));
process.on("SIGTERM", () => process.exit(0));
"#;

/// What answers in a user container.
const SERVICE: &str =
    "require('http').createServer((q, a) => a.end('user container')).listen(8080)";

fn workspace(world: &World) -> Workspace {
    let workspace = world.workspace("monorepo");
    workspace.edit(|_| READS.to_owned());
    settings(&workspace, "");
    workspace
}

/// An environment of so many gateways that runs.
fn running(world: &World, env: &str, workspace: &Workspace, gateways: &str) {
    let (domain, path) = (format!("{env}.localhost"), workspace.path.display());
    let create = ["create", env, &domain, &path.to_string(), "--gateways"];
    let docker = [gateways, "--runtime", "docker"];
    world.lockgate(&[&create[..], &docker].concat()).expect(0);
    world.deploy(env).expect(0);
}

fn assign(world: &World, env: &str, organization: &str) {
    let assign = ["org", "assign", env, organization, "--wait", "ready"];
    world.lockgate(&assign).expect(0);
}

/// `lockgate-agent vpn status` in a gateway.
fn status(world: &World, gateway: &str) -> Value {
    let words = ["lockgate-agent", "vpn", "status", "--format", "json"];
    world
        .engine()
        .run(&[&["exec", gateway][..], &words].concat())
        .json()
}

/// Waits until a gateway's VPN is ready, as another process than this.
fn until_ready(world: &World, gateway: &str, before: Option<u64>) -> Value {
    until(&format!("the VPN of {gateway} is ready"), LONG, || {
        let status = status(world, gateway);
        let another = status["pid"].as_u64() != before;
        (status["state"] == "ready" && another).then_some(status)
    })
}

fn address_of(world: &World, container: &str) -> String {
    let known = world.engine().inspect(container);
    known["NetworkSettings"]["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The VPN's two sockets are known as its own, although it runs as another user than the agent.
fn listens(world: &World, pid: &Value) {
    let status = ["status", "dev-001", "--wide", "--format", "json"];
    let status = world.lockgate(&status).expect(0).json();
    let all = status["environments"][0]["gateways"][0]["listeners"].clone();
    let of_vpn = |one: &&Value| {
        one["what"]
            .as_str()
            .is_some_and(|what| what.starts_with("vpn"))
    };
    let known: Vec<&Value> = all.as_array().unwrap().iter().filter(of_vpn).collect();
    assert_eq!(known.len(), 2, "{all}");
    for one in known {
        assert_eq!(
            (&one["state"], &one["processes"][0]["pid"]),
            (&"held".into(), pid),
            "{one}"
        );
    }
}

/// A client's profile, as the gateway gives it.
fn profile(world: &World, gateway: &str, host: &str) -> String {
    let words = ["exec", gateway, "lockgate-agent", "vpn", "client"];
    let words = [&words[..], &["--host", host]].concat();
    world.engine().run(&words).expect(0).stdout.clone()
}

/// A user container that connects by this profile; removed when it is dropped.
fn client<'a>(world: &'a World, name: &str, profile: &str) -> Container<'a> {
    let file = world.dir().join(format!("{name}.ovpn"));
    std::fs::write(&file, profile).unwrap();
    let image = image();
    let rights = ["--cap-add", "NET_ADMIN", "--device", "/dev/net/tun"];
    let command = ["--config", "/client.ovpn", "--log", "/client.log"];
    let args = [&rights[..], &["--entrypoint", "openvpn", &image], &command].concat();
    let container = world.engine().create(name, &args);
    let to = format!("{name}:/client.ovpn");
    let file = file.display().to_string();
    world.engine().docker(&["cp", &file, &to]);
    container.act("start").expect(0);
    container
}

fn log(client: &Container<'_>) -> String {
    client.exec(&["cat", "/client.log"]).stdout
}

/// Waits until a client is connected this many times; gives its address.
fn connected(client: &Container<'_>, times: usize) -> String {
    let what = format!("{} is connected", client.name);
    until(&what, LONG, || {
        let log = log(client);
        let seen = log.matches("Initialization Sequence Completed").count();
        (seen >= times).then_some(())
    });
    address(client)
}

fn address(client: &Container<'_>) -> String {
    let shown = client.exec(&["ip", "-4", "-o", "address", "show", "tun0"]);
    let words = shown.stdout.split_whitespace();
    let address = words.skip_while(|word| *word != "inet").nth(1);
    address
        .and_then(|address| address.split('/').next())
        .unwrap_or_default()
        .to_owned()
}

fn curl(client: &Container<'_>, url: &str) -> Ran {
    client.exec(&["curl", "-sS", "-f", "--max-time", "3", url])
}

fn serve(client: &Container<'_>) {
    let node = ["exec", "--detach", &client.name, "node", "-e", SERVICE];
    let started = std::process::Command::new("docker").args(node).status();
    assert!(started.unwrap().success());
    until("the user container serves", LONG, || {
        let answer = curl(client, "http://127.0.0.1:8080/");
        (answer.stdout == "user container").then_some(())
    });
}

#[test]
fn a_gateway_s_organization_has_a_vpn_from_the_first_moment_to_the_last() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    world.serve();
    running(&world, "dev-001", &workspace, "1");
    let off = status(&world, GATEWAY);
    assert_eq!(
        (&off["state"], &off["problem"]),
        (&"off".into(), &Value::Null)
    );
    // The application would not start without what the VPN leaves it.
    assign(&world, "dev-001", ONE);
    let vpn = until_ready(&world, GATEWAY, None);
    assert_eq!(vpn["isolated"], true, "{vpn}");
    assert_eq!(vpn["organization"], ONE);
    let read = &world.answers("dev-001")[0]["vpn"];
    assert_eq!(read["organization_id"], ONE, "{read}");
    assert_eq!((&read["status"], &read["pid"]), (&"ok".into(), &vpn["pid"]));
    assert_eq!(read["hostname"], GATEWAY);
    listens(&world, &vpn["pid"]);

    // Over the port that is open on the bridge's address, as a container of this host.
    let profile = profile(&world, GATEWAY, "172.17.0.1");
    let client = client(&world, "client-a", &profile);
    let address = connected(&client, 1);
    client
        .exec(&["ping", "-c", "3", "-i", "0.2", "172.16.0.1"])
        .expect(0);
    let application = curl(&client, "http://172.16.0.1/").expect(0).json();
    assert_eq!(application["version"], "1.0.0");
    let seen = status(&world, GATEWAY);
    assert_eq!(seen["clients"][0]["address"], address.as_str(), "{seen}");
    assert!(seen["clients"][0]["received_bytes"].as_u64() > Some(0));
    from_the_host(&world, &profile, &address);

    // From outside through both doors to a service in the client.
    serve(&client);
    let name = format!("uc-{CONTAINER}.org-{ONE}.dev-001.localhost");
    let routes = format!("echo {name} {address} 8080 | lockgate-agent routes set");
    let gateway = |words: &[&str]| world.engine().run(&[&["exec", GATEWAY], words].concat());
    gateway(&["sh", "-c", &routes]).expect(0);
    let door = FrontDoor::of(&world);
    let service = || door.get(&name, "/").body;
    assert_eq!(service(), "user container");

    // A deploy changes no tunnel.
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    assert_eq!(world.answers("dev-001")[0]["version"], "2.0.0");
    let after = status(&world, GATEWAY);
    assert_eq!(after["pid"], vpn["pid"]);
    assert_eq!(after["clients"][0]["since"], seen["clients"][0]["since"]);
    assert_eq!(service(), "user container");

    // openvpn is killed: it comes back, the application does not notice, the client returns.
    let application = world.answers("dev-001")[0]["pid"].clone();
    let pid = vpn["pid"].as_u64().unwrap();
    gateway(&["kill", "-KILL", &pid.to_string()]).expect(0);
    let again = until_ready(&world, GATEWAY, Some(pid));
    assert_eq!(again["isolated"], true, "{again}");
    assert_eq!(connected(&client, 2), address);
    assert_eq!(world.answers("dev-001")[0]["pid"], application);
    assert_eq!(self::profile(&world, GATEWAY, "172.17.0.1"), profile);
    until("the service is reached again", LONG, || {
        (service() == "user container").then_some(())
    });

    // The container starts again: the same keys, the same address.
    world.engine().docker(&["restart", GATEWAY]);
    until_ready(&world, GATEWAY, None);
    assert_eq!(self::profile(&world, GATEWAY, "172.17.0.1"), profile);
    assert_eq!(connected(&client, 3), address);
    until("the service is reached after a restart", LONG, || {
        (service() == "user container").then_some(())
    });

    released(&world);
}

/// The same by the program of the host.
fn from_the_host(world: &World, profile: &str, address: &str) {
    let shown = world.lockgate(&["vpn", "status", "dev-001"]);
    let connected = format!("{address} from ");
    shown.expect(0);
    for words in ["VPN ready", "clients are kept apart", &connected] {
        assert!(shown.stdout.contains(words), "{}", shown.stdout);
    }
    let shown = world.lockgate(&["vpn", "status", "dev-001", "0", "--format", "json"]);
    assert_eq!(shown.json()["gateways"][0]["isolated"], true);
    let client = ["vpn", "client", "dev-001", "--host", "172.17.0.1"];
    assert_eq!(world.lockgate(&client).expect(0).stdout, profile);
}

/// The organization is released: nothing of its VPN is left.
fn released(world: &World) {
    world
        .lockgate(&["org", "release", "dev-001", ONE, "--wait", "ready"])
        .expect(0);
    until("the VPN is gone", LONG, || {
        (status(world, GATEWAY)["state"] == "off").then_some(())
    });
    let left = "ls /opt/lockgate/vpn /tmp/vpn-config.json; ps aux | grep [o]penvpn";
    let left = world.engine().run(&["exec", GATEWAY, "sh", "-c", left]);
    assert_eq!(left.stdout, "", "{left:?}");
    world
        .engine()
        .run(&["exec", GATEWAY, "lockgate-agent", "vpn", "client"])
        .expect(1);
}

#[test]
fn the_shell_system_s_scripts_start_and_stop_a_vpn() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    world.serve();
    running(&world, "dev-001", &workspace, "1");
    let script = |name: &str, more: &[&str]| {
        let path = format!("/opt/gateway/app/lib/{name}.sh");
        world
            .engine()
            .run(&[&["exec"][..], more, &[GATEWAY, &path]].concat())
    };
    let organization = format!("ORGANIZATION_ID={ONE}");
    let started = script("start-vpn", &["-e", &organization]);
    assert_eq!(started.expect(0).stdout, "");
    let left = ["exec", GATEWAY, "cat", "/tmp/vpn-config.json"];
    let left = world.engine().run(&left).expect(0).json();
    assert_eq!(left["organization_id"], ONE);
    assert_eq!(left["port"], world.gateways("dev-001")[0]["vpn_port"]);
    let mode = ["exec", GATEWAY, "stat", "-c", "%a", "/tmp/vpn-config.json"];
    assert_eq!(world.engine().docker(&mode), "600");
    // Again changes nothing.
    script("start-vpn", &["-e", &organization]).expect(0);
    assert_eq!(status(&world, GATEWAY)["pid"], left["pid"]);
    // Another organization's has other keys.
    let before = profile(&world, GATEWAY, "gw");
    let other = format!("ORGANIZATION_ID={TWO}");
    script("start-vpn", &["-e", &other]).expect(0);
    assert_ne!(profile(&world, GATEWAY, "gw"), before);

    let stopped = script("stop-vpn", &[]);
    assert_eq!(
        stopped.expect(0).stdout,
        "{\"status\": \"ok\", \"message\": \"OpenVPN servers stopped successfully\"}\n"
    );
    world
        .engine()
        .run(&["exec", GATEWAY, "ls", "/tmp/vpn-config.json"])
        .expect(2);
}

/// Has a container's kernel forward packets, as it does in every container of a host that does itself.
fn forward(world: &World, container: &str) {
    let pid = world.engine().inspect(container)["State"]["Pid"].to_string();
    let write = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    let words = ["--net", "--target", &pid, "sh", "-c", write];
    let done = std::process::Command::new("nsenter").args(words).status();
    assert!(done.unwrap().success());
}

/// Tries all that a client may not reach; says which it reached.
fn reached(client: &Container<'_>, targets: &[(&str, String)]) -> Vec<String> {
    let reaches = |(_, url): &&(&str, String)| {
        let args = ["curl", "-sS", "--max-time", "2", "-o", "/dev/null", url];
        client.exec(&args).code == 0
    };
    let reached = targets.iter().filter(reaches);
    reached.map(|(what, _)| (*what).to_owned()).collect()
}

/// What the doctor, which ends with this code, finds of the one VPN.
fn of_doctor(world: &World, code: i32) -> Value {
    let ran = world.lockgate(&["doctor", "--format", "json"]);
    let all = ran.expect(code).json();
    let mut checks = all["checks"].as_array().unwrap().iter();
    let found = checks.find(|it| it["name"] == "vpn").unwrap();
    found.clone()
}

/// The gateway and every command of the host say that clients are not kept apart.
fn everybody_is_told(world: &World) {
    let loud = until("`status` says so by itself", LONG, || {
        let shown = world.lockgate(&["status", "dev-001"]).stdout;
        shown.contains("NOT KEPT APART").then_some(shown)
    });
    let seen = status(world, GATEWAY);
    assert_eq!(seen["isolated"], false, "{seen}");
    assert!(loud.contains("the rules are not there"), "{loud}");
    let deployed = world.deploy("dev-001");
    deployed.expect(0);
    assert!(deployed.stderr.contains("NOT KEPT APART"), "{deployed:?}");
    let loud = "THE VPN'S CLIENTS ARE NOT KEPT APART: the rules are not there";
    let told = of_doctor(world, 1);
    assert_eq!(
        (&told["state"], &told["gateway"]),
        (&"error".into(), &GATEWAY.into())
    );
    assert!(told["found"].as_str().unwrap().starts_with(loud), "{told}");
    let remedy = format!(
        "`docker exec {GATEWAY} sh -c 'lockgate-agent vpn stop && lockgate-agent vpn start'`"
    );
    assert!(told["remedy"].as_str().unwrap().contains(&remedy), "{told}");
    world.lockgate(&["doctor"]).expect(1).says(loud);
}

#[test]
fn a_client_reaches_its_gateway_s_door_and_nothing_else() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    world.serve();
    running(&world, "dev-001", &workspace, "1");
    running(&world, "dev-002", &workspace, "1");
    assign(&world, "dev-001", ONE);
    until_ready(&world, GATEWAY, None);
    // By the gateway's own address, so that the host's stays free for an attempt.
    let at = address_of(&world, GATEWAY);
    let profile = profile(&world, GATEWAY, &at);
    let (a, b) = (
        client(&world, "client-a", &profile),
        client(&world, "client-b", &profile),
    );
    let (a_inside, b_inside) = (connected(&a, 1), connected(&b, 1));
    serve(&b);
    let other = address_of(&world, "gw-pool-dev-002-0");
    let b_on_bridge = address_of(&world, "client-b");
    let ports = [world.ports("dev-001")[0], world.ports("dev-002")[0]];
    let build_server = format!("http://172.17.0.1:{}/healthz", world.port);
    let targets = [
        ("another client", format!("http://{b_inside}:8080/")),
        ("the bridge network", format!("http://{b_on_bridge}:8080/")),
        ("the build server", build_server),
        (
            "another environment's gateway",
            format!("http://{other}:{}/", ports[1]),
        ),
        (
            "the gateway's own port",
            format!("http://172.16.0.1:{}/", ports[0]),
        ),
    ];
    // As a compromised client would: everything through the tunnel. And the worst gateway:
    // one that translates addresses, so that answers find their way back.
    for target in [&b_on_bridge, &other, &"172.17.0.1".to_owned()] {
        let route = ["ip", "route", "add", target, "via", "172.16.0.1"];
        a.exec(&route).expect(0);
    }
    let gateway = |words: &[&str]| {
        let ran = world.engine().run(&[&["exec", GATEWAY], words].concat());
        ran.expect(0);
        ran
    };
    let source = ["-s", "172.16.0.0/16", "-o", "eth0", "-j", "MASQUERADE"];
    gateway(&[&["iptables", "-t", "nat", "-A", "POSTROUTING"][..], &source].concat());

    forward(&world, GATEWAY);

    assert_eq!(reached(&a, &targets), Vec::<String>::new());
    curl(&a, "http://172.16.0.1/").expect(0);
    assert_eq!(of_doctor(&world, 0)["state"], "ok");

    // Without the rules each of these attempts succeeds, and the gateway says so.
    gateway(&["nft", "delete", "table", "inet", "lockgate_vpn"]);
    let all: Vec<String> = targets.iter().map(|(what, _)| (*what).to_owned()).collect();
    assert_eq!(reached(&a, &targets), all);
    everybody_is_told(&world);

    // They are loaded again with the next start.
    for word in ["stop", "start"] {
        gateway(&["lockgate-agent", "vpn", word]);
    }
    // Whichever comes back first, each has the address that it had.
    let inside = (b_inside.clone(), a_inside);
    assert_eq!((connected(&b, 2), connected(&a, 2)), inside);
    assert_eq!(status(&world, GATEWAY)["isolated"], true);
    assert_eq!(of_doctor(&world, 0)["state"], "ok");
    assert_eq!(reached(&a, &targets), Vec::<String>::new());
    curl(&a, "http://172.16.0.1/").expect(0);

    what_is_allowed_is_reached_alone(&world, &workspace, &a, &b_inside, &targets);
}

/// By lockgate.toml, without a new tunnel.
fn what_is_allowed_is_reached_alone(
    world: &World,
    workspace: &Workspace,
    a: &Container<'_>,
    b_inside: &str,
    targets: &[(&str, String)],
) {
    let wanted = |entries: &str| {
        settings(
            workspace,
            &format!("[env.dev-001.vpn]\nallow = [{entries}]\n"),
        );
        world.deploy("dev-001")
    };
    let refused = wanted("'172.17.0.1:8090/tcp'");
    refused.expect(78);
    assert!(refused.stderr.contains("outside the VPN"), "{refused:?}");
    // What is allowed is reached, and nothing beside it; no tunnel is made anew.
    let before = status(world, GATEWAY);
    let entry = format!("{b_inside}:8080/tcp");
    wanted(&format!("'{entry}'")).expect(0);
    let allowing = until("it is allowed", LONG, || {
        let status = status(world, GATEWAY);
        (status["allowed"][0] == entry.as_str()).then_some(status)
    });
    assert_eq!(reached(a, targets), ["another client"]);
    assert_eq!(allowing["isolated"], true, "{allowing}");
    assert_eq!(allowing["pid"], before["pid"]);
    wanted("").expect(0);
    until("nothing is allowed any more", LONG, || {
        let status = status(world, GATEWAY);
        (status["allowed"] == serde_json::json!([])).then_some(())
    });
    assert_eq!(reached(a, targets), Vec::<String>::new());
}

/// The text between `<name>` and `</name>`.
fn block<'a>(profile: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = profile.find(&open).unwrap();
    &profile[from..profile.find(&close).unwrap() + close.len()]
}

#[test]
fn another_organization_s_client_is_refused() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    world.serve();
    running(&world, "dev-001", &workspace, "2");
    assign(&world, "dev-001", ONE);
    assign(&world, "dev-001", TWO);
    until_ready(&world, GATEWAY, None);
    let second = "gw-pool-dev-001-1";
    until_ready(&world, second, None);
    let at = address_of(&world, second);
    let its_own = profile(&world, second, &at);
    let anothers = profile(&world, GATEWAY, &at);
    // It knows the key that all packets are signed by, and has the certificate of another one.
    let mut mixed = its_own.clone();
    for name in ["cert", "key"] {
        mixed = mixed.replace(block(&its_own, name), block(&anothers, name));
    }
    // And one that has nothing of this organization: its packets are not answered.
    let stranger = client(&world, "client-stranger", &anothers);
    until("it asks", LONG, || {
        log(&stranger).contains("link remote").then_some(())
    });
    let refused = client(&world, "client-refused", &mixed);
    until("the gateway refuses the certificate", LONG, || {
        let log = world.engine().run(&["logs", second]);
        let said = format!("{}{}", log.stdout, log.stderr);
        said.contains("VERIFY ERROR").then_some(())
    });
    let own = client(&world, "client-own", &its_own);
    connected(&own, 1);
    let clients = status(&world, second)["clients"].clone();
    assert_eq!(clients.as_array().map(Vec::len), Some(1), "{clients}");
    for one in [&refused, &stranger] {
        let log = log(one);
        assert!(!log.contains("Initialization Sequence Completed"), "{log}");
    }
}
