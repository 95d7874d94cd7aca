//! Names that the doors and their clients know.

/// The domain.
pub(crate) const DOMAIN: &str = "bench.test";

/// The organization whose gateway is asked.
pub(crate) const ORGANIZATION: &str = "550e8400-e29b-41d4-a716-446655440000";
