//! What an environment as a whole shall run, and how far a publication to it has come.

use lockgate_builds::store::Store;
use lockgate_model::{BuildId, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::deploy::strategy::DeployStrategy;
use crate::environment::Environment;
use crate::environment::desired::{Begun, Desired};
use crate::environment::lock::{self, Holder};
use crate::error::CommandError;
use crate::views::text;

/// A publication that has not reached every gateway, for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rollout")]
pub(crate) struct RolloutDocument<'w> {
    /// The build.
    build: &'w BuildId,
    /// The number of its statements.
    seq: u64,
    /// In which order gateways get it.
    strategy: DeployStrategy,
    /// When it began, UNIX milliseconds.
    at: u64,
    /// Who began it: `user@host`.
    by: &'w str,
    /// Whether somebody is at it.
    under_way: bool,
    /// The gateways that have its statement.
    reached: &'w [GatewayName],
    /// Those that shall get it and do not have it.
    left: &'w [GatewayName],
}

/// An environment's build, and a publication that has not reached every gateway.
pub(crate) struct Whole {
    desired: Desired,
    /// The gateways that have that publication's statement.
    reached: Vec<GatewayName>,
    /// Those that shall get it and do not have it.
    left: Vec<GatewayName>,
    /// Who is at it.
    holder: Option<Holder>,
}

impl Whole {
    /// Reads what is written down of it.
    pub(crate) fn read(ctx: &Context, environment: &Environment) -> Result<Self, CommandError> {
        let (home, env) = (&ctx.config.home, &environment.name);
        let desired = Desired::load(home, env)?;
        let store = ctx.store()?;
        let (mut reached, mut left) = (Vec::new(), Vec::new());
        if let Some(begun) = &desired.begun {
            for gateway in environment.unpinned() {
                let name = environment.gateway_name(gateway);
                if has(&store, &name, begun)? {
                    reached.push(name);
                } else {
                    left.push(name);
                }
            }
        }
        Ok(Self {
            desired,
            reached,
            left,
            holder: lock::holder(home, env),
        })
    }

    /// The build that was published to every gateway last.
    pub(crate) fn build(&self) -> Option<&BuildId> {
        self.desired.whole.as_ref().map(|whole| &whole.build)
    }

    /// A publication that has not reached every gateway, for programs.
    pub(crate) fn document(&self) -> Option<RolloutDocument<'_>> {
        let begun = self.desired.begun.as_ref()?;
        Some(RolloutDocument {
            build: &begun.build,
            seq: begun.seq,
            strategy: begun.strategy,
            at: begun.at,
            by: &begun.by,
            under_way: self.holder.is_some(),
            reached: &self.reached,
            left: &self.left,
        })
    }

    /// The same for people.
    pub(crate) fn note(&self, now: u64) -> Option<String> {
        let begun = self.desired.begun.as_ref()?;
        let (build, strategy) = (&begun.build, begun.strategy.as_str());
        let (at, by) = (text::ago(begun.at, now), &begun.by);
        let reached = names(&self.reached);
        if let Some(holder) = &self.holder {
            return Some(format!(
                "a deploy of {build} ({strategy}, {at}, by {by}) is under way in process {}; so far it reached {reached}",
                holder.pid
            ));
        }
        // Where nobody is left, only the writing down was interrupted.
        let env = self.left.first()?.env();
        let keep = if self.left.len() == 1 {
            "keeps"
        } else {
            "keep"
        };
        Some(format!(
            "a deploy of {build} ({strategy}, {at}, by {by}) did not come to its end: it reached {reached}; \
             {} {keep} what was there; `lockgate deploy {env}` goes on, `lockgate rollback {env}` goes back",
            names(&self.left)
        ))
    }
}

/// Whether a gateway was told by this publication. Whether the statement is genuine is its
/// agent's affair.
fn has(store: &Store, gateway: &GatewayName, begun: &Begun) -> Result<bool, CommandError> {
    let held = store.statement(gateway)?;
    Ok(held.is_some_and(|(seq, _)| seq == begun.seq))
}

fn names(gateways: &[GatewayName]) -> String {
    if gateways.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<&str> = gateways.iter().map(GatewayName::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(reached: &[u32], left: &[u32], pid: Option<u32>) -> Whole {
        let name = |number: &u32| GatewayName::parse(&format!("gw-pool-dev-{number}")).unwrap();
        Whole {
            desired: Desired {
                whole: None,
                begun: Some(Begun {
                    build: BuildId::parse(&"b".repeat(12)).unwrap(),
                    seq: 7,
                    strategy: DeployStrategy::Rolling,
                    at: 0,
                    by: "ada@box".to_owned(),
                }),
            },
            reached: reached.iter().map(name).collect(),
            left: left.iter().map(name).collect(),
            holder: pid.map(|pid| Holder {
                pid,
                since: 0,
                what: "deploy".to_owned(),
            }),
        }
    }

    #[test]
    fn a_deploy_that_stopped_half_way_is_told_with_the_ways_on() {
        let told = "a deploy of bbbbbbbbbbbb (rolling, 1 min ago, by ada@box)";
        let check = |whole: Whole, expected: &str| {
            assert_eq!(whole.note(60_000), Some(format!("{told} {expected}")));
        };
        check(
            whole(&[0], &[1, 2], None),
            "did not come to its end: it reached gw-pool-dev-0; gw-pool-dev-1, gw-pool-dev-2 keep what was there; \
             `lockgate deploy dev` goes on, `lockgate rollback dev` goes back",
        );
        check(
            whole(&[], &[0], None),
            "did not come to its end: it reached none; gw-pool-dev-0 keeps what was there; \
             `lockgate deploy dev` goes on, `lockgate rollback dev` goes back",
        );
        assert_eq!(whole(&[0, 1], &[], None).note(60_000), None);
        check(
            whole(&[0], &[1], Some(4711)),
            "is under way in process 4711; so far it reached gw-pool-dev-0",
        );
    }
}
