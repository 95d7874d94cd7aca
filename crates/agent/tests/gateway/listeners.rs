//! What listens in a gateway beside what should, and who has an address that cannot be had.

use std::net::TcpListener;

use lockgate_model::{Listener, ListenerState, Listeners, Phase};

use crate::world::{World, free_port};

impl World {
    /// What the agent tells of listeners.
    async fn listeners(&self) -> Vec<Listener> {
        let asked = self.ask(&["listeners", "--format", "json"]).await;
        let told: Listeners = serde_json::from_slice(&asked.stdout)
            .unwrap_or_else(|error| panic!("{error}: {asked:?}\n{}", self.told()));
        told.listeners
    }

    /// The one that is for this.
    async fn listener(&self, what: &str) -> Listener {
        let all = self.listeners().await;
        let one = all.iter().find(|it| it.what.as_deref() == Some(what));
        one.unwrap_or_else(|| panic!("no `{what}` in {all:?}"))
            .clone()
    }
}

fn pids(listener: &Listener, name: &str) -> Vec<u32> {
    let named = listener.processes.iter().filter(|one| one.name == name);
    named.map(|one| one.pid).collect()
}

#[tokio::test]
async fn who_has_the_applications_address_is_named_until_it_is_gone() {
    let mut world = World::new().await;
    world.app_address.set_port(free_port());
    // All addresses, so that the one which the application gets is among them.
    let port = world.app_address.port();
    let foreign = TcpListener::bind(("0.0.0.0", port)).unwrap();
    world.start_agent();
    let (_, seq) = world.deploy("1.0.0");
    let own = std::process::id();
    let holder = format!("(process {own}), which the agent did not start, has it; `kill {own}`");
    let report = world
        .report("names the holder", |report| {
            let problem = report.problem.as_deref().unwrap_or_default();
            problem.contains(&holder)
        })
        .await;
    let problem = report.problem.unwrap();
    let taken = format!("cannot listen on 127.0.0.1:{port} for the application's port 8888");
    assert!(problem.starts_with(&taken), "{problem}");

    let told = world.listener("application").await;
    assert_eq!(told.state, ListenerState::Foreign);
    assert_eq!(told.address, world.app_address);
    let [process] = told.processes.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((process.pid, process.own), (own, false));
    let shown = world.ask(&["listeners"]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&holder), "{shown}");

    drop(foreign);
    let report = world.settled(seq).await;
    assert_eq!((report.phase, report.problem), (Phase::Ready, None));
    let told = world.listener("application").await;
    assert_eq!(told.state, ListenerState::Held);
    let running = report.running.unwrap().pid;
    assert_eq!(pids(&told, "node"), [running]);
    let agent = u32::try_from(world.agent_pid()).unwrap();
    assert_eq!(pids(&told, "lockgate-agent"), [agent]);
    assert!(told.processes.iter().all(|one| one.own), "{told:?}");
}

#[tokio::test]
async fn a_gateway_beside_others_tells_of_its_own_sockets_alone() {
    let mut world = World::behind_nginx().await;
    let _others = TcpListener::bind("127.0.0.1:0").unwrap();
    world.start_agent();
    world.report("waits", |_| true).await;
    let door = world.listener("door (nginx)").await;
    assert_eq!(door.state, ListenerState::Held);
    assert_eq!(door.address.port(), world.door_port);
    assert!(pids(&door, "nginx").len() >= 2, "{door:?}");
    assert!(door.processes.iter().all(|one| one.own), "{door:?}");
    // Nothing shall run yet, so nothing is missing.
    assert_eq!(world.listeners().await.len(), 1);

    // A socket that the application opens beside its own.
    let main = crate::application::application("1.0.0")
        + "require('net').createServer().listen(0, '127.0.0.1');\n";
    let packed = world.pack(&main);
    let seq = world.state(&packed, |_| {});
    let running = world.settled(seq).await.running.unwrap();
    let all = world.listeners().await;
    let states: Vec<_> = all
        .iter()
        .map(|one| (one.what.as_deref(), one.state))
        .collect();
    assert_eq!(
        states,
        [
            (Some("application"), ListenerState::Held),
            (Some("door (nginx)"), ListenerState::Held),
            (None, ListenerState::Unexpected),
        ],
        "{all:?}"
    );
    assert_eq!(pids(&all[2], "node"), [running.pid]);
}

#[tokio::test]
async fn who_has_the_gateways_port_is_named_by_an_agent_that_cannot_start() {
    let mut world = World::new().await;
    let _foreign = TcpListener::bind(("127.0.0.1", world.door_port)).unwrap();
    world.start_agent();
    assert_eq!(world.agent_ended().await, Some(1));
    let own = std::process::id();
    let told = world.told();
    assert!(
        told.contains(&format!(
            "cannot listen on the gateway's port 127.0.0.1:{}",
            world.door_port
        )),
        "{told}"
    );
    assert!(told.contains(&format!("(process {own}), which")), "{told}");
}
