//! Builds the gateway image: what the engine is asked, and what its answers mean.

use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;

use super::failure::{Heard, check_version, not_pulled};
use super::failure::{is_missing, no_agent, said};
use super::output::Lines;
use super::recipe::{self, Recipe};
use super::reference::Reference;
use super::trial;
use crate::error::CommandError;

/// What to build, from what.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The base.
    pub(crate) base: &'a Reference,
    /// The name the image gets.
    pub(crate) tag: &'a Reference,
    /// The agent's program file.
    pub(crate) agent: &'a Path,
    /// The version the agent must have: that of this program.
    pub(crate) version: &'a str,
}

/// An image that was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// Its id.
    pub(crate) id: String,
    /// Its size, the base's layers included.
    pub(crate) size_bytes: u64,
}

/// Builds the image and names it. `tell` gets each line of what the engine does.
pub(crate) async fn build(
    docker: &Docker,
    order: &Order<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<Built, CommandError> {
    let (repository, tag) = order.tag.repository_and_tag().ok_or_else(|| {
        CommandError::usage(format!("`{}` is a digest, not a name to give", order.tag))
    })?;
    let agent = std::fs::read(order.agent).map_err(|error| no_agent(order.agent, &error))?;
    let base = base(docker, order.base, tell).await?;
    let dockerfile = recipe::dockerfile(&Recipe {
        base: order.base.as_str(),
        base_has_path: has_path(&base),
        version: order.version,
    });
    let context = recipe::context(&dockerfile, &agent).map_err(|error| {
        CommandError::failed("cannot pack the context of the image").because(&error)
    })?;
    let id = run(docker, order, context, tell).await?;
    let wrote = trial::agent(docker, &id, order.base).await?;
    for line in &wrote {
        tell(line);
    }
    check_version(order.agent, &wrote, order.version)?;

    let named = TagImageOptionsBuilder::new()
        .repo(repository)
        .tag(tag)
        .build();
    let failed = |error: &Error| {
        CommandError::failed(format!("cannot name the image `{}`", order.tag))
            .because_of(said(error))
    };
    docker
        .tag_image(&id, Some(named))
        .await
        .map_err(|error| failed(&error))?;
    let image = docker
        .inspect_image(&id)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Built {
        id,
        size_bytes: image
            .size
            .and_then(|size| size.try_into().ok())
            .unwrap_or(0),
    })
}

/// The base as the engine knows it; pulled where it is not there.
async fn base(
    docker: &Docker,
    base: &Reference,
    tell: &mut dyn FnMut(&str),
) -> Result<ImageInspect, CommandError> {
    let unknown = |error: &Error| {
        CommandError::failed(format!("cannot look at the base image `{base}`"))
            .because_of(said(error))
    };
    match docker.inspect_image(base.as_str()).await {
        Err(error) if is_missing(&error) => {}
        other => return other.map_err(|error| unknown(&error)),
    }
    tell(&format!("Pulling {base}"));
    // A name without its tag would pull all of them.
    let options = CreateImageOptionsBuilder::new()
        .from_image(&base.with_tag())
        .build();
    let mut pulling = docker.create_image(Some(options), None, None);
    while let Some(step) = pulling.next().await {
        let step = step.map_err(|error| not_pulled(base, &said(&error)))?;
        // Bars of single layers are left out.
        if let (Some(status), None) = (&step.status, &step.progress_detail) {
            let layer = step.id.map_or_else(String::new, |id| format!("{id}: "));
            tell(&format!("{layer}{status}"));
        }
    }
    docker
        .inspect_image(base.as_str())
        .await
        .map_err(|error| unknown(&error))
}

fn has_path(image: &ImageInspect) -> bool {
    let variables = image.config.as_ref().and_then(|config| config.env.as_ref());
    variables.is_some_and(|all| all.iter().any(|line| line.starts_with("PATH=")))
}

/// Runs the build and gives the image's id.
async fn run(
    docker: &Docker,
    order: &Order<'_>,
    context: Vec<u8>,
    tell: &mut dyn FnMut(&str),
) -> Result<String, CommandError> {
    // Nothing is fetched while it builds; and containers of failed steps go, too.
    let options = BuildImageOptionsBuilder::new()
        .dockerfile("Dockerfile")
        .networkmode("none")
        .rm(true)
        .forcerm(true)
        .build();
    let body = bollard::body_full(context.into());
    let mut building = docker.build_image(options, None, Some(body));
    let (mut heard, mut lines, mut id) = (Heard::default(), Lines::default(), None);
    let mut take = |heard: &mut Heard, line: &str| {
        if heard.line(line) {
            tell(line);
        }
    };
    while let Some(step) = building.next().await {
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                if let Some(line) = lines.rest() {
                    take(&mut heard, &line);
                }
                return Err(heard.failure(order.base, &said(&error)));
            }
        };
        for line in lines.push(step.stream.as_deref().unwrap_or_default()) {
            take(&mut heard, &line);
        }
        id = step.aux.and_then(|aux| aux.id).or(id);
    }
    id.ok_or_else(|| {
        CommandError::failed("the engine built an image and did not say which")
            .hint("`lockgate` is tried with Docker 20.10 and newer")
    })
}
