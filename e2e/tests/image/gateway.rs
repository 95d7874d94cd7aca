//! A gateway of a world as a container, run by hand: an environment with one gateway,
//! whose agent moves from the server's own into the container.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lockgate_e2e::{Container, Engine, World, get, until};
use serde_json::Value;

/// Where the token lies in a container.
const TOKEN: &str = "/etc/lockgate/token";

/// How long a boot may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// What a gateway needs to be run as a container.
pub(crate) struct Gateway {
    pub(crate) name: String,
    pub(crate) http_port: u16,
    variables: Vec<String>,
    token: PathBuf,
}

impl Gateway {
    /// Serves on the bridge, too, deploys the example to an environment with one gateway,
    /// and ends the agent that the server started for it.
    pub(crate) fn deployed(world: &World, engine: &Engine, env: &str) -> Self {
        let bridge = format!("{}:{}", engine.bridge(), world.port);
        world
            .lockgate(&["serve", "--detach", "--listen", &bridge])
            .expect(0);
        let workspace = world.workspace("monorepo").path.display().to_string();
        let domain = format!("{env}.localhost");
        world
            .lockgate(&["create", env, &domain, &workspace, "--gateways", "1"])
            .expect(0);
        world.deploy(env).expect(0);
        let gateway = world.gateways(env).remove(0);
        let of = |name: &str| gateway[name].as_u64().unwrap();
        let environ = std::fs::read(format!("/proc/{}/environ", of("agent_pid"))).unwrap();
        let environ = String::from_utf8(environ).unwrap();
        let all: BTreeMap<&str, &str> = environ
            .split('\0')
            .filter_map(|line| line.split_once('='))
            .collect();
        let name = gateway["name"].as_str().unwrap().to_owned();
        world.lockgate(&["stop", env, &name]).expect(0);
        let token = all["LOCKGATE_TOKEN_FILE"].into();
        let kept = [
            "ENV_NAME",
            "GATEWAY_HTTP_PORT",
            "GATEWAY_VPN_PORT",
            "GATEWAY_ID",
            "GATEWAY_TOKEN",
            "GANYMEDE_FQDN",
            "DOMAIN",
            "LOCKGATE_KEY",
        ];
        let mut variables: Vec<String> = kept
            .iter()
            .map(|name| format!("{name}={}", all[name]))
            .collect();
        variables.push(format!("LOCKGATE_SERVER=http://{bridge}"));
        variables.push(format!("LOCKGATE_TOKEN_FILE={TOKEN}"));
        Self {
            name,
            http_port: of("http_port").try_into().unwrap(),
            variables,
            token,
        }
    }

    /// The same gateway, told of no server but for its port.
    pub(crate) fn without_server(mut self, port: u16) -> Self {
        self.variables
            .retain(|variable| !variable.starts_with("LOCKGATE_SERVER="));
        self.variables.push(format!("BUILD_SERVER_PORT={port}"));
        self
    }

    /// The gateway's container, created with more arguments and not started yet.
    pub(crate) fn create<'a>(
        &self,
        engine: &'a Engine,
        image: &str,
        more: &[&str],
    ) -> Container<'a> {
        let container = engine.create(&self.name, &self.arguments(image, more));
        let folder = self.token_folder();
        let target = format!("{}:/etc/", container.name);
        engine.run(&["cp", &folder, &target]).expect(0);
        container
    }

    /// The same, with the token not copied in but mounted, as a file of this user.
    pub(crate) fn create_with_token_of<'a>(
        &self,
        engine: &'a Engine,
        image: &str,
        user: u32,
        more: &[&str],
    ) -> Container<'a> {
        let folder = self.token_folder();
        for path in [folder.clone(), format!("{folder}/token")] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
        let volume = format!("{folder}:/etc/lockgate:ro");
        let more = [&["--volume", &volume][..], more].concat();
        engine.create(&self.name, &self.arguments(image, &more))
    }

    fn arguments(&self, image: &str, more: &[&str]) -> Vec<String> {
        let publish = format!("127.0.0.1:{0}:{0}", self.http_port);
        let mut all = vec!["--hostname", &self.name, "--publish", &publish];
        for variable in &self.variables {
            all.extend(["--env", variable]);
        }
        all.extend(more);
        all.push(image);
        all.into_iter().map(str::to_owned).collect()
    }

    /// A folder `lockgate` with nothing but the token in it.
    fn token_folder(&self) -> String {
        let folder = self.token.with_file_name("copied").join("lockgate");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(&self.token, folder.join("token")).unwrap();
        folder.display().to_string()
    }

    /// Waits until the application answers through the container's published port.
    pub(crate) fn answers(&self) -> Value {
        until("the application answers", SOON, || {
            let answer = get(self.http_port, "/")?;
            (answer.status == 200).then(|| answer.json())
        })
    }
}
