//! `lockgate list`: the environments of this host.

use clap::Args;
use lockgate_model::BuildId;
use schemars::JsonSchema;
use serde::Serialize;

use super::create::Described;
use crate::context::Context;
use crate::deploy::is_for_all;
use crate::environment::Environment;
use crate::environment::desired::Desired;
use crate::error::CommandError;
use crate::server::ServerDescription;
use crate::server::control::ControlClient;
use crate::views::paint::Tone;
use crate::views::table::{self, Cell, Column};

/// List environments
#[derive(Debug, Args)]
pub(crate) struct ListArgs {}

const COLUMNS: [Column; 5] = [
    Column::kept("ENVIRONMENT"),
    Column::kept("PUBLISHED"),
    Column::expendable("GATEWAYS", 1),
    Column::expendable("DOMAIN", 2),
    Column::expendable("WORKSPACE", 3),
];

/// The environments of this host.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Environments<'e> {
    /// Each of them.
    environments: Vec<Listed<'e>>,
    /// The server; null where none runs.
    server: Option<ServerDescription>,
}

/// An environment, and what was published to it.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed<'e> {
    #[serde(flatten)]
    environment: Described<'e>,
    /// The build that was published to every gateway last.
    published_build: Option<BuildId>,
}

/// Prints a line for each environment.
pub(crate) async fn list(_args: &ListArgs, ctx: &Context) -> Result<(), CommandError> {
    let environments = Environment::list(&ctx.config.home)?;
    let store = ctx.store()?;
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for environment in &environments {
        // What was published to all of them last; what really runs is each gateway's own, see `status`.
        let history = store.publications(&environment.name)?;
        let published = history.into_iter().rev().find(is_for_all);
        let whole = Desired::load(&ctx.config.home, &environment.name)?.whole;
        let published = whole
            .map(|whole| whole.build)
            .or(published.map(|publication| publication.build));
        documents.push(Listed {
            environment: super::create::described(environment),
            published_build: published.clone(),
        });
        let ports = match (environment.gateways.first(), environment.gateways.last()) {
            (Some(first), Some(last)) if first.http_port != last.http_port => {
                format!(
                    "{} ({}–{})",
                    environment.gateways.len(),
                    first.http_port,
                    last.http_port
                )
            }
            (Some(only), _) => format!("1 ({})", only.http_port),
            _ => "0".to_owned(),
        };
        rows.push([
            Cell::new(environment.name.as_str(), Tone::Strong),
            Cell::maybe(published),
            ports.into(),
            environment.domain.as_str().into(),
            environment.workspace.display().to_string().into(),
        ]);
    }
    let server = ControlClient::connect(&ctx.config.home)
        .await
        .map(|(_, server)| server);
    if ctx.screen.is_json() {
        return ctx.screen.document(&Environments {
            environments: documents,
            server,
        });
    }
    if rows.is_empty() {
        ctx.screen.say("no environments yet");
        ctx.screen
            .hint("`lockgate up` makes one, builds, deploys and watches");
        return Ok(());
    }
    ctx.screen.data(&table::render(
        COLUMNS,
        &rows,
        ctx.screen.width,
        ctx.screen.out,
    ))?;
    if server.is_none() {
        ctx.screen.warn("no server runs, so no gateway of the local runtime does; `lockgate serve --detach` starts it");
    }
    Ok(())
}
