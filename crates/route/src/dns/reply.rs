//! What a query is answered.
//!
//! | asked for | answer |
//! |---|---|
//! | an address of a name at or below a domain | the addresses, whatever the name |
//! | SOA, NS of a domain | those |
//! | anything else there | nothing, and the SOA: the name exists (NODATA) |
//! | a name elsewhere | another server's answer, or REFUSED |

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};

use super::zones::{Zones, soa};

/// The longest answer by UDP to who says nothing about it.
const PLAIN_UDP: u16 = 512;
/// The longest answer by UDP at all: what passes every network in one piece.
const LONGEST_UDP: u16 = 1232;
/// The length of a message's head, below which it is none.
const HEAD: usize = 12;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Udp,
    Tcp,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// This is the answer.
    Answer(Vec<u8>),
    /// Somebody else is to be asked.
    Forward,
    /// It is no query, and an answer could go to and fro for ever.
    Silence,
}

/// Decides what a message is answered.
pub(super) fn reply(zones: &Zones, asked: &[u8], over: Over, forwards: bool) -> Reply {
    // The first bit of the flags is set in answers.
    if asked.len() < HEAD || asked.get(2).is_none_or(|flags| flags & 0x80 != 0) {
        return Reply::Silence;
    }
    let Ok(query) = Message::from_vec(asked) else {
        return failed(asked, ResponseCode::FormErr);
    };
    let mut answer = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata = Metadata::response_from_request(&query.metadata);
    answer.metadata.recursion_available = forwards;
    answer.queries.clone_from(&query.queries);
    if let Some(edns) = &query.edns {
        let mut own = Edns::new();
        own.set_max_payload(LONGEST_UDP);
        answer.set_edns(own);
        if edns.version() > 0 {
            answer.metadata.response_code = ResponseCode::BADVERS;
            return sent(&answer, &query, over);
        }
    }
    answer.metadata.response_code = match (query.metadata.op_code, query.queries.as_slice()) {
        (OpCode::Query, [question]) => match answered(zones, question, &mut answer) {
            ResponseCode::Refused if forwards => return Reply::Forward,
            code => code,
        },
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    sent(&answer, &query, over)
}

/// Fills in the answer to a question.
fn answered(zones: &Zones, question: &Query, answer: &mut Message) -> ResponseCode {
    let kind = question.query_type();
    let of_internet = matches!(question.query_class(), DNSClass::IN | DNSClass::ANY);
    let is_transfer = matches!(kind, RecordType::AXFR | RecordType::IXFR);
    let Some(zone) = zones.zone_of(question.name()) else {
        return ResponseCode::Refused;
    };
    if !of_internet || is_transfer {
        return ResponseCode::Refused;
    }
    answer.metadata.authoritative = true;
    answer.add_answers(zones.records(zone, question.name(), kind));
    if answer.answers.is_empty() {
        answer.add_authorities(soa(zone));
    }
    ResponseCode::NoError
}

/// The answer as it is sent; by UDP one that is too long says so, and the client asks by TCP.
fn sent(answer: &Message, query: &Message, over: Over) -> Reply {
    let Ok(bytes) = answer.to_vec() else {
        return Reply::Silence;
    };
    let said = query.edns.as_ref().map_or(PLAIN_UDP, Edns::max_payload);
    let longest = said.clamp(PLAIN_UDP, LONGEST_UDP);
    if over == Over::Tcp || bytes.len() <= usize::from(longest) {
        return Reply::Answer(bytes);
    }
    match answer.truncate().to_vec() {
        Ok(bytes) => Reply::Answer(bytes),
        Err(_) => Reply::Silence,
    }
}

/// An answer that says only that there is none, to a message whose head alone can be read.
pub(super) fn failed(asked: &[u8], code: ResponseCode) -> Reply {
    let Some(id) = asked.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
        return Reply::Silence;
    };
    match Message::error_msg(id, OpCode::Query, code).to_vec() {
        Ok(bytes) => Reply::Answer(bytes),
        Err(_) => Reply::Silence,
    }
}

#[cfg(test)]
mod tests;
