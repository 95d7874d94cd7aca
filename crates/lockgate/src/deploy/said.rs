//! What the gateways of an environment were told last.

use lockgate_builds::sign::PublicKey;
use lockgate_builds::store::Store;
use lockgate_model::{BuildId, Statement};

use crate::environment::Environment;
use crate::environment::desired::{Desired, Whole};
use crate::error::CommandError;
use crate::home::Home;

/// The newest of all statements; an error where nothing was deployed yet.
pub(crate) fn newest(environment: &Environment, store: &Store) -> Result<Statement, CommandError> {
    last(environment, None, store)
}

/// What one gateway, or any of them, was told last; an error where that is nothing.
pub(crate) fn last(
    environment: &Environment,
    only: Option<u32>,
    store: &Store,
) -> Result<Statement, CommandError> {
    let env = &environment.name;
    let told = statements(environment, store)?.into_iter();
    told.filter(|told| only.is_none_or(|only| told.gateway.number() == only))
        .max_by_key(|told| told.seq)
        .ok_or_else(|| {
            let whom = only.map_or_else(
                || format!("environment `{env}`"),
                |only| format!("gateway {only} of `{env}`"),
            );
            CommandError::failed(format!("nothing was deployed to {whom} yet"))
                .hint(format!("`lockgate deploy {env}` does"))
        })
}

/// What these gateways were told last, newest first; nothing where that was nothing.
pub(crate) fn told(
    environment: &Environment,
    numbers: &[u32],
    store: &Store,
) -> Result<Vec<Statement>, CommandError> {
    let mut told = statements(environment, store)?;
    told.retain(|told| numbers.contains(&told.gateway.number()));
    told.sort_by_key(|told| std::cmp::Reverse(told.seq));
    Ok(told)
}

/// What the environment's gateways shall run. Where that was never written down, it is what
/// the gateways that are not pinned were told last.
pub(crate) fn desired(
    home: &Home,
    environment: &Environment,
    store: &Store,
) -> Result<Desired, CommandError> {
    let mut desired = Desired::load(home, &environment.name)?;
    if desired == Desired::default() {
        let told = statements(environment, store)?.into_iter().filter(|told| {
            let mut unpinned = environment.unpinned();
            unpinned.any(|one| environment.gateway_name(one) == told.gateway)
        });
        desired.whole = told.max_by_key(|told| told.seq).map(|told| Whole {
            build: told.build,
            settings: told.settings,
        });
    }
    Ok(desired)
}

/// The builds that gateways run, will run, or go back to, and those they are pinned to.
pub(crate) fn builds(
    home: &Home,
    environment: &Environment,
    store: &Store,
) -> Result<Vec<BuildId>, CommandError> {
    let told = statements(environment, store)?;
    let told = told
        .into_iter()
        .flat_map(|statement| [Some(statement.build), statement.previous])
        .flatten();
    let desired = desired(home, environment, store)?;
    let pinned = environment.pinned().map(|(_, pin)| &pin.build);
    Ok(told
        .chain(pinned.chain(desired.builds()).cloned())
        .collect())
}

/// The statements that gateways have, those of another key left out: no agent follows them.
fn statements(environment: &Environment, store: &Store) -> Result<Vec<Statement>, CommandError> {
    let key = PublicKey::parse(&environment.public_key)?;
    let mut statements = Vec::new();
    for gateway in &environment.gateways {
        let name = environment.gateway_name(gateway);
        let Some((_, signed)) = store.statement(&name)? else {
            continue;
        };
        match key.open(&signed) {
            Ok(statement) => statements.push(statement),
            Err(error) => {
                tracing::warn!(gateway = %name, %error, "stored statement is not of this key");
            }
        }
    }
    Ok(statements)
}
