//! What an answer says about a name: its addresses, where its aliases lead, or nothing. Pure.

use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// What an answer says, and for how many seconds that holds; 0 if it does not say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Says {
    Addresses(Vec<IpAddr>, u32),
    /// The name is an alias for this one, which the server did not look up.
    Alias(Name, u32),
    /// The name exists, and has no such address.
    NoAddress(u32),
    NoName(u32),
}

/// Reads the answer to a question for addresses of `kind`.
pub(super) fn read(answer: &Message, name: &Name, kind: RecordType) -> Says {
    let (mut name, mut ttl) = (name, u32::MAX);
    let records = || answer.answers.iter().filter(|record| record.dns_class == DNSClass::IN);
    // An alias is in front of what it leads to, or behind it; each may count once.
    for _ in 0..=answer.answers.len() {
        let own = |record: &&Record| record.name == *name;
        let found = records().filter(own).filter(|record| record.record_type() == kind);
        let addresses: Vec<_> = found.clone().filter_map(|record| record.data.ip_addr()).collect();
        if !addresses.is_empty() {
            let shortest = found.map(|record| record.ttl).min().unwrap_or(0);
            return Says::Addresses(addresses, shortest.min(ttl));
        }
        let mut aliases = records().filter(own).filter_map(|record| match &record.data {
            RData::CNAME(alias) => Some((&alias.0, record.ttl)),
            _ => None,
        });
        let Some((target, seconds)) = aliases.next() else { break };
        (name, ttl) = (target, ttl.min(seconds));
    }
    // RFC 2308, 5: as long as the zone says, if it says so.
    let negative = answer.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(zone) => Some(record.ttl.min(zone.minimum)),
        _ => None,
    });
    let lasts = negative.map_or(0, |seconds| seconds.min(ttl));
    match answer.metadata.response_code {
        ResponseCode::NXDomain => Says::NoName(lasts),
        _ if ttl < u32::MAX && negative.is_none() => Says::Alias(name.clone(), ttl),
        _ => Says::NoAddress(lasts),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{CNAME, SOA};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn address(owner: &str, ttl: u32, text: &str) -> Record {
        Record::from_rdata(name(owner), ttl, text.parse::<IpAddr>().unwrap().into())
    }

    fn alias(owner: &str, ttl: u32, target: &str) -> Record {
        Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    fn says(code: ResponseCode, answers: Vec<Record>, zone: Option<(u32, u32)>) -> Says {
        let mut message = Message::query().into_response();
        message.metadata.response_code = code;
        message.add_answers(answers);
        message.add_authorities(zone.map(|(ttl, minimum)| {
            let zone = SOA::new(name("ns."), name("admin."), 1, 1, 1, 1, minimum);
            Record::from_rdata(name("test."), ttl, RData::SOA(zone))
        }));
        read(&message, &name("a.test."), RecordType::A)
    }

    fn found(addresses: &[&str], ttl: u32) -> Says {
        Says::Addresses(addresses.iter().map(|text| text.parse().unwrap()).collect(), ttl)
    }

    #[test]
    fn addresses_last_as_long_as_the_shortest_record_on_the_way() {
        let ok = ResponseCode::NoError;
        let two = vec![address("A.test.", 60, "10.0.0.2"), address("a.test.", 30, "10.0.0.1")];
        assert_eq!(says(ok, two, None), found(&["10.0.0.2", "10.0.0.1"], 30));
        let chain = [
            alias("a.test.", 20, "b.test."),
            alias("b.test.", 10, "c.test."),
            address("c.test.", 60, "10.0.0.1"),
        ];
        assert_eq!(says(ok, chain.to_vec(), None), found(&["10.0.0.1"], 10));
        let backwards = chain.into_iter().rev().collect();
        assert_eq!(says(ok, backwards, None), found(&["10.0.0.1"], 10));
        let others = vec![
            address("evil.test.", 60, "10.6.6.6"),
            address("a.test.", 60, "fd00::1"),
            address("a.test.", 60, "10.0.0.1"),
        ];
        assert_eq!(says(ok, others, None), found(&["10.0.0.1"], 60));
    }

    #[test]
    fn an_alias_is_followed_if_the_server_did_not() {
        let ok = ResponseCode::NoError;
        let one = || vec![alias("a.test.", 20, "b.test.")];
        assert_eq!(says(ok, one(), None), Says::Alias(name("b.test."), 20));
        assert_eq!(says(ok, one(), Some((60, 5))), Says::NoAddress(5), "the zone says no");
        assert_eq!(says(ResponseCode::NXDomain, one(), None), Says::NoName(0));
        let ring = vec![alias("a.test.", 20, "b.test."), alias("b.test.", 20, "a.test.")];
        assert!(matches!(says(ok, ring, None), Says::Alias(_, 20)));
    }

    #[test]
    fn a_no_lasts_as_long_as_the_zone_says() {
        for (zone, seconds) in [(None, 0), (Some((60, 5)), 5), (Some((5, 60)), 5)] {
            assert_eq!(says(ResponseCode::NXDomain, vec![], zone), Says::NoName(seconds));
            assert_eq!(says(ResponseCode::NoError, vec![], zone), Says::NoAddress(seconds));
        }
    }
}
