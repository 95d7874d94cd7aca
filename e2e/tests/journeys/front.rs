//! The front door: organizations by their names over TLS, sites, certificates, the names of both, a
//! browser, and the control socket by which a platform assigns.

mod browser;
mod certificates;
mod changes;
mod learned;
mod names;
mod nginx;
mod organizations;
mod sites;
mod trusted;

use std::time::Duration;

use lockgate_e2e::{Curled, FrontDoor, Workspace, World, until};
use serde_json::Value;

const ONE: &str = "0d1b3c5e-0000-4000-8000-000000000001";
const TWO: &str = "0d1b3c5e-0000-4000-8000-000000000002";

/// A trial as short as it can be: nothing here is about trials.
const SHORT_TRIAL: &str = "[app.limits]\ntrial = '1s'\n";

fn workspace(world: &World) -> Workspace {
    let workspace = world.workspace("monorepo");
    configure(&workspace, "");
    workspace
}

/// A workspace whose application tells what it learns, and asks others.
fn asking(world: &World, text: &str) -> Workspace {
    let workspace = world.workspace("monorepo");
    workspace.edit(|_| include_str!("../../apps/asks/main.js").to_owned());
    configure(&workspace, text);
    workspace
}

/// Writes lockgate.toml: a short trial, and this.
fn configure(workspace: &Workspace, text: &str) {
    let text = format!("{SHORT_TRIAL}{text}");
    std::fs::write(workspace.path.join("lockgate.toml"), text).unwrap();
}

fn create(world: &World, env: &str, domain: &str, workspace: &Workspace, gateways: u32) {
    let (path, gateways) = (workspace.path.display().to_string(), gateways.to_string());
    let create = ["create", env, domain, &path, "--gateways", &gateways];
    world.lockgate(&create).expect(0);
}

/// A server, and `dev-001` with gateways that run.
fn running(world: &World, workspace: &Workspace, gateways: u32) -> FrontDoor {
    world.serve();
    create(world, "dev-001", "dev-001.localhost", workspace, gateways);
    world.deploy("dev-001").expect(0);
    FrontDoor::of(world)
}

fn assign(world: &World, env: &str, organization: &str) {
    let assign = ["org", "assign", env, organization, "--wait", "ready"];
    world.lockgate(&assign).expect(0);
}

fn host(organization: &str) -> String {
    format!("org-{organization}.dev-001.localhost")
}

/// Asks until it is answered so.
fn until_answered(
    door: &FrontDoor,
    host: &str,
    what: &str,
    good: impl Fn(&Curled) -> bool,
) -> Curled {
    until(&format!("{host} {what}"), Duration::from_secs(30), || {
        let answer = door.get(host, "/");
        good(&answer).then_some(answer)
    })
}

/// The value of a variable in a process's environment.
fn variable(answer: &Value, name: &str) -> Option<String> {
    let pid = answer.get("pid")?.as_u64()?;
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let mut all = environment.split('\0');
    all.find_map(|it| Some(it.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}
