//! `lockgate image build`: from a base to an image, or to what is missing.

use lockgate_e2e::{Engine, Ran, World};
use serde_json::Value;

use crate::{HOW, image};

#[test]
fn an_image_says_what_it_is() {
    let world = World::beside_engine();
    let (engine, name) = image(&world);
    let config = &engine.inspect(name)["Config"];
    assert_eq!(
        config["Entrypoint"],
        serde_json::json!(["/usr/local/bin/lockgate-agent", "run"])
    );
    assert!(config["Cmd"].as_array().is_none_or(Vec::is_empty));
    let environment = config["Env"].as_array().unwrap();
    assert!(environment.contains(&"LOCKGATE_DOOR=nginx".into()));
    assert_eq!(
        config["Labels"]["io.lockgate.agent"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        config["Labels"]["org.opencontainers.image.base.name"],
        engine.base.as_str()
    );
    let checked = config["Healthcheck"]["Test"].as_array().unwrap();
    assert_eq!(checked[1], "/usr/local/bin/lockgate-agent");
}

#[test]
fn programs_are_told_each_line_and_one_result() {
    let world = World::beside_engine();
    let engine = Engine::of_process(HOW);
    let build = [
        "image",
        "build",
        "--base",
        &engine.base,
        "--tag",
        "lockgate-test/json",
        "--format",
        "json",
    ];
    let ran = world.lockgate(&build);
    let lines: Vec<Value> = ran
        .expect(0)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (result, output) = lines.split_last().unwrap();
    assert!(output.iter().all(|line| line["event"] == "output"));
    assert_eq!(result["event"], "result");
    assert_eq!(result["image"], "lockgate-test/json:latest");
    assert_eq!(result["id"], engine.inspect("lockgate-test/json")["Id"]);
    assert!(result["size_bytes"].as_u64().unwrap() > 100_000_000);
}

/// Builds from an image of the base and one more step; it must fail, and name nothing.
fn refused(step: &str) -> Ran {
    let world = World::beside_engine();
    let engine = Engine::of_process(HOW);
    engine.image("lockgate-test/broken", step);
    let name = "lockgate-test/never:1";
    let ran = world.lockgate(&[
        "image",
        "build",
        "--base",
        "lockgate-test/broken",
        "--tag",
        name,
    ]);
    assert_ne!(engine.run(&["image", "inspect", name]).code, 0);
    ran
}

#[test]
fn a_base_without_node_or_nginx_is_refused() {
    refused("RUN rm /usr/local/bin/node")
        .expect(1)
        .says("error: `lockgate-test/broken` has no `node` that runs")
        .says("hint: put Node 20 or newer on the base's PATH");
    refused("RUN rm /usr/sbin/nginx")
        .expect(1)
        .says("error: `lockgate-test/broken` has no `nginx` that runs")
        .says("hint: install nginx in the base");
}

#[test]
fn an_agent_that_does_not_run_in_the_base_is_refused() {
    let world = World::beside_engine();
    let engine = Engine::of_process(HOW);
    let agent = world.dir().join("agent");
    let build = |base: &str| {
        world
            .program("lockgate")
            .env("LOCKGATE_AGENT", &agent)
            .args(["image", "build", "--base", base, "--tag", "lockgate-test/x"])
            .output()
            .unwrap()
    };
    let says = |output: &std::process::Output, text: &str| {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(text), "{told}");
    };
    says(&build(&engine.base), "error: cannot read the agent `");
    // As a program of another machine, or one whose libc is missing.
    std::fs::write(&agent, "no program\n").unwrap();
    let output = build(&engine.base);
    says(&output, "error: `lockgate-agent` does not run in an image");
    says(&output, "hint: a static agent");
    // One that was linked with a libc of the future; a static one needs none.
    let own = std::fs::read(world.program("lockgate-agent").get_program()).unwrap();
    if let Some(future) = linked_with_a_newer_libc(own) {
        std::fs::write(&agent, future).unwrap();
        says(&build(&engine.base), "version `GLIBC_2.99' not found");
    }
    // As one of another release.
    std::fs::write(&agent, "#!/bin/sh\necho lockgate-agent 0.0.1\n").unwrap();
    says(&build(&engine.base), "is version 0.0.1, `lockgate` is");
}

/// The program with the version of libc that it needs raised; `None` where it needs none.
fn linked_with_a_newer_libc(mut program: Vec<u8>) -> Option<Vec<u8>> {
    let (needed, newer) = (b"GLIBC_2.34\0", b"GLIBC_2.99\0");
    let at = program
        .windows(needed.len())
        .position(|found| found == needed)?;
    program
        .get_mut(at..at + newer.len())?
        .copy_from_slice(newer);
    Some(program)
}

#[test]
fn a_base_that_cannot_be_pulled_is_told() {
    let world = World::beside_engine();
    Engine::of_process(HOW);
    world
        .lockgate(&["image", "build", "--base", "acme/gateway-base:7"])
        .expect(1)
        .says("the base image `acme/gateway-base:7` is not here")
        .says("`docker pull acme/gateway-base:7` gets it first");
}

#[test]
fn the_dockerfile_makes_a_base_by_the_classic_builder() {
    let world = World::beside_engine();
    let engine = Engine::of_process(HOW);
    // What its packages and images come from cannot be reached here; the base has them all.
    let base = |name: &str| format!("{name}={}", engine.base);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../image");
    let output = std::process::Command::new("docker")
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--network", "none"])
        .args(["--tag", "lockgate-test/dockerfile"])
        .args(["--build-arg", &base("NODE_IMAGE")])
        .args(["--build-arg", &base("DEBIAN_IMAGE")])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let built = world.lockgate(&[
        "image",
        "build",
        "--base",
        "lockgate-test/dockerfile",
        "--tag",
        "lockgate-test/made",
    ]);
    built.expect(0);
}
