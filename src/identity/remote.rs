//! A person at another program's terminal. Questions go through a function that the owner of this brings; the answers
//! come as bytes through a pipe, which both sides know from here. The other side is trusted with the answers and with
//! nothing else: what it sends is limited in size, number and time.

use std::{
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, OFlags},
    io::Errno,
};

use super::{
    Cancel,
    person::{self, Answer, Person},
};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Bytes of one answer.
const ANSWER_SIZE: usize = 4096;
/// Questions and messages of one conversation.
const QUESTIONS: usize = 1000;
/// How long one question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(300);
/// One byte for the kind of the answer, four for its length.
const HEADER: usize = 5;

/// What is shown to the person, or asked.
pub(crate) enum Question<'q> {
    Tell(&'q str),
    Confirm {
        message: &'q str,
        yes: &'q str,
        no: Option<&'q str>,
    },
    Visible(&'q str),
    Secret(&'q str),
}

/// Passes a question on; `false`: there is nobody any more.
pub(crate) type Ask = Box<dyn Fn(Question<'_>) -> bool + Send + Sync>;

/// See the module.
pub(crate) struct Remote {
    ask: Ask,
    answers: Mutex<Answers>,
    cancel: Cancel,
}

struct Answers {
    pipe: OwnedFd,
    /// Questions so far.
    asked: usize,
    /// Why nobody is asked any more.
    ended: Option<Error>,
}

impl Remote {
    /// Answers come through `pipe`; `cancel` ends waiting for one.
    pub(crate) fn new(ask: Ask, pipe: OwnedFd, cancel: Cancel) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(
                "invalid-answers",
                format!("the descriptor for the answers {what}"),
            )
        };
        let stat = rustix::fs::fstat(&pipe).map_err(|_| wrong("cannot be looked at"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return Err(wrong("is no pipe"));
        }
        let flags = rustix::fs::fcntl_getfl(&pipe).map_err(|_| wrong("cannot be used"))?;
        if flags.intersects(OFlags::WRONLY) {
            return Err(wrong("is not the end to read from"));
        }
        // Somebody else may read from it: then nothing is there, and that must not hold us up.
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)
            .map_err(|_| wrong("cannot be used"))?;
        Ok(Self {
            ask,
            answers: Mutex::new(Answers {
                pipe,
                asked: 0,
                ended: None,
            }),
            cancel,
        })
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes the question on, one at a time; `None` when nobody is there to hear it.
    fn say(&self, question: Question<'_>) -> Option<MutexGuard<'_, Answers>> {
        let mut answers = self.answers();
        if answers.ended.is_some() || self.cancel.is_fired() {
            return None;
        }
        answers.asked += 1;
        if answers.asked > QUESTIONS {
            answers.ended = Some(Error::new(
                "too-many-questions",
                format!("more than {QUESTIONS} questions were asked in one conversation"),
            ));
        } else if !(self.ask)(question) {
            answers.ended = Some(person::interrupted());
        }
        answers.ended.is_none().then_some(answers)
    }

    fn question(&self, question: Question<'_>) -> Answer<Secret> {
        let Some(mut answers) = self.say(question) else {
            return Answer::Interrupted;
        };
        match self.receive(&answers.pipe) {
            Ok(answer) => answer,
            Err(error) => {
                answers.ended = Some(error);
                Answer::Interrupted
            }
        }
    }

    fn receive(&self, pipe: &OwnedFd) -> Result<Answer<Secret>> {
        let deadline = Instant::now() + PATIENCE;
        let header = self.read(pipe, HEADER, deadline)?;
        let nonsense = || Error::new("invalid-answers", "the answer makes no sense");
        let &[kind, a, b, c, d] = header.expose() else {
            return Err(nonsense());
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > ANSWER_SIZE {
            return Err(Error::new(
                "invalid-answers",
                format!("the answer is longer than {ANSWER_SIZE} bytes"),
            ));
        }
        let body = self.read(pipe, length, deadline)?;
        match kind {
            b'g' => Ok(Answer::Given(body)),
            b'd' => Ok(Answer::Declined),
            b'n' => Ok(Answer::Nobody),
            b'i' => Err(person::interrupted()),
            _ => Err(nonsense()),
        }
    }

    fn read(&self, pipe: &OwnedFd, length: usize, deadline: Instant) -> Result<Secret> {
        let mut bytes = Secret::with_capacity(length);
        let mut chunk = zeroize::Zeroizing::new([0_u8; 512]);
        while bytes.len() < length {
            self.wait(pipe, deadline)?;
            let room = (length - bytes.len()).min(chunk.len());
            match rustix::io::read(pipe, chunk.get_mut(..room).unwrap_or_default()) {
                // The other program has ended.
                Ok(0) => return Err(person::interrupted()),
                Ok(count) => bytes.push(chunk.get(..count).unwrap_or_default()),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => {
                    return Err(Error::new(
                        "invalid-answers",
                        format!("cannot read the answer: {error}"),
                    ));
                }
            }
        }
        Ok(bytes)
    }

    fn wait(&self, pipe: &OwnedFd, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = vec![PollFd::new(pipe, PollFlags::IN)];
        fds.extend(self.cancel.event());
        let timeout = Timespec::try_from(left).ok();
        let ready = match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(Error::new("internal", format!("cannot wait: {error}"))),
        };
        if fds.iter().skip(1).any(|fd| !fd.revents().is_empty()) {
            return Err(person::interrupted());
        }
        if ready == 0 {
            return Err(Error::new(
                "no-answer",
                format!("nobody answered within {} minutes", PATIENCE.as_secs() / 60),
            )
            .with_hint("run secretsctl unlock again"));
        }
        Ok(())
    }
}

impl Person for Remote {
    fn tell(&self, message: &str) {
        // Nobody promises that a message is seen.
        drop(self.say(Question::Tell(message)));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Answer<bool> {
        match self.question(Question::Confirm { message, yes, no }) {
            Answer::Given(answer) => Answer::Given(answer.expose() == b"y"),
            Answer::Nobody => Answer::Nobody,
            Answer::Declined => Answer::Declined,
            Answer::Interrupted => Answer::Interrupted,
        }
    }

    fn ask(&self, message: &str) -> Answer<Secret> {
        self.question(Question::Visible(message))
    }

    fn ask_secret(&self, message: &str) -> Answer<Secret> {
        self.question(Question::Secret(message))
    }

    fn ended(&self) -> Option<Error> {
        self.answers().ended.clone()
    }
}

/// An answer as it goes through the pipe.
pub(crate) fn encode(answer: &Answer<Secret>) -> Secret {
    let (kind, body): (u8, &[u8]) = match answer {
        Answer::Given(body) => (b'g', body.expose()),
        Answer::Declined => (b'd', &[]),
        Answer::Nobody => (b'n', &[]),
        Answer::Interrupted => (b'i', &[]),
    };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut text = Secret::with_capacity(HEADER + body.len());
    text.push(&[kind]);
    text.push(&length.to_le_bytes());
    text.push(body);
    text
}

/// As [`encode`], for a question with two answers.
pub(crate) fn encode_choice(answer: &Answer<bool>) -> Secret {
    encode(&match answer {
        Answer::Given(yes) => Answer::Given(Secret::new(vec![if *yes { b'y' } else { b'n' }])),
        Answer::Declined => Answer::Declined,
        Answer::Nobody => Answer::Nobody,
        Answer::Interrupted => Answer::Interrupted,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// What comes of one question, where `bytes` come through the pipe and then its end.
    fn asked(bytes: &[u8]) -> (Answer<Secret>, Option<&'static str>) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let remote = Remote::new(Box::new(|_| true), reader.into(), Cancel::never()).unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        let answer = remote.ask_secret("PIN");
        (answer, remote.ended().map(|error| error.code))
    }

    #[test]
    fn answers_come_back() {
        let given = encode(&Answer::Given(Secret::new(b"123456".to_vec())));
        assert!(
            matches!(asked(given.expose()), (Answer::Given(pin), None) if pin.expose() == b"123456")
        );
        for answer in [Answer::Declined, Answer::Nobody] {
            let (back, ended) = asked(encode(&answer).expose());
            assert_eq!(
                std::mem::discriminant(&back),
                std::mem::discriminant(&answer)
            );
            assert_eq!(ended, None);
        }
    }

    #[test]
    fn whoever_goes_or_sends_nonsense_is_asked_no_more() {
        for (bytes, code) in [
            (&b""[..], "interrupted"),
            (b"g\x06\0\0\x00123", "interrupted"),
            (b"i\0\0\0\0", "interrupted"),
            (b"x\0\0\0\0", "invalid-answers"),
            (b"g\xff\xff\xff\xff", "invalid-answers"),
        ] {
            let (answer, ended) = asked(bytes);
            assert!(matches!(answer, Answer::Interrupted), "{bytes:?}");
            assert_eq!(ended, Some(code), "{bytes:?}");
        }
        let (_reader, writer) = std::io::pipe().unwrap();
        assert!(Remote::new(Box::new(|_| true), writer.into(), Cancel::never()).is_err());
        let file = tempfile::tempfile().unwrap();
        assert!(Remote::new(Box::new(|_| true), file.into(), Cancel::never()).is_err());
    }

    #[test]
    fn floods_and_cancellation_end_it() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let cancel = Cancel::new().unwrap();
        let remote = Remote::new(Box::new(|_| true), reader.into(), cancel.clone()).unwrap();
        for _ in 0..=QUESTIONS {
            remote.tell("again");
        }
        assert!(
            remote
                .ended()
                .is_some_and(|error| error.code == "too-many-questions")
        );

        let (reader, _writer) = std::io::pipe().unwrap();
        let remote = Remote::new(Box::new(|_| true), reader.into(), cancel.clone()).unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| remote.ask("name"));
            cancel.fire();
            assert!(matches!(asked.join().unwrap(), Answer::Interrupted));
        });
    }
}
