//! What one door does otherwise than another.

use super::ForwardedHeaders;
use super::wait::WaitingRoom;

/// Which of the two doors it is that a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// A gateway's: the application stands behind it.
    #[default]
    Gateway,
    /// The host's: gateways' doors stand behind it.
    Front,
}

/// The rules of a door.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) stage: Stage,
    pub(super) forwarded: ForwardedHeaders,
    /// Where requests wait for a gateway; without one none does.
    pub(super) room: Option<WaitingRoom>,
}
