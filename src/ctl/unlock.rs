//! `secretsctl unlock`: a person at this terminal for the daemon's locked identities.

use std::io::{PipeWriter, Write as _};

use super::{Context, interrupt};
use crate::{
    control::{
        client::Client,
        protocol::{Identified, Question, QuestionKind, Unlocked, Unlocking},
    },
    error::{Error, Result},
    escape,
    identity::{Answer, INTERRUPTED, Person as _, Terminal, encode, encode_choice},
    output::{Outcome, Output, numbered},
    secret::Secret,
};

/// Unlock the daemon's identities that need a PIN, a touch or a passphrase, asking on this terminal
///
/// The daemon opens what only they open, and delivers it. It keeps data keys of files as unlock.keep of its configuration
/// says, and no PIN and no passphrase. For root and the daemon's user. Exit code 1 when something stays locked.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// This identity only: its name as in secretsctl status, the last part of its path, or the number of a card
    #[arg(value_name = "IDENTITY")]
    identity: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    // The daemon asks no more when we are gone.
    interrupt::cancel()?;
    let mut client = Client::connect(&context.global.socket())?;
    let failed = |error: std::io::Error| {
        Error::new(
            "internal",
            format!("cannot make a pipe for the answers: {error}"),
        )
    };
    let (answers, writer) = std::io::pipe().map_err(failed)?;
    let mut person = Here {
        terminal: Terminal::open(),
        answers: Some(writer),
        is_interrupted: false,
    };
    let wanted = Identified {
        identity: args.identity.clone(),
    };
    let done = client.follow_with("Unlock", wanted, answers.into(), |asked: Unlocking| {
        if let Some(question) = &asked.question {
            person.answer(question);
        }
    });
    if person.is_interrupted {
        return Err(Error::new(INTERRUPTED, "interrupted; nothing was unlocked"));
    }
    let done = done?.done.unwrap_or_default();
    show(&done, &mut context.output)?;
    Ok(Outcome::findings_if(
        !done.locked.is_empty() || !done.degraded.is_empty(),
    ))
}

/// Whoever sits here.
struct Here {
    terminal: Option<Terminal>,
    /// Closed when there will be no more answers.
    answers: Option<PipeWriter>,
    is_interrupted: bool,
}

impl Here {
    fn answer(&mut self, question: &Question) {
        let text = &question.text;
        let answer = match (&self.terminal, question.kind) {
            (None, QuestionKind::Tell) => return,
            (Some(terminal), QuestionKind::Tell) => return terminal.tell(text),
            (None, _) => encode(&Answer::Nobody),
            (Some(terminal), QuestionKind::Confirm) => {
                let yes = question.yes.as_deref().unwrap_or("yes");
                let answer = terminal.confirm(text, yes, question.no.as_deref());
                self.is_interrupted |= matches!(answer, Answer::Interrupted);
                encode_choice(&answer)
            }
            (Some(terminal), kind) => {
                let answer = match kind {
                    QuestionKind::Visible => terminal.ask(text),
                    _ => terminal.ask_secret(text),
                };
                self.is_interrupted |= matches!(answer, Answer::Interrupted);
                encode(&answer)
            }
        };
        self.send(&answer);
    }

    fn send(&mut self, answer: &Secret) {
        let sent = match &mut self.answers {
            Some(answers) => answers.write_all(answer.expose()),
            None => return,
        };
        // A daemon that reads no more says why.
        if sent.is_err() || self.is_interrupted {
            self.answers = None;
        }
    }
}

fn show(done: &Unlocked, output: &mut Output) -> Result<()> {
    if output.is_json() {
        return output.json(done);
    }
    if done.identities.is_empty() && done.locked.is_empty() {
        output.line("nothing had to be unlocked")?;
    }
    for identity in &done.identities {
        let name = escape::text(&identity.name);
        let keys = numbered(identity.keys, "data key");
        output.line(&format!("unlocked {name}: {keys}"))?;
    }
    output.line(&format!(
        "generation {}: {} changed, {} degraded",
        done.generation,
        done.changed.len(),
        done.degraded.len(),
    ))?;
    for name in &done.changed {
        output.line(&format!("  changed   {}", escape::text(name)))?;
    }
    for refused in &done.locked {
        output.line(&format!("  locked    {}", escape::text(&refused.message)))?;
    }
    super::wait::show_degraded(&done.degraded, output)
}
