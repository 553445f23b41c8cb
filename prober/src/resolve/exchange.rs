//! One question to one DNS server: over UDP, and over TCP if the answer does not fit (RFC 1035, 4.2).
//! The wire format is hickory's.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::error::ServerFault;
use super::resolv_conf::Options;

/// The size of answers that `edns0` offers, as in glibc (`RESOLV_EDNS_BUFFER_SIZE`).
const EDNS_SIZE: u16 = 1200;

/// Why a server's answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    Server(ServerFault),
    /// This machine refuses a socket, so that no other server would answer either: why.
    Local(String),
}

impl From<ServerFault> for NoAnswer {
    fn from(fault: ServerFault) -> Self {
        Self::Server(fault)
    }
}

/// Asks one server. The answer has the code NOERROR or NXDOMAIN. Waits without end for a server that
/// is silent.
pub(super) async fn ask(
    server: SocketAddr,
    question: &Query,
    options: &Options,
) -> Result<Message, NoAnswer> {
    let answer = send(server, question, options.edns0, options.use_vc).await?;
    // Servers that do not know EDNS say so with one of these (RFC 6891, 7).
    let code = answer.metadata.response_code;
    let without = options.edns0 && matches!(code, ResponseCode::FormErr | ResponseCode::NotImp);
    let answer =
        if without { send(server, question, false, options.use_vc).await? } else { answer };
    let Message { metadata, answers, additionals, .. } = &answer;
    match metadata.response_code {
        // As in glibc: a server that neither knows the name nor looks it up is not the one to ask.
        ResponseCode::NoError
            if answers.is_empty()
                && additionals.is_empty()
                && !metadata.authoritative
                && !metadata.recursion_available =>
        {
            Err(ServerFault::Lame.into())
        }
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        code => Err(ServerFault::Code(mnemonic(code)).into()),
    }
}

async fn send(
    server: SocketAddr,
    question: &Query,
    edns: bool,
    only_tcp: bool,
) -> Result<Message, NoAnswer> {
    // Its number is random.
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(question.clone());
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(EDNS_SIZE);
        query.set_edns(edns);
    }
    let bytes = query.to_vec().map_err(|_| ServerFault::Malformed)?;
    if only_tcp {
        return over_tcp(server, &query, &bytes).await;
    }
    let answer = over_udp(server, &query, &bytes).await?;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    over_tcp(server, &query, &bytes).await.map_err(|why| match why {
        NoAnswer::Server(_) => ServerFault::OnlyTruncated.into(),
        local @ NoAnswer::Local(_) => local,
    })
}

async fn over_udp(server: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message, NoAnswer> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let failed = |error: io::Error| no_answer(&error);
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    // A connected socket gets datagrams of the server alone, and learns that its port is closed.
    socket.connect(server).await.map_err(failed)?;
    socket.send(bytes).await.map_err(failed)?;
    let mut packet = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut packet).await.map_err(failed)?;
        if let Some(answer) = read(&packet[..length], query) {
            return Ok(answer?);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message, NoAnswer> {
    let failed = |error: io::Error| no_answer(&error);
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let length = u16::try_from(bytes.len()).map_err(|_| ServerFault::Malformed)?;
    let framed = [&length.to_be_bytes()[..], bytes].concat();
    stream.write_all(&framed).await.map_err(failed)?;
    loop {
        let length = stream.read_u16().await.map_err(failed)?;
        let mut packet = vec![0; length.into()];
        stream.read_exact(&mut packet).await.map_err(failed)?;
        if let Some(answer) = read(&packet, query) {
            return Ok(answer?);
        }
    }
}

/// The answer to `query` in a packet. `None` if the packet belongs to something else: an answer to an
/// earlier query, or a forged one, which has neither the number nor the question.
pub(super) fn read(packet: &[u8], query: &Message) -> Option<Result<Message, ServerFault>> {
    let id = packet.first_chunk().map(|id| u16::from_be_bytes(*id));
    if id != Some(query.metadata.id) {
        return None;
    }
    let Ok(answer) = Message::from_vec(packet) else {
        return Some(Err(ServerFault::Malformed));
    };
    let Message { metadata, queries, .. } = &answer;
    // With an error, some servers leave the question out.
    let left_out = queries.is_empty() && metadata.response_code != ResponseCode::NoError;
    let belongs = metadata.message_type == MessageType::Response
        && metadata.op_code == OpCode::Query
        && (left_out || *queries == query.queries);
    belongs.then_some(Ok(answer))
}

/// Why the system could not carry a question or its answer.
fn no_answer(error: &io::Error) -> NoAnswer {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => ServerFault::NotListening.into(),
        E::UnexpectedEof | E::ConnectionReset | E::BrokenPipe => ServerFault::Closed.into(),
        _ if usage::out_of_descriptors(error) => NoAnswer::Local(usage::local_limit(error)),
        _ => ServerFault::Unreachable(usage::system_error(error)).into(),
    }
}

/// The response code as dig prints it.
fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::YXDomain => "YXDOMAIN".to_owned(),
        ResponseCode::YXRRSet => "YXRRSET".to_owned(),
        ResponseCode::NXRRSet => "NXRRSET".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        ResponseCode::NotZone => "NOTZONE".to_owned(),
        other => format!("code {}", u16::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

    use super::*;

    fn query() -> Message {
        let mut query = Message::query();
        let name = Name::from_ascii("echo.test.").unwrap();
        query.add_query(Query::query(name, RecordType::A));
        query
    }

    fn answer(to: &Message, code: ResponseCode) -> Message {
        let mut answer = to.clone().into_response();
        answer.metadata.response_code = code;
        answer
    }

    fn read_as(answer: &Message, query: &Message) -> Option<Result<Message, ServerFault>> {
        read(&answer.to_vec().unwrap(), query)
    }

    #[test]
    fn only_the_answer_with_number_and_question_is_taken() {
        let query = query();
        let mut good = answer(&query, ResponseCode::NoError);
        let address = RData::A(Ipv4Addr::LOCALHOST.into());
        good.add_answer(Record::from_rdata(query.queries[0].name().clone(), 60, address));
        assert_eq!(read_as(&good, &query), Some(Ok(good.clone())));

        let mut other_case = good.clone();
        other_case.queries[0].set_name(Name::from_ascii("ECHO.test.").unwrap());
        assert!(read_as(&other_case, &query).is_some(), "names do not depend on case");
        let mut other_number = good.clone();
        other_number.metadata.id ^= 1;
        let mut other_name = good.clone();
        other_name.queries[0].set_name(Name::from_ascii("evil.test.").unwrap());
        let mut other_type = good.clone();
        other_type.queries[0].set_query_type(RecordType::AAAA);
        let mut no_question = good.clone();
        no_question.queries.clear();
        for forged in [other_number, other_name, other_type, no_question, query.clone()] {
            assert_eq!(read_as(&forged, &query), None, "{forged}");
        }
        for (short, taken) in [(&[][..], None), (&[1][..], None)] {
            assert_eq!(read(short, &query), taken);
        }
        let cut = &good.to_vec().unwrap()[..20];
        assert_eq!(read(cut, &query), Some(Err(ServerFault::Malformed)));
    }

    #[test]
    fn an_error_may_leave_the_question_out() {
        let query = query();
        let mut error = answer(&query, ResponseCode::FormErr);
        error.queries.clear();
        assert!(read_as(&error, &query).is_some_and(|read| read.is_ok()));
        error.metadata.id ^= 1;
        assert_eq!(read_as(&error, &query), None);
    }

    #[test]
    fn codes_are_told_as_dig_tells_them() {
        let told =
            |number: u16| mnemonic(ResponseCode::from((number >> 4) as u8, (number & 15) as u8));
        assert_eq!(
            [1, 2, 4, 5, 9].map(told),
            ["FORMERR", "SERVFAIL", "NOTIMP", "REFUSED", "NOTAUTH"]
        );
        assert_eq!(told(15), "code 15");
    }
}
