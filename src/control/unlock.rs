//! Unlocking, on the server's side. The daemon's questions go to the peer as replies; the answers go past this module: the
//! peer passes a pipe with its call, and the daemon reads from it. So no message holds any.

use std::os::fd::OwnedFd;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{
    calls::{error_reply, reply, service_error},
    codec::{Ended, send},
    peer::Access,
    protocol::{INTERFACE, Identified, Locked, Question, Refused, Unlocked, Unlocking},
    server::Connection,
};
use crate::error::Result;

/// Questions that may wait until the peer takes them.
const WAITING: usize = 16;

/// A wish to unlock, and what it takes.
#[derive(Debug)]
pub(crate) struct UnlockRequest {
    /// This identity only.
    pub(crate) identity: Option<String>,
    pub(crate) questions: mpsc::Sender<Question>,
    /// A pipe with the answers.
    pub(crate) answers: OwnedFd,
    /// It is closed when the peer goes away.
    pub(crate) sender: oneshot::Sender<Result<Unlocked>>,
}

/// A wish to forget what was unlocked, and where to say how many keys that were.
#[derive(Debug)]
pub(crate) struct LockRequest {
    pub(crate) identity: Option<String>,
    pub(crate) sender: oneshot::Sender<Result<Locked>>,
}

impl Connection {
    pub(super) async fn unlock(&mut self, wanted: Identified, more: bool) -> Result<Value, Ended> {
        if let Some(refusal) = self.refusal(Access::Change) {
            return Ok(refusal);
        }
        if !more {
            return Ok(error_reply("org.varlink.service.ExpectedMore", json!({})));
        }
        let Some(answers) = self.take_passed() else {
            return Ok(service_error(
                "InvalidParameter",
                "parameter",
                "file descriptor",
            ));
        };
        let (questions, mut asked) = mpsc::channel(WAITING);
        let (sender, mut receiver) = oneshot::channel();
        let request = UnlockRequest {
            identity: wanted.identity,
            questions,
            answers,
            sender,
        };
        let daemon = self.daemon.unlock.clone();
        tokio::select! {
            // Whether it was taken shows below.
            _ = daemon.send(request) => {}
            ended = self.frames.gone() => return Err(ended),
        }
        loop {
            let question = tokio::select! {
                biased;
                Some(question) = asked.recv() => question,
                done = &mut receiver => return Ok(match done {
                    Ok(Ok(done)) => reply(json!(Unlocking { done: Some(done), question: None }), false),
                    Ok(Err(error)) => refused(json!(Refused::from(&error))),
                    Err(_) => refused(json!({ "message": "the daemon is stopping" })),
                }),
                ended = self.frames.gone() => return Err(ended),
            };
            let question = Unlocking {
                question: Some(question),
                done: None,
            };
            send(&mut self.writer, &reply(json!(question), true)).await?;
        }
    }

    pub(super) async fn lock(&mut self, wanted: Identified) -> Result<Value, Ended> {
        if let Some(refusal) = self.refusal(Access::Change) {
            return Ok(refusal);
        }
        let daemon = self.daemon.lock.clone();
        let request = |sender| LockRequest {
            identity: wanted.identity,
            sender,
        };
        Ok(match self.ask(daemon, request).await? {
            Some(Ok(locked)) => reply(json!(locked), false),
            Some(Err(error)) => refused(json!(Refused::from(&error))),
            None => refused(json!({ "message": "the daemon is stopping" })),
        })
    }
}

fn refused(parameters: Value) -> Value {
    error_reply(&format!("{INTERFACE}.UnlockRefused"), parameters)
}
