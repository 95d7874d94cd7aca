//! Gateways as they are named on the command line: `0`, or `gw-pool-dev-001-0`.

use crate::environment::Environment;
use crate::error::CommandError;

/// The number of a gateway of this environment.
pub(crate) fn number(environment: &Environment, text: &str) -> Result<u32, CommandError> {
    let found = environment.find_gateway(text);
    found.map(|gateway| gateway.number).map_err(|error| {
        let all = environment.gateways.iter();
        let all: Vec<String> = all
            .map(|gateway| format!("`{}`", environment.gateway_name(gateway)))
            .collect();
        CommandError::usage(error.to_string()).hint(format!("there are {}", all.join(", ")))
    })
}

/// The numbers of all that are named; `None` means every gateway.
pub(crate) fn numbers(
    environment: &Environment,
    named: &[String],
) -> Result<Option<Vec<u32>>, CommandError> {
    if named.is_empty() {
        return Ok(None);
    }
    let mut numbers = named
        .iter()
        .map(|text| number(environment, text))
        .collect::<Result<Vec<_>, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Some(numbers))
}
