//! Answers of DNS servers that nobody trusts, for `fuzz/`.

use hickory_resolver::proto::op::{Message, Query};
use hickory_resolver::proto::rr::{Name, RecordType};

use super::{answer, exchange, hosts, resolv_conf};

/// A packet after the number and the question of a query for `echo2.`, and the same bytes as a
/// `resolv.conf` and as a hosts file.
pub fn dns(bytes: &[u8]) {
    let name = Name::from_ascii("echo2.").expect("a name");
    for kind in [RecordType::A, RecordType::AAAA] {
        let mut query = Message::query();
        query.add_query(Query::query(name.clone(), kind));
        let mut packet = query.to_vec().expect("it can be written");
        let counts = bytes.first_chunk().unwrap_or(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        packet[2..12].copy_from_slice(counts);
        packet.extend_from_slice(bytes.get(counts.len()..).unwrap_or_default());
        if let Some(Ok(message)) = exchange::read(&packet, &query) {
            answer::read(&message, &name, kind);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        resolv_conf::ResolvConf::parse(text, |_| None);
        hosts::Hosts::parse(text.to_owned()).addresses("echo2");
    }
}
