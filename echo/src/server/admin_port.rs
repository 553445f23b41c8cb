//! The admin port: few connections with small heads, so that health is known whatever comes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Service as _;
use tracing::debug;

use super::{accept, failed};
use crate::accounts::{Accounts, Admission};
use crate::answer::{Answering, Content};
use crate::connection::{self, Ids};
use crate::descriptors::{Spare, none_left};

pub(super) struct AdminPort {
    pub(super) listener: TcpListener,
    pub(super) router: Router,
    pub(super) accounts: Arc<Accounts>,
    pub(super) spare: Arc<Spare>,
    pub(super) idle: Duration,
    pub(super) drain: watch::Sender<()>,
}

impl AdminPort {
    pub(super) async fn serve(self) {
        let protocol = Arc::new(connection::admin_protocol(self.idle));
        let ids = Ids::new();
        loop {
            let (stream, peer) = match accept(&self.listener).await {
                Ok(arrived) => arrived,
                Err(error) => {
                    if !(none_left(&error) && self.spare.give_up()) {
                        self.accounts.make_room();
                        failed(&error).await;
                    }
                    continue;
                }
            };
            self.spare.refill();
            let (Admission::Free(account) | Admission::InsteadOfAnother(account)) =
                self.accounts.admit()
            else {
                debug!(%peer, "too many connections to the admin port");
                continue;
            };
            let mut facts = connection::facts(&ids, &stream, peer);
            facts.account = Some(account);
            let (router, drain) = (self.router.clone(), self.drain.subscribe());
            let answer = move |request: Request<_>, _| {
                let answer = router.clone().call(request);
                Answering::Later(Box::pin(async {
                    let Ok::<_, Infallible>(answer) = answer.await;
                    answer.map(Content::Stream)
                }))
            };
            let protocol = Arc::clone(&protocol);
            tokio::spawn(async move {
                connection::serve(stream, facts, &protocol, answer, drain).await;
            });
        }
    }
}
