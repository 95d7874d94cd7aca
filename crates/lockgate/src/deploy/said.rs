//! What the gateways of an environment were told last.

use lockgate_builds::sign::PublicKey;
use lockgate_builds::store::Store;
use lockgate_model::{BuildId, Statement};

use crate::environment::Environment;
use crate::error::CommandError;

/// The newest of all statements; an error where nothing was deployed yet.
pub(crate) fn newest(environment: &Environment, store: &Store) -> Result<Statement, CommandError> {
    let all = statements(environment, store)?;
    all.into_iter()
        .max_by_key(|statement| statement.seq)
        .ok_or_else(|| {
            let env = &environment.name;
            CommandError::failed(format!("nothing was deployed to environment `{env}` yet"))
                .hint(format!("`lockgate deploy {env}` does"))
        })
}

/// The builds that gateways run, will run, or go back to.
pub(crate) fn builds(
    environment: &Environment,
    store: &Store,
) -> Result<Vec<BuildId>, CommandError> {
    let all = statements(environment, store)?;
    Ok(all
        .into_iter()
        .flat_map(|statement| [Some(statement.build), statement.previous])
        .flatten()
        .collect())
}

fn statements(environment: &Environment, store: &Store) -> Result<Vec<Statement>, CommandError> {
    let key = PublicKey::parse(&environment.public_key)?;
    let mut statements = Vec::new();
    for gateway in &environment.gateways {
        if let Some((_, signed)) = store.statement(&environment.gateway_name(gateway))? {
            statements.push(key.open(&signed)?);
        }
    }
    Ok(statements)
}
