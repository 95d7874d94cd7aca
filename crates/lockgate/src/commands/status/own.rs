//! What the host alone knows of an environment's gateways: their variables and tokens.

use std::collections::BTreeMap;

use lockgate_model::GatewayName;

use crate::context::Context;
use crate::environment::Environment;
use crate::environment::tokens::{expires, renew};
use crate::environment::variables::{Shown, Variables};
use crate::error::CommandError;

/// A token is told about when it has less than this left, in milliseconds: so long before its end
/// a publication makes a new one.
const SOON_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Variables by name and digest, and when tokens end.
pub(crate) struct Own {
    variables: Vec<Shown>,
    /// UNIX milliseconds; tokens that do not say so are left out.
    expires: BTreeMap<GatewayName, u64>,
}

impl Own {
    /// Reads what is written down of it.
    pub(crate) fn read(ctx: &Context, environment: &Environment) -> Result<Self, CommandError> {
        let (home, env) = (&ctx.config.home, &environment.name);
        let mut ends = BTreeMap::new();
        for gateway in &environment.gateways {
            let name = environment.gateway_name(gateway);
            // One that cannot be read is told by whoever needs it; the rest is shown all the same.
            let token = renew::current(&home.gateway_dir(&name)).ok();
            if let Some(secs) = token.and_then(|token| expires(&token)) {
                ends.insert(name, secs.saturating_mul(1000));
            }
        }
        Ok(Self {
            variables: Variables::load(home, env)?.shown(env),
            expires: ends,
        })
    }

    /// The variables, for programs.
    pub(crate) fn variables(&self) -> &[Shown] {
        &self.variables
    }

    /// When a gateway's token ends, UNIX milliseconds.
    pub(crate) fn expires(&self, gateway: &GatewayName) -> Option<u64> {
        self.expires.get(gateway).copied()
    }

    /// That a gateway's token ends soon, or has.
    pub(crate) fn note(&self, gateway: &GatewayName, now: u64) -> Option<String> {
        let left = self.expires(gateway)?.saturating_sub(now);
        if left > SOON_MS {
            return None;
        }
        let when = match left / DAY_MS {
            0 if left == 0 => "has ended".to_owned(),
            0 => "ends today".to_owned(),
            1 => "ends in a day".to_owned(),
            days => format!("ends in {days} days"),
        };
        let env = gateway.env();
        Some(format!(
            "its GATEWAY_TOKEN {when}; `lockgate deploy {env}` gives it a new one"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_ends_soon_is_told_with_the_way_to_a_new_one() {
        let name = GatewayName::parse("gw-pool-dev-0").unwrap();
        let own = Own {
            variables: Vec::new(),
            expires: [(name.clone(), 100 * DAY_MS)].into(),
        };
        for (day, expected) in [
            (69, None),
            (70, Some("ends in 30 days")),
            (99, Some("ends in a day")),
            (100, Some("has ended")),
            (400, Some("has ended")),
        ] {
            let note = own.note(&name, day * DAY_MS);
            let expected = expected.map(|when| {
                format!("its GATEWAY_TOKEN {when}; `lockgate deploy dev` gives it a new one")
            });
            assert_eq!(note, expected, "{day}");
        }
        let other = GatewayName::parse("gw-pool-dev-1").unwrap();
        assert_eq!(own.note(&other, 100 * DAY_MS), None);
    }
}
