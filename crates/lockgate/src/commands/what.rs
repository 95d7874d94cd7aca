//! What is named beside an environment: a gateway by number or name, or a service.

use lockgate_model::ServiceName;

use super::{gateways, services};
use crate::environment::Environment;
use crate::error::CommandError;
use crate::workspace::services::Service;

/// A part of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A gateway, by number.
    Gateway(u32),
    /// A service of the host.
    Service(ServiceName),
}

/// The part that is meant of those that the environment has.
pub(crate) fn what(environment: &Environment, text: &str) -> Result<What, CommandError> {
    what_or_new(environment, &[], text)
}

/// The part that is meant of those that the environment has or would get from its workspace, and
/// the services of that. A gateway is found without it: it may be broken or gone.
pub(crate) fn what_now(
    environment: &Environment,
    text: &str,
) -> Result<(What, Vec<Service>), CommandError> {
    if let Ok(gateway) = environment.find_gateway(text) {
        return Ok((What::Gateway(gateway.number), Vec::new()));
    }
    let all = services::of_workspace(environment)?;
    Ok((what_or_new(environment, &all, text)?, all))
}

fn what_or_new(
    environment: &Environment,
    more: &[Service],
    text: &str,
) -> Result<What, CommandError> {
    let known = environment.services.iter().map(|service| &service.name);
    let mut names: Vec<&ServiceName> = known.chain(more.iter().map(|it| &it.name)).collect();
    names.sort();
    names.dedup();
    if let Some(name) = names.iter().find(|name| name.as_str() == text) {
        return Ok(What::Service((*name).clone()));
    }
    gateways::number(environment, text)
        .map(What::Gateway)
        .map_err(|error| {
            if names.is_empty() {
                return error;
            }
            let env = &environment.name;
            let gateways = environment.gateways.iter();
            let gateways: Vec<String> = gateways
                .map(|gateway| format!("`{}`", environment.gateway_name(gateway)))
                .collect();
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            CommandError::usage(format!(
                "environment `{env}` has no gateway and no service `{text}`"
            ))
            .hint(format!(
                "there are the gateways {} and the services {}",
                gateways.join(", "),
                names.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::services::wanted;
    use crate::environment::tests::sample;
    use crate::views::paint::Paint;

    #[test]
    fn a_name_is_a_services_or_a_gateways() {
        let mut environment = sample("dev-001");
        let ganymede = ServiceName::parse("ganymede").unwrap();
        environment.services.push(wanted(&ganymede));
        let check = |text: &str, expected| assert_eq!(what(&environment, text).unwrap(), expected);
        check("0", What::Gateway(0));
        check("gw-pool-dev-001-0", What::Gateway(0));
        check("ganymede", What::Service(ganymede));
        let error = what(&environment, "ganimede").unwrap_err();
        assert!(error.is_usage());
        let text = error.render(Paint::new(false));
        assert!(
            text.contains("no gateway and no service `ganimede`")
                && text.contains("the gateways `gw-pool-dev-001-0` and the services `ganymede`"),
            "{text}"
        );
        let text = what(&sample("dev-001"), "x").unwrap_err();
        let text = text.render(Paint::new(false));
        assert!(text.contains("has no gateway `x`"), "{text}");
        assert!(!text.contains("service"), "{text}");
    }
}
