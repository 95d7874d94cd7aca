//! Starts the agent in a container of a fresh image: whether its libc is there and new
//! enough and its machine is the image's is seen in no other way as surely. Each time,
//! since a step of the build would be skipped where the engine has it in its cache.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{LogsOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::StreamExt as _;

use super::failure::agent_failed;
use super::failure::said;
use super::output::Lines;
use super::recipe::AGENT;
use super::reference::Reference;
use crate::error::CommandError;

/// Runs `lockgate-agent --version` in a container of `image` and gives what it wrote.
pub(crate) async fn agent(
    docker: &Docker,
    image: &str,
    base: &Reference,
) -> Result<Vec<String>, CommandError> {
    let failed = |error: &Error| agent_failed(base, &[], &said(error));
    let container = docker
        .create_container(None, container(image))
        .await
        .map_err(|error| failed(&error))?;
    let ran = run(docker, &container.id).await;
    let gone = RemoveContainerOptionsBuilder::new().force(true).v(true);
    // Whether it runs is known; one that stays is found by its image.
    let _ = docker
        .remove_container(&container.id, Some(gone.build()))
        .await;
    match ran.map_err(|error| failed(&error))? {
        (0, output) => Ok(output),
        (code, output) => Err(agent_failed(
            base,
            &output,
            &format!("it ended with exit code {code}"),
        )),
    }
}

/// A container without network, its output kept where it can be read, whatever the engine's
/// own settings are.
fn container(image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![AGENT.to_owned(), "--version".to_owned()]),
        cmd: Some(Vec::new()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Exit code and output.
async fn run(docker: &Docker, id: &str) -> Result<(i64, Vec<String>), Error> {
    docker.start_container(id, None).await?;
    let options = LogsOptionsBuilder::new()
        .follow(true)
        .stdout(true)
        .stderr(true);
    let mut log = docker.logs(id, Some(options.build()));
    let (mut lines, mut output) = (Lines::default(), Vec::new());
    while let Some(piece) = log.next().await {
        output.extend(lines.push(&piece?.to_string()));
    }
    output.extend(lines.rest());
    let ended = docker.wait_container(id, None).next().await;
    match ended {
        Some(Ok(ended)) => Ok((ended.status_code, output)),
        // This is how the library tells any code but 0.
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok((code, output)),
        Some(Err(error)) => Err(error),
        None => Ok((0, output)),
    }
}
