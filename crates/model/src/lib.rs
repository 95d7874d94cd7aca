//! The words that both Lockgate programs speak.
//!
//! The program on the host (`lockgate`) and the one in the gateway
//! (`lockgate-agent`) share nothing but these types and HTTP. Everything here is
//! a value: no I/O, no async, no clock, so that a decision made from it can be
//! tested by a table.
//!
//! ```text
//! workspace ─▶ Manifest ─▶ Statement ═ HTTP ═▶ agent ─▶ Report ═ HTTP ═▶ status
//! ```

mod before_listen;
mod door;
mod duration;
pub mod environment;
mod front;
mod listeners;
mod log;
mod manifest;
mod names;
pub mod ports;
pub mod protocol;
mod report;
mod routes;
mod service;
mod settings;
mod statement;
pub mod vpn;

pub use before_listen::{Act, ActKind, Allowance, AllowanceError};
pub use door::{DoorCard, OWN_NAMES};
pub use duration::duration_text;
pub use front::{
    FrontChange, FrontEnvironment, FrontGateway, FrontTable, GANYMEDE, Nobody, ORGANIZATION_PREFIX,
    OrganizationId, Site, SiteError, SiteName, Standing, Target,
};
pub use listeners::{Holder, Listener, ListenerState, Listeners, Transport, taken_by};
pub use log::{LogEvent, LogLine, LogNews, LogStream};
pub use manifest::{BUILD_INFO, FilePath, Manifest, ManifestFile};
pub use names::{BuildId, Digest, EnvName, GatewayName, KeyId, NameError, ServiceName};
pub use report::{Change, Phase, Refusal, Report, Running, Timings};
pub use routes::{
    CONTAINER_PREFIX, Route, RouteError, RouteName, RouteProblems, RouteTable, plain_host,
};
pub use service::{
    LONGEST_STOP, NotAnswering, ReadyCheck, ReadyCheckError, ServiceDescription, ServiceReport,
};
pub use settings::{AppSettings, AppSocket, Limits, Readiness, Strategy};
pub use statement::{SignedStatement, Statement};
pub use vpn::{VpnAllowance, VpnAllowanceError, VpnPeer, VpnProtocol};
