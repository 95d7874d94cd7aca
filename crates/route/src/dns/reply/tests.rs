use std::net::IpAddr;

use hickory_proto::rr::{Name, RData};
use lockgate_model::RouteName;
use proptest::prelude::*;

use super::*;

fn zones(addresses: &[&str]) -> Zones {
    let domains = ["dev.test", "low.dev.test", "x.localhost"];
    let domains = domains.map(|it| RouteName::parse(it).unwrap());
    let addresses: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
    Zones::new(&domains, &addresses)
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    query
}

fn ask(zones: &Zones, query: &Message, over: Over) -> Message {
    match reply(zones, &query.to_vec().unwrap(), over, false) {
        Reply::Answer(bytes) => Message::from_vec(&bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What is answered: the code, the data, and whether the zone's SOA comes with it.
fn check(name: &str, kind: RecordType, code: ResponseCode, data: &[&str], soa: Option<&str>) {
    let answer = ask(&zones(&["127.0.0.1", "::1"]), &query(name, kind), Over::Udp);
    let found: Vec<String> = answer
        .answers
        .iter()
        .map(|it| it.data.to_string())
        .collect();
    let about: Vec<String> = answer
        .authorities
        .iter()
        .map(|it| it.name.to_string())
        .collect();
    assert_eq!(answer.metadata.response_code, code, "{name} {kind}");
    assert_eq!(found, data, "{name} {kind}");
    assert_eq!(about, Vec::from_iter(soa), "{name} {kind}");
    let owns = code == ResponseCode::NoError;
    assert_eq!(answer.metadata.authoritative, owns, "{name} {kind}");
    assert!(answer.metadata.recursion_desired && !answer.metadata.recursion_available);
    let asked = Name::from_ascii(name).unwrap();
    assert!(answer.answers.iter().all(|it| it.name.eq_case(&asked)));
}

#[test]
fn every_name_at_and_below_a_domain_has_the_addresses() {
    use ResponseCode::NoError;
    for name in [
        "dev.test.",
        "ganymede.dev.test.",
        "org-0d1b3c5e-0000-4000-8000-000000000001.dev.test.",
        "uc-1--web.org-1.dev.test.",
        "oRg-1.DEV.tesT.",
        "a.low.dev.test.",
        "x.localhost.",
    ] {
        check(name, RecordType::A, NoError, &["127.0.0.1"], None);
        check(name, RecordType::AAAA, NoError, &["::1"], None);
        check(name, RecordType::ANY, NoError, &["127.0.0.1", "::1"], None);
    }
}

#[test]
fn what_a_name_has_not_is_no_reason_to_say_that_it_is_not_there() {
    use ResponseCode::NoError;
    for kind in [
        RecordType::TXT,
        RecordType::MX,
        RecordType::HTTPS,
        RecordType::DS,
    ] {
        check("a.dev.test.", kind, NoError, &[], Some("dev.test."));
    }
    check(
        "a.dev.test.",
        RecordType::NS,
        NoError,
        &[],
        Some("dev.test."),
    );
    let lower = Some("low.dev.test.");
    check("a.low.dev.test.", RecordType::SOA, NoError, &[], lower);
    let alone = ask(
        &zones(&["10.0.0.1"]),
        &query("a.dev.test.", RecordType::AAAA),
        Over::Udp,
    );
    assert_eq!(alone.metadata.response_code, NoError);
    assert!(
        alone.answers.is_empty() && alone.authorities.len() == 1,
        "{alone:?}"
    );
}

#[test]
fn a_domain_says_who_is_responsible_for_it() {
    use ResponseCode::NoError;
    check(
        "dev.test.",
        RecordType::NS,
        NoError,
        &["ns.dev.test."],
        None,
    );
    let soa = ["ns.dev.test. hostmaster.dev.test. 1 3600 3600 3600 10"];
    check("dev.test.", RecordType::SOA, NoError, &soa, None);
    check("ns.dev.test.", RecordType::A, NoError, &["127.0.0.1"], None);
}

#[test]
fn what_it_does_not_own_is_refused_or_forwarded() {
    let refused = |name, kind| check(name, kind, ResponseCode::Refused, &[], None);
    for name in ["test.", "xdev.test.", "dev.test.com.", "localhost.", "."] {
        refused(name, RecordType::A);
        let bytes = query(name, RecordType::A).to_vec().unwrap();
        let told = reply(&zones(&[]), &bytes, Over::Udp, true);
        assert_eq!(told, Reply::Forward, "{name}");
    }
    refused("dev.test.", RecordType::AXFR);
    let mut other = query("dev.test.", RecordType::A);
    other.queries[0].set_query_class(DNSClass::CH);
    let answer = ask(&zones(&["127.0.0.1"]), &other, Over::Udp);
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn what_is_too_long_for_udp_is_asked_for_again() {
    let many: Vec<String> = (1..=100).map(|it| format!("10.0.0.{it}")).collect();
    let zones = zones(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let check = |payload: Option<u16>, over, truncated: bool| {
        let mut query = query("dev.test.", RecordType::A);
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            query.set_edns(edns);
        }
        let answer = ask(&zones, &query, over);
        assert_eq!(
            answer.metadata.truncation, truncated,
            "{payload:?} {over:?}"
        );
        assert_eq!(answer.answers.len(), if truncated { 0 } else { 100 });
        assert_eq!(answer.edns.is_some(), payload.is_some());
    };
    check(None, Over::Udp, true);
    check(Some(4096), Over::Udp, true);
    check(None, Over::Tcp, false);
    check(Some(1232), Over::Tcp, false);
}

#[test]
fn what_cannot_be_understood_is_told_so_and_answers_are_not_answered() {
    let zones = zones(&["127.0.0.1"]);
    let code = |query: &Message| ask(&zones, query, Over::Udp).metadata.response_code;
    let mut two = query("dev.test.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(code(&two), ResponseCode::FormErr);
    let mut update = query("dev.test.", RecordType::SOA);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&update), ResponseCode::NotImp);
    let mut later = query("dev.test.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    later.set_edns(edns);
    // 16 has another name where a message is signed.
    assert_eq!(u16::from(code(&later)), u16::from(ResponseCode::BADVERS));

    let mut answer = query("dev.test.", RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    let silent = |bytes: &[u8]| assert_eq!(reply(&zones, bytes, Over::Udp, true), Reply::Silence);
    silent(&answer.to_vec().unwrap());
    silent(b"");
    silent(&[0; 11]);
    let bytes = query("dev.test.", RecordType::A).to_vec().unwrap();
    let Reply::Answer(cut) = reply(&zones, &bytes[..20], Over::Udp, true) else {
        panic!("told");
    };
    let cut = Message::from_vec(&cut).unwrap();
    assert_eq!(
        (cut.metadata.id, cut.metadata.response_code),
        (7, ResponseCode::FormErr)
    );
}

proptest! {
    #[test]
    fn no_message_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for over in [Over::Udp, Over::Tcp] {
            if let Reply::Answer(answer) = reply(&zones(&["127.0.0.1"]), &bytes, over, false) {
                prop_assert_eq!(answer.get(..2), bytes.get(..2));
                prop_assert!(over == Over::Tcp || answer.len() <= usize::from(LONGEST_UDP));
            }
        }
    }
}

#[test]
fn data_is_of_the_type_that_was_asked_for() {
    let answer = ask(
        &zones(&["::1", "127.0.0.1"]),
        &query("dev.test.", RecordType::A),
        Over::Udp,
    );
    assert!(
        answer
            .answers
            .iter()
            .all(|it| matches!(it.data, RData::A(_)))
    );
}
