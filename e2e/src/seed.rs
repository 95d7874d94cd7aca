//! A pool as the shell system made it, by the scripts of `e2e/seed`: what a migration begins with.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::world::ran;
use crate::{Ran, Workspace, World, get, until};

/// The image of a gateway.
const IMAGE: &str = "lockgate-test/seed";

/// The host's side of the shell system in a world with an engine.
#[derive(Debug)]
pub struct Seed<'w> {
    world: &'w World,
    server: Option<Child>,
}

#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
impl<'w> Seed<'w> {
    /// With the image of its gateways in the engine.
    pub fn new(world: &'w World) -> Self {
        let base = format!("BASE={}", world.engine().base);
        let mut docker = Command::new("docker");
        let docker = docker
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--quiet", "--tag", IMAGE, "--build-arg", &base])
            .arg(scripts().join("image"));
        ran(&docker.output().expect("`docker` starts")).expect(0);
        Self {
            world,
            server: None,
        }
    }

    /// Puts the shell system's scripts into a workspace.
    pub fn equip(&self, workspace: &Workspace) {
        let app = "docker-images/backend-images/gateway/app";
        let place = workspace.path.join(app);
        std::fs::remove_dir_all(&place).expect("the example's scripts");
        crate::workspace::copy(&scripts().join("app"), &place).expect("a copy of the scripts");
    }

    /// One of the scripts of the host, to its end.
    pub fn run(&self, script: &str, args: &[&str]) -> Ran {
        ran(&self.script(script).args(args).output().expect("it starts"))
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(scripts().join("host").join(name));
        let bridge = self.world.engine().bridge().to_string();
        command
            .env("BUILDS", self.builds())
            .env("PORT", self.world.port.to_string())
            .env("IMAGE", IMAGE)
            .env("BUILD_SERVER_IP", bridge)
            .env("BUILD_SERVER_PORT", self.world.port.to_string())
            .stdin(Stdio::null());
        command
    }

    /// The folder that the Python server serves.
    pub fn builds(&self) -> PathBuf {
        self.world.dir().join("local-dev-builds")
    }

    /// Packs with `tar`.
    pub fn pack(&self, env: &str, workspace: &Workspace) {
        let path = workspace.path.display().to_string();
        self.run("pack-gateway-build.sh", &[env, &path]).expect(0);
    }

    /// Serves with Python, at the port of the world's own build server.
    pub fn serve(&mut self) {
        std::fs::create_dir_all(self.builds()).expect("a folder");
        let mut command = self.script("serve-builds.sh");
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(quiet.spawn().expect("`python3` starts"));
        let port = self.world.port;
        until("the builds are served", Duration::from_secs(20), || {
            get(port, "/").filter(|answer| answer.status == 200)
        });
    }

    /// Ends the Python server.
    pub fn end_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may have ended by itself.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Makes the gateways; `more` goes to `docker run`.
    pub fn pool(&self, env: &str, count: u32, more: &[&str]) {
        let count = count.to_string();
        let args = [&[env, &count][..], more].concat();
        self.run("create-pool.sh", &args).expect(0);
    }

    /// `reload-gateway.sh` in one container, as the document has it.
    pub fn reload(&self, container: &str) -> Ran {
        let script = "/opt/gateway/app/lib/reload-gateway.sh";
        self.world.engine().run(&["exec", container, script])
    }
}

impl Drop for Seed<'_> {
    fn drop(&mut self) {
        self.end_server();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seed")
}
