mod trust;

use std::time::Duration;

use http_body_util::BodyExt as _;
use lockgate_builds::client::{Client, Endpoint};

use super::control::{ControlClient, GatewaysView};
use super::*;
use crate::environment::RuntimeKind;
use crate::environment::create::{Wanted, create};
use crate::environment::delete::delete;
use crate::environment::docker::DockerSettings;
use crate::environment::lock::DeployLock;
use crate::environment::tests::home;
use crate::server::front::{FrontPort, FrontPorts};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A server on a free port whose agents are a script that ends with its standard input.
fn options(folder: &Path) -> ServeOptions {
    let agent = folder.join("lockgate-agent");
    fs::write(&agent, "#!/bin/sh\nexec cat\n").unwrap();
    fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
    ServeOptions {
        home: home(folder),
        port: 0,
        listen: Vec::new(),
        front: FrontPorts {
            https: FrontPort::Given(0),
            http: FrontPort::Given(0),
        },
        front_driver: FrontDriver::Embedded,
        caller: "a@b".into(),
        allow_plain: Vec::new(),
        agent,
        child_environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        // No test of this program asks an engine.
        engine: EngineAddress::parse(Some("unix:///nowhere/docker.sock")),
        host_ip: None,
    }
}

fn make(home: &Home, store: &Store, gateways: u32) -> Environment {
    let wanted = Wanted {
        name: EnvName::parse("dev-001").unwrap(),
        domain: None,
        workspace: home.dir().to_owned(),
        gateways,
        runtime: RuntimeKind::Local,
        docker: DockerSettings::default(),
    };
    create(home, store, &wanted, 1).unwrap()
}

/// Asks until the gateways look as they should.
async fn until(
    control: &ControlClient,
    environment: &Environment,
    good: impl Fn(&GatewaysView) -> bool,
) -> GatewaysView {
    let found = async {
        let mut after = None;
        loop {
            let asked = control.gateways(&environment.name, after, Duration::from_secs(5));
            let view = asked.await.unwrap();
            if good(&view) {
                return view;
            }
            after = Some(view.version);
        }
    };
    tokio::time::timeout(LONG, found)
        .await
        .expect("the gateways come to look so")
}

fn pids(view: &GatewaysView) -> Vec<Option<u32>> {
    view.gateways.iter().map(|one| one.agent_pid).collect()
}

#[tokio::test]
async fn a_home_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    assert!(ControlClient::connect(&options.home).await.is_none());
    let first = start(options.clone()).await.unwrap();
    let (_, description) = ControlClient::connect(&options.home).await.unwrap();
    assert_eq!(description, first.description());
    assert_ne!(description.listeners[0].port(), 0);

    let error = start(options.clone()).await.unwrap_err().to_string();
    let me = format!("runs already (process {})", std::process::id());
    assert!(error.ends_with(&me), "{error}");

    first.stop().await;
    assert!(!options.home.control_socket().exists());
    start(options).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_socket_that_a_killed_server_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    drop(std::os::unix::net::UnixListener::bind(options.home.control_socket()).unwrap());
    let server = start(options.clone()).await.unwrap();
    assert!(ControlClient::connect(&options.home).await.is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_leaves_the_home_free() {
    let folder = tempfile::tempdir().unwrap();
    let (_held, taken) = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let options = options(folder.path());
    let wrong = ServeOptions {
        port: taken.port(),
        ..options.clone()
    };
    let error = start(wrong).await.unwrap_err();
    assert!(matches!(
        error,
        ServerError::Listen(ListenError::Taken { .. })
    ));
    start(options).await.unwrap().stop().await;
}

#[tokio::test]
async fn asking_it_to_stop_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let server = start(options.clone()).await.unwrap();
    let control = ControlClient::new(&options.home);
    control.stop().await.unwrap();
    tokio::time::timeout(LONG, server.asked_to_stop())
        .await
        .unwrap();
    server.stop().await;
    assert!(control.server().await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn gateways_follow_their_environment() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let engine = options.engine.clone();
    let home = options.home.clone();
    let server = start(options).await.unwrap();
    let store = Store::open(home.builds()).unwrap();
    let control = ControlClient::new(&home);

    let environment = make(&home, &store, 2);
    let env = &environment.name;
    control.changed(env).await.unwrap();
    let all = |view: &GatewaysView| pids(view).iter().all(Option::is_some);
    let running = until(&control, &environment, all).await;

    let mut stopped = environment.clone();
    stopped.enable(&home, Some(0), false).unwrap();
    control.changed(env).await.unwrap();
    let view = control.gateways(env, None, Duration::ZERO).await.unwrap();
    assert_eq!(pids(&view), [None, running.gateways[1].agent_pid]);
    assert!(!view.gateways[0].enabled);

    stopped.enable(&home, Some(0), true).unwrap();
    control.changed(env).await.unwrap();
    until(&control, &environment, all).await;

    let lock = DeployLock::take(&home, env, "delete", 4).unwrap();
    let left = delete(&home, &store, env, Some(&control), &engine, lock)
        .await
        .unwrap();
    assert_eq!(left, Vec::<String>::new());
    let error = control.gateways(env, None, Duration::ZERO).await;
    let error = error.unwrap_err();
    assert_eq!(error.source.status(), Some(http::StatusCode::NOT_FOUND));
    server.stop().await;
}

#[tokio::test]
async fn gateways_of_known_environments_start_and_end_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let store = Store::open(options.home.builds()).unwrap();
    let environment = make(&options.home, &store, 1);
    let server = start(options.clone()).await.unwrap();
    let control = ControlClient::new(&options.home);
    let some = |view: &GatewaysView| pids(view)[0].is_some();
    let view = until(&control, &environment, some).await;
    let pid = pids(&view)[0].unwrap();
    server.stop().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_waiting_query_wakes_at_a_change_and_else_answers_the_same_version() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let store = Store::open(options.home.builds()).unwrap();
    let environment = make(&options.home, &store, 1);
    let env = &environment.name;
    let server = start(options.clone()).await.unwrap();
    let control = ControlClient::new(&options.home);
    let some = |view: &GatewaysView| pids(view)[0].is_some();
    let version = until(&control, &environment, some).await.version;

    let quiet = control.gateways(env, Some(version), Duration::from_secs(1));
    assert_eq!(quiet.await.unwrap().version, version);

    let waiting = control.gateways(env, Some(version), Duration::from_secs(50));
    let change = control.changed(env);
    let both = async { tokio::join!(waiting, change) };
    let (woken, _) = tokio::time::timeout(LONG, both).await.unwrap();
    assert_ne!(woken.unwrap().version, version);
    server.stop().await;
}

#[tokio::test]
async fn waiting_queries_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let store = Store::open(options.home.builds()).unwrap();
    let environment = make(&options.home, &store, 1);
    let server = start(options.clone()).await.unwrap();
    let control = ControlClient::new(&options.home);
    let some = |view: &GatewaysView| pids(view)[0].is_some();
    until(&control, &environment, some).await;
    let waiting = tokio::spawn(async move {
        let env = environment.name;
        let mut after = None;
        // Ends with an error once the server stops.
        while let Ok(view) = control.gateways(&env, after, Duration::from_secs(50)).await {
            after = Some(view.version);
        }
    });
    tokio::time::timeout(LONG, server.stop()).await.unwrap();
    tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_broken_environment_does_not_keep_the_others_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let store = Store::open(options.home.builds()).unwrap();
    let environment = make(&options.home, &store, 1);
    let broken = options.home.envs_dir().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(broken.join("env.toml"), "no").unwrap();
    let server = start(options.clone()).await.unwrap();
    let control = ControlClient::new(&options.home);
    let some = |view: &GatewaysView| pids(view)[0].is_some();
    until(&control, &environment, some).await;
    server.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_away_is_a_problem_and_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    let wanted = Wanted {
        name: EnvName::parse("dev-001").unwrap(),
        domain: None,
        workspace: home.dir().to_owned(),
        gateways: 2,
        runtime: RuntimeKind::Docker,
        docker: DockerSettings::default(),
    };
    let environment = create(&home, &store, &wanted, 1).unwrap();
    let engine = options.engine.clone();
    let server = start(options).await.unwrap();
    let control = ControlClient::new(&home);
    let told = |view: &GatewaysView| {
        view.gateways.iter().all(|one| {
            let problem = one.agent_problem.as_deref().unwrap_or_default();
            problem.starts_with("no engine answers at `unix:///nowhere/docker.sock`")
        })
    };
    until(&control, &environment, told).await;

    // What cannot be removed is said, and the environment is kept so that it can be.
    let env = &environment.name;
    let lock = DeployLock::take(&home, env, "delete", 4).unwrap();
    let left = delete(&home, &store, env, Some(&control), &engine, lock)
        .await
        .unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].starts_with("the containers of `dev-001` stay: no engine"),
        "{left:?}"
    );
    assert!(Environment::load(&home, env).unwrap().deleting);
    server.stop().await;
}

/// Asks the control socket as a controller does; the status and what the body holds.
async fn ask(
    home: &Home,
    method: http::Method,
    path: &str,
    body: &'static str,
) -> (u16, serde_json::Value) {
    let client = Client {
        endpoint: Endpoint::Unix(home.control_socket()),
        program: "controller/1".to_owned(),
        token: None,
    };
    let request = http::Request::builder().method(method).uri(path);
    let request = request.body(body.into()).unwrap();
    let response = client.send(request, LONG).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        head.status.as_u16(),
        serde_json::from_slice(&body).unwrap_or_default(),
    )
}

const ORGANIZATIONS: &str = "/v1/environments/dev-001/organizations";

fn organization(digit: u32) -> String {
    format!("0d1b3c5e-0000-4000-8000-00000000000{digit}")
}

#[tokio::test]
async fn organizations_are_assigned_and_released_by_the_control_socket() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    let environment = make(&home, &store, 2);
    let server = start(options).await.unwrap();
    let front = server.description().front.https_port.unwrap();
    let of = |digit| format!("{ORGANIZATIONS}/{}", organization(digit));
    let (put, delete) = (http::Method::PUT, http::Method::DELETE);
    let ask = async |method: &http::Method, path: &str, body| {
        ask(&home, method.clone(), path, body).await
    };

    // Written in capitals it is the same one.
    let (one, loud) = (organization(1), of(1).replace("0d1b3c5e", "0D1B3C5E"));
    let (status, told) = ask(&put, &loud, r#"{"gateway": 1}"#).await;
    let url = format!("https://org-{one}.dev-001.localhost:{front}/");
    let mut expected = serde_json::json!({
        "organization": one, "env": "dev-001", "gateway": "gw-pool-dev-001-1", "number": 1,
        "url": url, "new": true,
    });
    assert_eq!((status, &told), (201, &expected));
    let written = Environment::load(&home, &environment.name).unwrap();
    let serves = |number: usize| written.gateways[number].organization.as_ref();
    assert_eq!(serves(1).unwrap().as_str(), one);
    assert_eq!(serves(0), None);

    // The same again changes nothing.
    expected["new"] = false.into();
    assert_eq!(ask(&put, &of(1), "").await, (200, expected.clone()));
    expected.as_object_mut().unwrap().remove("new");
    let get = http::Method::GET;
    assert_eq!(ask(&get, &of(1), "").await, (200, expected.clone()));
    let all = serde_json::json!({"organizations": [expected]});
    assert_eq!(ask(&get, ORGANIZATIONS, "").await, (200, all));

    assert_eq!(ask(&put, &of(2), "{}").await.1["number"], 0);
    let (status, told) = ask(&delete, &of(1), "").await;
    assert_eq!((status, &told["number"]), (200, &1.into()));
    assert_eq!(ask(&put, &of(3), "").await.1["number"], 1);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_assigned_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    let environment = make(&home, &store, 2);
    let server = start(options).await.unwrap();
    let of = |digit| format!("{ORGANIZATIONS}/{}", organization(digit));
    let check = async |method: &str, path: &str, body, expected: (u16, &str, &str)| {
        let method = method.parse().unwrap();
        let (status, told) = ask(&home, method, path, body).await;
        let reason = told["reason"].as_str().unwrap_or_default();
        assert_eq!((status, reason), (expected.0, expected.1), "{told}");
        let error = told["error"].as_str().unwrap();
        assert!(error.contains(expected.2), "{error}");
    };
    let elsewhere = of(1).replace("dev-001", "dev-009");
    let unknown = (404, "unknown-environment", "no environment `dev-009`");
    check("PUT", &elsewhere, "", unknown).await;
    check("DELETE", &elsewhere, "", unknown).await;
    check("GET", "/v1/environments/dev-009/organizations", "", unknown).await;
    let unserved = (404, "unserved", "no gateway of `dev-001` serves");
    check("GET", &of(1), "", unserved).await;
    check("DELETE", &of(1), "", unserved).await;
    let gateway = (404, "unknown-gateway", "no gateway `7`");
    check("PUT", &of(1), r#"{"gateway": 7}"#, gateway).await;
    for body in ["no", r#"{"gatway": 0}"#, r#"{"gateway": "0"}"#, "[]1"] {
        check("PUT", &of(1), body, (400, "malformed", "the body is no")).await;
    }
    let shape = (400, "malformed", "is not an organization");
    check("PUT", &format!("{ORGANIZATIONS}/one"), "", shape).await;
    check("POST", &of(1), "", (405, "", "another method")).await;

    assert_eq!(ask(&home, http::Method::PUT, &of(1), "").await.0, 201);
    let served = (409, "served", "is served by `gw-pool-dev-001-0`");
    check("PUT", &of(1), r#"{"gateway": 1}"#, served).await;
    let busy = (409, "busy", "`gw-pool-dev-001-0` serves organization");
    check("PUT", &of(2), r#"{"gateway": 0}"#, busy).await;
    assert_eq!(ask(&home, http::Method::PUT, &of(2), "").await.0, 201);
    check("PUT", &of(3), "", (409, "none-left", "no gateway left")).await;

    let lock = DeployLock::take(&home, &environment.name, "deploy", 4).unwrap();
    let locked = (409, "locked", "is being changed by process");
    check("DELETE", &of(1), "", locked).await;
    drop(lock);
    let mut deleting = Environment::load(&home, &environment.name).unwrap();
    deleting.deleting = true;
    deleting.save(&home).unwrap();
    let gone = (409, "deleting", "is being deleted");
    check("PUT", &of(4), "", gone).await;
    server.stop().await;
}

#[tokio::test]
async fn many_assignments_at_once_get_a_gateway_each() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    make(&home, &store, 6);
    let server = start(options).await.unwrap();
    let mut asked = JoinSet::new();
    for digit in 0..6 {
        let home = home.clone();
        let path = format!("{ORGANIZATIONS}/{}", organization(digit));
        asked.spawn(async move { ask(&home, http::Method::PUT, &path, "").await });
    }
    let mut numbers: Vec<u64> = asked
        .join_all()
        .await
        .into_iter()
        .map(|(status, told)| {
            assert_eq!(status, 201, "{told}");
            told["number"].as_u64().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_by_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    let mut environment = make(&home, &store, 1);
    environment.front.certificate = Some(folder.path().join("none.pem"));
    environment.front.key = Some(folder.path().join("none.key"));
    environment.save(&home).unwrap();
    let server = start(options).await.unwrap();
    let control = ControlClient::new(&home);
    let problem = async |good: fn(Option<&str>) -> bool| {
        let found = async {
            let mut after = None;
            loop {
                let problem = control.server().await.unwrap().front.problem;
                if good(problem.as_deref()) {
                    return;
                }
                let asked = control.gateways(&environment.name, after, Duration::from_secs(1));
                after = Some(asked.await.unwrap().version);
            }
        };
        tokio::time::timeout(LONG, found).await.expect("it is told");
    };
    problem(|it| it.is_some_and(|it| it.contains("the certificate of `dev-001` cannot be used")))
        .await;

    let mut mended = Environment::load(&home, &environment.name).unwrap();
    (mended.front.certificate, mended.front.key) = (None, None);
    mended.save(&home).unwrap();
    control.changed(&environment.name).await.unwrap();
    problem(|it| it.is_none()).await;
    server.stop().await;
}
