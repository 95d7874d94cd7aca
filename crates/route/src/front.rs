//! The front door: every organization of every environment at one address.
//!
//! ```text
//!  https ── secured ──┐
//!  http ─── plain ────┼─▶ FrontTable ─▶ a gateway's door │ a site │ a page that says who
//!  http ─ redirecting ┘                 └ waits for it while it is restarted
//! ```
//!
//! One value is followed by all listeners: a change counts for the next request, and no
//! connection is closed for it. All listeners share one room in which requests wait.

use std::time::Duration;

use lockgate_model::{
    FrontGateway, FrontTable, GatewayName, Nobody, Site, SiteName, Standing, Target,
};
use tokio::sync::watch;

use crate::lookup::{Decision, Lookup, Unavailable, Upstream};
use crate::proxy::{EmbeddedProxy, Patience, WaitingRoom};
use crate::tls::Certificates;

/// After how long a client should ask again whose gateway was not there.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What the listeners of a front door share.
#[derive(Debug, Clone)]
pub struct FrontDoor {
    table: watch::Receiver<FrontTable>,
    room: WaitingRoom,
}

impl FrontDoor {
    /// A front door that follows this table.
    pub fn new(table: watch::Receiver<FrontTable>, patience: Patience) -> Self {
        Self {
            table,
            room: WaitingRoom::new(patience),
        }
    }

    /// For a listener that speaks TLS: HTTP/1.1, HTTP/2 and what is upgraded.
    pub fn secured(&self, certificates: watch::Receiver<Certificates>) -> EmbeddedProxy {
        self.plain().secured(certificates)
    }

    /// For a listener that serves the same without TLS, by HTTP/1.1.
    pub fn plain(&self) -> EmbeddedProxy {
        let table = self.table.clone();
        let lookup = Lookup::watching(table, |table, asked| decide(table, asked.host));
        EmbeddedProxy::front(lookup, self.room.clone())
    }

    /// For a listener that sends who asks for a name that is served to HTTPS, at the port
    /// on which clients reach that.
    pub fn redirecting(&self, https_port: u16) -> EmbeddedProxy {
        let table = self.table.clone();
        let lookup = Lookup::watching(table, move |table, asked| match decide(table, asked.host) {
            Decision::Nobody(why) => Decision::Nobody(why),
            _ => Decision::Secure(https_port),
        });
        EmbeddedProxy::front(lookup, self.room.clone())
    }
}

/// Where a request for this host goes.
fn decide(table: &FrontTable, host: &str) -> Decision {
    match table.lookup(host) {
        Target::Gateway { gateway, known } => to_gateway(gateway, known),
        Target::Site(Site::Upstream(addr)) => Decision::To(Upstream {
            addr: *addr,
            gateway: None,
            build: None,
            epoch: 0,
            leaves: false,
        }),
        Target::Site(Site::Folder(folder)) => Decision::Files(folder.clone()),
        Target::Nobody(nobody) => Decision::Nobody(what_would_serve(&nobody)),
    }
}

fn to_gateway(gateway: &GatewayName, known: Option<&FrontGateway>) -> Decision {
    let unavailable = |why: &str| unavailable(gateway, known, why);
    match known.map(|known| &known.standing) {
        Some(Standing::At { address, life }) => Decision::To(Upstream {
            addr: *address,
            gateway: Some(gateway.clone()),
            build: known.and_then(|known| known.build.clone()),
            epoch: *life,
            leaves: false,
        }),
        Some(Standing::Starting) => Decision::Wait(unavailable("is being started")),
        Some(Standing::Stopped(why)) => {
            Decision::Unavailable(unavailable(&format!("does not run: {why}")))
        }
        None => Decision::Unavailable(unavailable("is not known to run")),
    }
}

/// What is said of a gateway that cannot answer.
pub(crate) fn unavailable(
    gateway: &GatewayName,
    known: Option<&FrontGateway>,
    why: &str,
) -> Unavailable {
    Unavailable {
        gateway: Some(gateway.clone()),
        build: known.and_then(|known| known.build.clone()),
        why: format!("gateway `{gateway}` {why}"),
        retry_after: RETRY_AFTER,
    }
}

/// Why nobody answers for a host, and what would make somebody.
fn what_would_serve(nobody: &Nobody<'_>) -> String {
    match nobody {
        Nobody::Domain => "no environment serves this domain; `lockgate urls` lists what is \
                           served"
            .to_owned(),
        Nobody::Name(domain) => format!(
            "`{domain}` serves itself, `ganymede.{domain}`, `org-UUID.{domain}` and user \
             containers below that, and this is none of them"
        ),
        Nobody::Organization {
            organization,
            environment,
        } => format!(
            "no gateway serves organization `{organization}`; `lockgate org assign \
             {environment} {organization}` makes one serve it"
        ),
        Nobody::Site { site, environment } => format!(
            "environment `{environment}` has no site for {}",
            match site {
                SiteName::Apex => "its domain itself",
                SiteName::Ganymede => "`ganymede.` of its domain",
            }
        ),
    }
}
