//! The domains that are answered for, and where all their names lead.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use lockgate_model::RouteName;

/// How long an answer may be kept: environments come and go, and asking again costs nothing.
const TTL_SECS: u32 = 10;
/// How long a secondary server would wait; there is none.
const SOA_SECS: i32 = 3600;
/// The zones' one version: nobody keeps copies that could be compared.
const SERIAL: u32 = 1;

/// The domains that are answered for, and where all their names lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones {
    domains: Vec<Name>,
    addresses: Vec<IpAddr>,
}

impl Zones {
    /// Zones of these domains, all of whose names lead to these addresses.
    pub fn new<'a>(domains: impl IntoIterator<Item = &'a RouteName>, addresses: &[IpAddr]) -> Self {
        // What is no name for the DNS cannot be asked for either.
        let name = |domain: &RouteName| Name::from_ascii(format!("{domain}.")).ok();
        let mut domains: Vec<Name> = domains.into_iter().filter_map(name).collect();
        domains.sort();
        domains.dedup();
        Self {
            domains,
            addresses: addresses.to_vec(),
        }
    }

    /// The zone that a name lies in; of two of which one lies below the other, the lower one.
    pub(super) fn zone_of(&self, name: &Name) -> Option<&Name> {
        let all = self.domains.iter().filter(|domain| domain.zone_of(name));
        all.max_by_key(|domain| domain.num_labels())
    }

    /// What there is of a type at a name of a zone; nothing where the name has none of it.
    pub(super) fn records(&self, zone: &Name, name: &Name, kind: RecordType) -> Vec<Record> {
        let is_zone = name == zone;
        let found: Vec<RData> = match kind {
            RecordType::A | RecordType::AAAA | RecordType::ANY => {
                let addresses = self.addresses.iter().map(|address| match address {
                    IpAddr::V4(address) => RData::A(A(*address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
                });
                let is_asked = |data: &RData| kind.is_any() || data.record_type() == kind;
                addresses.filter(is_asked).collect()
            }
            RecordType::NS if is_zone => below(zone, "ns")
                .map(|server| RData::NS(NS(server)))
                .into_iter()
                .collect(),
            RecordType::SOA if is_zone => return soa(zone).into_iter().collect(),
            _ => Vec::new(),
        };
        let record = |data| Record::from_rdata(name.clone(), TTL_SECS, data);
        found.into_iter().map(record).collect()
    }
}

/// Who is responsible for a zone, which also says how long "there is none" may be kept.
pub(super) fn soa(zone: &Name) -> Option<Record> {
    let (server, person) = (below(zone, "ns")?, below(zone, "hostmaster")?);
    let soa = SOA::new(
        server, person, SERIAL, SOA_SECS, SOA_SECS, SOA_SECS, TTL_SECS,
    );
    Some(Record::from_rdata(zone.clone(), TTL_SECS, RData::SOA(soa)))
}

/// A name below a zone; none where it would be too long.
fn below(zone: &Name, label: &str) -> Option<Name> {
    zone.prepend_label(label).ok()
}
