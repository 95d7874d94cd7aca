//! Deploying again with every change, and telling what becomes of gateways meanwhile.

use super::{Deployed, once};
use crate::commands::turn::{LOOK_AGAIN, LockArgs};
use crate::context::Context;
use crate::deploy::Request;
use crate::deploy::news::News;
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::watch::{Sources, Watch};

/// What is watched beside the bundle, and how.
#[derive(Debug)]
pub(crate) struct Watching {
    /// By looking twice a second, not by notices.
    poll: bool,
    /// An edit of these runs the build command.
    sources: Option<Sources>,
}

impl Watching {
    /// From now on. With `build` sources are watched, too.
    pub(crate) async fn new(poll: bool, build: bool, request: &Request) -> Self {
        let folders = &request.job.resolved.sources;
        let sources = if build && !folders.is_empty() {
            Some(Sources::new(folders).await)
        } else {
            None
        };
        Self { poll, sources }
    }

    /// Waits for an edit; for ever, where sources are not watched.
    async fn edited(&mut self) {
        match &mut self.sources {
            Some(sources) => sources.edited().await,
            None => std::future::pending().await,
        }
    }
}

/// Deploys whenever the bundle's folder changes, and builds when a source does, where that
/// is wanted. What fails is told and deploys nothing. `first` is what was deployed before.
pub(crate) async fn watch(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
    first: Deployed,
    mut how: Watching,
    again: impl Fn() -> Result<Request, CommandError>,
) -> std::convert::Infallible {
    let bundle = &request.job.resolved.bundle;
    let folder = bundle.parent().unwrap_or(bundle);
    let mut watch = Watch::new(folder, how.poll);
    let polls = if watch.polls() {
        " (looking twice a second)"
    } else {
        ""
    };
    let sources = how.sources.as_ref().map_or("", |_| " and the sources");
    ctx.screen.say(&format!(
        "watching {}{sources}{polls}; Ctrl-C ends",
        folder.display()
    ));
    let mut news = News::since(first.seen);
    loop {
        let build = tokio::select! {
            () = watch.changed() => false,
            () = how.edited() => true,
            never = news.tell(ctx, control, &request.job.env) => match never {},
        };
        ctx.screen.say("");
        present(ctx, control).await;
        // lockgate.toml may have changed, too, so everything is read again.
        let deployed = match again() {
            // A deploy that nobody called for by hand waits for whoever is at it.
            Ok(request) => {
                once(
                    ctx,
                    control,
                    &Request { build, ..request },
                    LockArgs::ENDLESS,
                )
                .await
            }
            Err(error) => Deployed::failed(error),
        };
        if build {
            watch.settle();
        }
        if let Err(error) = &deployed.result {
            ctx.screen.failed(error);
            ctx.screen.say("still watching");
        }
        if deployed.seen.is_some() {
            news = News::since(deployed.seen);
        }
    }
}

/// Waits for the server: what changed while it was away is not lost.
async fn present(ctx: &Context, control: &ControlClient) {
    let mut told = false;
    while control.server().await.is_err() {
        if !told {
            ctx.screen
                .warn("the server is away; this change is deployed when it is back");
        }
        told = true;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
