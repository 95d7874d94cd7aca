//! The door by nginx, a child of the agent, and the routes of user containers at either
//! door.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lockgate_model::Phase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::application::{children, is_alive};
use crate::sight::Hello;
use crate::world::{DEADLINE, World, free_port};

/// The master process of the gateway's nginx.
fn master(world: &World) -> Option<i32> {
    let is_nginx = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "nginx")
    };
    children(world.agent_pid()).into_iter().find(is_nginx)
}

#[tokio::test]
async fn nginx_serves_the_door_and_is_ended_with_the_agent() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    world
        .until("nginx serves", || master(&world).is_some())
        .await;
    // Before the first build, and once it is stopped, the page says so.
    let (status, _, body) = until_answered(&world).await;
    let page = String::from_utf8(body).unwrap();
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("no build has been started yet"), "{page}");
    assert!(page.contains("gw-pool-dev-001-0"), "{page}");

    let build = world.deploy_and_wait("1.0.0").await;
    let (status, named, _) = world.get().await.unwrap();
    assert_eq!((status, named.as_deref()), (200, Some(build.as_str())));
    let nginx = master(&world).unwrap();
    let served = children(nginx);
    assert_eq!(
        world.end_agent(Signal::SIGTERM).await,
        Some(0),
        "{}",
        world.told()
    );
    for pid in served.into_iter().chain([nginx]) {
        world.gone(pid).await;
    }
}

/// The first answer that the door gives.
async fn until_answered(world: &World) -> (u16, Option<String>, Vec<u8>) {
    loop {
        if let Ok((status, build, body)) = world.get().await {
            return (status, build, body.to_vec());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn reloads_behind_nginx_lose_no_request_and_answers_name_who_gave_them() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    let mut builds = vec![("0".to_owned(), world.deploy_and_wait("0").await)];
    let nginx = master(&world).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|number| {
            let (done, port) = (Arc::clone(&done), world.door_port);
            // Two clients keep their connections, two open one for each request.
            tokio::spawn(async move { ask_until(done, port, number % 2 == 0).await })
        })
        .collect();
    for version in ["1", "2", "3"] {
        builds.push((version.to_owned(), world.deploy_and_wait(version).await));
    }
    done.store(true, Ordering::Relaxed);
    let mut count = 0;
    for asked in asking {
        for (version, build) in asked.await.unwrap() {
            let expected = builds.iter().find(|(known, _)| *known == version).unwrap();
            assert_eq!(build, expected.1.as_str(), "version {version}");
            count += 1;
        }
    }
    assert!(count > 100, "{count} requests");
    assert_eq!(master(&world), Some(nginx));
}

/// Asks again and again; version and build of each answer. What is not answered well
/// fails the test.
async fn ask_until(done: Arc<AtomicBool>, port: u16, keep: bool) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    let mut kept = None;
    while !done.load(Ordering::Relaxed) {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .unwrap(),
        };
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        while !text.ends_with('}') {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "cut after `{text}` and {} answers", answers.len());
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let lower = head.to_ascii_lowercase();
        let build = lower.split("lockgate-build: ").nth(1).unwrap();
        let hello: Hello = serde_json::from_str(body.trim_start_matches(|it| it != '{')).unwrap();
        answers.push((hello.version, build[..12].to_owned()));
        kept = keep.then_some(stream);
    }
    answers
}

#[tokio::test]
async fn nginx_comes_back_when_it_is_killed_and_the_application_does_not_notice() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let application = world.hello().await.pid;
    let nginx = master(&world).unwrap();
    let workers = children(nginx);
    kill(Pid::from_raw(nginx), Signal::SIGKILL).unwrap();
    // Its workers hold the port, and end too.
    for worker in workers {
        world.gone(worker).await;
    }
    assert_eq!(world.hello().await.pid, application);
    assert_ne!(master(&world), Some(nginx));
    assert!(
        world.told().contains("nginx ended; it is started again"),
        "{}",
        world.told()
    );
}

#[tokio::test]
async fn nginx_does_not_notice_when_the_application_is_killed() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let good = world.path("lockgate/good.json");
    world.until("the trial is passed", || good.exists()).await;
    let nginx = master(&world).unwrap();
    let before = world.hello().await.pid;
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    world
        .report("is ready again", |report| {
            report.phase == Phase::Ready && report.restarts == 1
        })
        .await;
    assert_ne!(world.hello().await.pid, before);
    assert_eq!(master(&world), Some(nginx));
}

#[tokio::test]
async fn an_agent_takes_over_the_port_that_a_killed_one_s_nginx_has() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let nginx = master(&world).unwrap();
    assert_eq!(world.end_agent(Signal::SIGKILL).await, None);
    world.gone(nginx).await;
    world.start_agent();
    assert_eq!(world.hello().await.version, "1.0.0");
    assert!(is_alive(master(&world).unwrap()));
}

/// Sets routes as a script does.
pub(crate) async fn with_stdin(mut command: Command, text: &str) -> Output {
    let text = text.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have said already what it thinks of the first lines.
        let _ = std::io::Write::write_all(&mut stdin, text.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

async fn set(world: &World, lines: &str) -> (Option<i32>, String) {
    let mut command = world.command(&[]);
    command.args(["routes", "set"]);
    let output = with_stdin(command, lines).await;
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), said)
}

async fn list(world: &World) -> String {
    let output = world.ask(&["routes", "list"]).await;
    String::from_utf8(output.stdout).unwrap()
}

async fn routes_survive(mut world: World) {
    world.start_agent();
    world.report("waits", |_| true).await;
    assert_eq!(list(&world).await, "");
    let lines = "uc-2.domain.local 172.16.0.7 443\nUC-1.domain.local:80 172.16.0.6 8080\n";
    assert_eq!(
        set(&world, lines).await,
        (Some(0), "{\"status\": \"ok\"}\n".to_owned())
    );
    let all = "uc-1.domain.local 172.16.0.6 8080\nuc-2.domain.local 172.16.0.7 443\n";
    assert_eq!(list(&world).await, all);

    let (code, said) = set(&world, "uc-3.domain.local 172.16.0.8 80\nuc-4 10.0.0.1 x\n").await;
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "{\"status\": \"error\", \"error\": \"no route is changed: \
         line 2: `10.0.0.1` does not lie in the VPN, 172.16.0.0/16; \
         line 2: `x` is not a port from 1 to 65535\"}\n"
    );
    assert_eq!(list(&world).await, all);

    assert_eq!(
        world.end_agent(Signal::SIGTERM).await,
        Some(0),
        "{}",
        world.told()
    );
    let (code, said) = set(&world, lines).await;
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("{\"status\": \"error\", \"error\": \""),
        "{said}"
    );
    world.start_agent();
    world
        .until("the agent listens", || world.path("agent.sock").exists())
        .await;
    world.report("waits", |_| true).await;
    assert_eq!(list(&world).await, all);
    let shown = world
        .ask(&[
            "routes",
            "show",
            "UC-2.domain.local.:80",
            "--format",
            "json",
        ])
        .await;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["address"], "172.16.0.7");
    let shown = world.ask(&["routes", "show", "uc-9"]).await;
    assert_eq!(shown.status.code(), Some(1));
    assert_eq!(set(&world, "").await.0, Some(0));
    assert_eq!(list(&world).await, "");
}

#[tokio::test]
async fn routes_survive_a_restart_and_a_bad_line_changes_none_behind_nginx() {
    routes_survive(World::behind_nginx().await).await;
}

#[tokio::test]
async fn routes_survive_a_restart_and_a_bad_line_changes_none_at_the_embedded_door() {
    routes_survive(World::new().await).await;
}

/// Runs the calling test again in a network of its own, which has the VPN's addresses
/// and a free port 80. False where that was done.
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts itself once more, in another place"
)]
fn in_a_vpn() -> bool {
    const INSIDE: &str = "LOCKGATE_TEST_INSIDE_VPN";
    if std::env::var(INSIDE).is_ok() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let user: &[&str] = if Uid::effective().is_root() {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let network = "ip link set lo up && ip address add 172.16.0.6/16 dev lo && \
                   ip address add 172.16.0.1/16 dev lo && exec \"$@\"";
    let status = Command::new("unshare")
        .arg("--net")
        .args(user)
        .args(["sh", "-c", network, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .status();
    assert!(
        status.unwrap().success(),
        "{test} failed in its own network"
    );
    false
}

/// As in a container: no address of its own for the door.
fn move_into_a_container(world: &mut World) {
    world.vars.push(("LOCKGATE_DOOR_IP", String::new()));
    world.app_address = ([127, 0, 0, 1], 8888).into();
}

async fn in_a_container(mut world: World) {
    move_into_a_container(&mut world);
    let container = tokio::net::TcpListener::bind(("172.16.0.6", free_port()))
        .await
        .unwrap();
    let at = container.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = container.accept().await {
            let mut piece = [0; 4096];
            let _ = stream.read(&mut piece).await;
            let _ = stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\ncontainer",
                )
                .await;
        }
    });
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let lines = format!("uc-1.domain.local {} {}", at.ip(), at.port());
    assert_eq!(set(&world, &lines).await.0, Some(0), "{}", world.told());
    let gateway: SocketAddr = ([172, 16, 0, 1], 80).into();
    let published: SocketAddr = ([127, 0, 0, 1], world.door_port).into();
    for (to, host, expected) in [
        (gateway, "172.16.0.1", "\"version\":\"1.0.0\""),
        (gateway, "org-1.domain.local", "\"version\":\"1.0.0\""),
        (published, "org-1.domain.local", "\"version\":\"1.0.0\""),
        (published, "UC-1.domain.local:7100", "container"),
        (gateway, "uc-1.domain.local", "container"),
        (published, "uc-2.domain.local", "404"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(to).await.unwrap();
        let asked = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(expected), "{to} {host}: {answer}");
    }
}

#[tokio::test]
async fn user_containers_and_the_gateway_reach_each_other_through_nginx() {
    if in_a_vpn() {
        in_a_container(World::behind_nginx().await).await;
    }
}

#[tokio::test]
async fn user_containers_and_the_gateway_reach_each_other_through_the_embedded_door() {
    if in_a_vpn() {
        in_a_container(World::new().await).await;
    }
}

/// An application that answers with the headers that it has got.
const MIRROR: &str = r#"
require("http")
  .createServer((request, response) => response.end(JSON.stringify(request.headers)))
  .listen(8888, "127.0.0.1");
"#;

/// The headers that the application gets when this peer says there what a front door says.
async fn mirrored(peer: [u8; 4], to: SocketAddr) -> serde_json::Value {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((peer, 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nhost: org-1.domain.local\r\nconnection: close\r\n\
              x-forwarded-for: 192.0.2.7\r\nx-real-ip: 192.0.2.7\r\nx-forwarded-proto: https\r\n\
              x-forwarded-host: org-1.domain.local:8443\r\nx-forwarded-port: 8443\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let json = answer.find('{').zip(answer.rfind('}'));
    let (from, to) = json.unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str(&answer[from..=to]).unwrap()
}

/// Waits until the application answers through the door.
async fn until_served(world: &World) {
    let asking = async {
        while !matches!(world.get().await, Ok((200, ..))) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let served = tokio::time::timeout(DEADLINE, asking).await;
    assert!(served.is_ok(), "no answer\n{}", world.told());
}

fn check_origin(headers: &serde_json::Value, expected: [Option<&str>; 5]) {
    let names = ["for", "proto", "host", "port"].map(|name| format!("x-forwarded-{name}"));
    let names = names.into_iter().chain(["x-real-ip".to_owned()]);
    for (name, expected) in names.zip(expected) {
        assert_eq!(headers[&name].as_str(), expected, "{name} in {headers}");
    }
}

/// Whom the door believes on its own port and on the one of user containers.
async fn believes_a_front_door_and_no_user_container(mut world: World) {
    move_into_a_container(&mut world);
    let own: SocketAddr = ([127, 0, 0, 1], world.door_port).into();
    let in_vpn: SocketAddr = ([172, 16, 0, 1], 80).into();
    let host = "org-1.domain.local";
    let (here, container) = ([127, 0, 0, 1], [172, 16, 0, 6]);
    let replaced = |peer| [Some(peer), Some("http"), Some(host), None, Some(peer)];
    let kept = [
        Some("192.0.2.7, 127.0.0.1"),
        Some("https"),
        Some("org-1.domain.local:8443"),
        Some("8443"),
        Some("192.0.2.7"),
    ];
    world.start_agent();
    let packed = world.pack(MIRROR);
    let seq = world.state(&packed, |_| {});
    let report = world.settled(seq).await;
    assert_eq!(report.refused, None, "{}", world.told());
    until_served(&world).await;
    check_origin(&mirrored(here, own).await, kept);
    check_origin(&mirrored(container, in_vpn).await, replaced("172.16.0.6"));

    // Where everybody reaches the port.
    let ended = world.end_agent(Signal::SIGTERM).await;
    assert_eq!(ended, Some(0), "{}", world.told());
    let told = ("LOCKGATE_DOOR_FORWARDED", "replace".to_owned());
    world.vars.push(told);
    world.start_agent();
    until_served(&world).await;
    check_origin(&mirrored(here, own).await, replaced("127.0.0.1"));
    check_origin(&mirrored(container, in_vpn).await, replaced("172.16.0.6"));
}

#[tokio::test]
async fn nginx_believes_a_front_door_and_no_user_container() {
    if in_a_vpn() {
        believes_a_front_door_and_no_user_container(World::behind_nginx().await).await;
    }
}

#[tokio::test]
async fn the_embedded_door_believes_a_front_door_and_no_user_container() {
    if in_a_vpn() {
        believes_a_front_door_and_no_user_container(World::new().await).await;
    }
}
