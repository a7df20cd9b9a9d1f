//! A person who is asked through systemd: at the console, by the splash screen of the boot, or by any other of its
//! [password agents](https://systemd.io/PASSWORD_AGENTS/).

use super::{
    person::{Answer, Person, UNLOCK},
    process::Cancel,
    prompter::{self, PATIENCE, Prompter, unanswered},
};
use crate::{error::Result, escape, secret::Secret};

/// See the module.
pub(crate) struct AskPassword(Prompter);

impl AskPassword {
    /// An error where systemd's program is missing. A question is taken back when `cancel` fires.
    pub(crate) fn new(cancel: Cancel) -> Result<Self> {
        Prompter::find("systemd-ask-password", cancel).map(Self)
    }

    fn question(&self, message: &str, echo: &str) -> Answer<Secret> {
        let timeout = format!("--timeout={}", PATIENCE.as_secs());
        let message = escape::text(message);
        let echo = format!("--echo={echo}");
        let arguments = ["--id=secretsd", "--no-tty", &timeout, &echo, "--", &message];
        let patience = "answer with systemd-tty-ask-password-agent, or run secretsctl unlock";
        let line = self.0.start(&arguments, patience).and_then(|mut process| {
            // It takes its question back.
            process.line().inspect_err(|_| process.terminate())
        });
        match line {
            Ok(line) => {
                let line = line.expose();
                let typed = line.strip_suffix(b"\n").unwrap_or(line);
                Answer::Given(Secret::new(typed.to_vec()))
            }
            Err(error) => unanswered(&error),
        }
    }
}

impl Person for AskPassword {
    fn tell(&self, message: &str) {
        prompter::tell(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Answer<bool> {
        let no = no.map(|no| format!(", n: {no}")).unwrap_or_default();
        let message = format!("{message} (y: {yes}{no})");
        self.question(&message, "yes")
            .map(|answer| matches!(answer.expose(), b"y" | b"Y" | b"yes"))
    }

    fn ask(&self, message: &str) -> Answer<Secret> {
        self.question(message, "yes")
    }

    fn ask_secret(&self, message: &str) -> Answer<Secret> {
        self.question(message, "masked")
    }

    fn otherwise(&self) -> &'static str {
        UNLOCK
    }
}
