//! `lockgate keys`: with which keys a platform verifies the `GATEWAY_TOKEN`s of an environment.

use clap::Args;
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::environment::tokens::{self, Jwk, TokenKey};
use crate::error::CommandError;

/// Print the keys that verify an environment's gateway tokens, as a JWKS
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
}

/// An environment's public keys.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeySet<'k> {
    /// The environment.
    env: &'k EnvName,
    /// Who tokens say they are from.
    issuer: &'k str,
    /// The keys, as in a JWK set.
    keys: &'k [&'k Jwk],
}

/// Prints the JWKS alone, so that it can be written to a file that the platform serves or reads;
/// for programs with the environment's name and the tokens' issuer beside it.
pub(crate) fn keys(args: &KeysArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let env = &environment.name;
    let key = TokenKey::of(&ctx.config.home.env_dir(env))?;
    let keys = [key.public()];
    if ctx.screen.is_json() {
        let issuer = tokens::issuer(env);
        return ctx.screen.document(&KeySet {
            env,
            issuer: &issuer,
            keys: &keys,
        });
    }
    let text = serde_json::to_string_pretty(&json!({ "keys": keys }))
        .map_err(|error| CommandError::failed("cannot write JSON").because(&error))?;
    ctx.screen.data(&format!("{text}\n"))
}
