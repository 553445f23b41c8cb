//! An HTTP/2 connection against any bytes, for `fuzz/`.

use std::rc::Rc;
use std::task::Waker;

use clap::Parser as _;

use super::gate::Gate;
use super::request::Template;
use super::session::Session;
use crate::clock;
use crate::engine::response::Buffers;

const BODY_LIMIT: usize = 65_536;

/// Plays a server that sends these pieces after two requests, and then closes the connection. Each
/// request ends, with a response or a failure.
pub(in crate::engine) fn play<'a>(pieces: impl Iterator<Item = &'a [u8]>) {
    thread_local! {
        static TEMPLATE: Template = {
            let flags = ["prober", "http://a/", "--http2-prior-knowledge", "--data", "xy"];
            let cli = crate::cli::Cli::try_parse_from(flags).expect("right");
            Template::new(&crate::plan::run(&cli.run).expect("a plan").remove(0))
        };
    }
    let (gate, now) = (Rc::new(Gate::new()), clock::now());
    let mut session = Session::new(BODY_LIMIT, Rc::clone(&gate));
    let begin = |session: &mut Session| {
        assert_eq!(gate.enter_now(), Ok(true), "nothing came that could forbid it");
        TEMPLATE.with(|template| session.begin(template, b"run-1", Buffers::default(), now))
    };
    let places = [begin(&mut session), begin(&mut session)];
    for piece in pieces {
        session.receive(piece, now);
        let unsent = session.unsent().len();
        assert!(unsent < 1 << 20, "replies are bounded");
        session.advance(unsent);
    }
    session.closed();
    for place in places {
        let ended = session.poll_response(place, Waker::noop());
        assert!(ended.is_ready(), "a request of a closed connection has ended");
        if let std::task::Poll::Ready(Err(failed)) = ended {
            assert!(printable::is_clean(&failed.failure.what), "{}", failed.failure.what);
        }
    }
}
