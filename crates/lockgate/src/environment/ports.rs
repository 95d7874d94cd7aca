//! Ports of gateways, unique over all environments.
