//! A person who is asked through systemd: at the console, by the splash screen of the boot, or by any other of its
//! [password agents](https://systemd.io/PASSWORD_AGENTS/).

use std::{path::PathBuf, time::Duration};

use super::{
    person::{Answer, Person, programs_answer},
    process::{Cancel, Process, Role, program_in_path},
};
use crate::{error::Result, escape, secret::Secret};

const PROGRAM: &str = "systemd-ask-password";
/// How long a question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the program may take beyond that.
const GRACE: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct AskPassword {
    program: PathBuf,
    cancel: Cancel,
}

impl AskPassword {
    /// An error where systemd's program is missing. A question is taken back when `cancel` fires.
    pub(crate) fn new(cancel: Cancel) -> Result<Self> {
        let program = program_in_path(PROGRAM)?;
        Ok(Self { program, cancel })
    }

    fn question(&self, message: &str, echo: &str) -> Answer<Secret> {
        let role = Role {
            name: PROGRAM.to_owned(),
            limit: "answer-size",
            failed: "no-answer",
            timeout: "no-answer",
            patience: "answer with systemd-tty-ask-password-agent, or run secretsctl unlock",
        };
        let timeout = format!("--timeout={}", PATIENCE.as_secs());
        let message = escape::text(message);
        let echo = format!("--echo={echo}");
        let arguments = ["--id=secretsd", "--no-tty", &timeout, &echo, "--", &message];
        let limit = PATIENCE + GRACE;
        let line = Process::start(&self.program, &arguments, role, limit, &self.cancel).and_then(
            |mut process| {
                // It takes its question back.
                process.line().inspect_err(|_| process.terminate())
            },
        );
        programs_answer(line)
    }
}

impl Person for AskPassword {
    /// There is no way to show it: it is in the log.
    fn tell(&self, message: &str) {
        tracing::info!("{}", escape::text(message));
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
        "unlock it with secretsctl unlock"
    }
}
