//! What is asked and done about containers that this home has not made: only what `adopt` names
//! first does anything to one.

use bollard::models::{
    ContainerInspectResponse, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::RenameContainerOptionsBuilder;

use super::super::found::Restart;
use super::{Engine, EngineError};

impl Engine {
    /// Everything about a container; `None` where it is gone.
    pub(crate) async fn inspect(
        &self,
        id: &str,
    ) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let found = self.docker.inspect_container(id, None).await;
        match found.map_err(self.refused(format!("show the container `{id}`"))) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The variables that an image gives its containers, `NAME=value`; none where it is gone.
    pub(crate) async fn image_variables(&self, image: &str) -> Result<Vec<String>, EngineError> {
        let found = self.docker.inspect_image(image).await;
        match found.map_err(self.refused(format!("show the image `{image}`"))) {
            Ok(found) => Ok(found.config.and_then(|it| it.env).unwrap_or_default()),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Gives a container another name; one that has it keeps it.
    pub(crate) async fn rename(&self, id: &str, from: &str, to: &str) -> Result<(), EngineError> {
        let has = |shown: &ContainerInspectResponse| {
            let name = shown.name.as_deref().unwrap_or_default();
            name.trim_start_matches('/') == to
        };
        if self.inspect(id).await?.as_ref().is_some_and(has) {
            return Ok(());
        }
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        let renamed = self.docker.rename_container(id, options).await;
        renamed.map_err(self.refused(format!("rename the container `{from}` to `{to}`")))
    }

    /// Says when a container is started again by the engine itself.
    pub(crate) async fn set_restart(
        &self,
        id: &str,
        name: &str,
        restart: &Restart,
    ) -> Result<(), EngineError> {
        let policy: Result<RestartPolicyNameEnum, _> = restart.policy.parse();
        let body = ContainerUpdateBody {
            restart_policy: Some(RestartPolicy {
                // What an engine has said it takes again; nothing else is ever asked for.
                name: Some(match policy {
                    Ok(RestartPolicyNameEnum::EMPTY) | Err(_) => RestartPolicyNameEnum::NO,
                    Ok(policy) => policy,
                }),
                maximum_retry_count: restart.retries,
            }),
            ..ContainerUpdateBody::default()
        };
        let updated = self.docker.update_container(id, body).await;
        updated.map_err(self.refused(format!("change when `{name}` is started again")))
    }
}
