//! A person who is asked by pinentry, GnuPG's dialogue: a window in the session of the user whose daemon this is. Spoken is
//! the Assuan protocol, of which pinentry's manual lists the commands.

use super::{
    person::{Answer, Person, UNLOCK},
    process::{Cancel, Process},
    prompter::{self, PATIENCE, Prompter, unanswered},
};
use crate::{
    error::{Error, Result},
    escape,
    secret::Secret,
};

const PROGRAM: &str = "pinentry";
/// The reason in an error's number: the lower 16 bits.
const REASON: u32 = 0xffff;
/// Reasons for which nobody failed: cancelled, not confirmed.
const CANCELLED: u32 = 99;
const NOT_CONFIRMED: u32 = 114;

/// See the module.
pub(crate) struct Pinentry(Prompter);

/// What a command came to.
enum Reply {
    /// Done, with the data that came before.
    Done(Secret),
    /// The person said no.
    Declined,
    NotConfirmed,
}

impl Pinentry {
    /// An error where there is no such program. A question is taken back when `cancel` fires.
    pub(crate) fn new(cancel: Cancel) -> Result<Self> {
        Prompter::find(PROGRAM, cancel).map(Self)
    }

    /// Shows `message` and asks with the last of `commands`.
    fn ask_with(&self, message: &str, commands: &[String]) -> Result<Reply> {
        let mut process = self.0.start(&[], "run secretsctl unlock")?;
        // The greeting.
        reply(&mut process)?;
        let settings = [
            "SETTITLE secretsd".to_owned(),
            format!("SETTIMEOUT {}", PATIENCE.as_secs()),
            format!("SETDESC {}", quoted(message)),
        ];
        let mut last = Reply::Declined;
        for command in settings.iter().chain(commands) {
            process.send(format!("{command}\n").as_bytes())?;
            last = reply(&mut process)?;
        }
        process.send(b"BYE\n")?;
        process.finish();
        Ok(last)
    }
}

impl Person for Pinentry {
    /// A window would have to be clicked away.
    fn tell(&self, message: &str) {
        prompter::tell(message);
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Answer<bool> {
        let mut commands = vec![format!("SETOK {}", quoted(yes))];
        match no {
            Some(no) => {
                commands.push(format!("SETNOTOK {}", quoted(no)));
                commands.push("CONFIRM".to_owned());
            }
            None => commands.push("CONFIRM --one-button".to_owned()),
        }
        match self.ask_with(message, &commands) {
            Ok(Reply::Done(_)) => Answer::Given(true),
            Ok(Reply::NotConfirmed) => Answer::Given(false),
            Ok(Reply::Declined) => Answer::Declined,
            Err(error) => unanswered(&error),
        }
    }

    /// pinentry hides all that is typed.
    fn ask(&self, message: &str) -> Answer<Secret> {
        self.ask_secret(message)
    }

    fn ask_secret(&self, message: &str) -> Answer<Secret> {
        match self.ask_with(message, &["SETPROMPT PIN:".to_owned(), "GETPIN".to_owned()]) {
            Ok(Reply::Done(typed)) => Answer::Given(typed),
            Ok(Reply::Declined | Reply::NotConfirmed) => Answer::Declined,
            Err(error) => unanswered(&error),
        }
    }

    fn otherwise(&self) -> &'static str {
        UNLOCK
    }
}

fn reply(process: &mut Process) -> Result<Reply> {
    let mut data = Secret::default();
    loop {
        let line = process.line()?;
        let line = line.expose().trim_ascii_end();
        if let Some(escaped) = line.strip_prefix(b"D ") {
            unquote(escaped, &mut data);
        } else if line == b"OK" || line.starts_with(b"OK ") {
            return Ok(Reply::Done(data));
        } else if let Some(error) = line.strip_prefix(b"ERR ") {
            let text = String::from_utf8_lossy(error);
            let number = text
                .split(' ')
                .next()
                .and_then(|number| number.parse::<u32>().ok());
            return match number.map(|number| number & REASON) {
                Some(CANCELLED) => Ok(Reply::Declined),
                Some(NOT_CONFIRMED) => Ok(Reply::NotConfirmed),
                _ => Err(Error::new(
                    "no-answer",
                    format!("{PROGRAM} reports: {}", escape::text(&text)),
                )),
            };
        }
        // Else a status or a comment.
    }
}

/// A text as the argument of a command.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '%' => quoted.push_str("%25"),
            '\n' => quoted.push_str("%0A"),
            character if character.is_control() => quoted.push(char::REPLACEMENT_CHARACTER),
            character => quoted.push(character),
        }
    }
    quoted
}

/// Adds what a line of data stands for.
fn unquote(mut escaped: &[u8], data: &mut Secret) {
    while let Some((&first, rest)) = escaped.split_first() {
        let code = rest.first_chunk().filter(|_| first == b'%').and_then(byte);
        data.push(&[code.unwrap_or(first)]);
        escaped = match code {
            Some(_) => rest.get(2..).unwrap_or_default(),
            None => rest,
        };
    }
}

/// The byte that two hexadecimal digits stand for.
fn byte(&[high, low]: &[u8; 2]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_through() {
        assert_eq!(quoted("100% of\nit\u{1b}"), "100%25 of%0Ait\u{fffd}");
        let mut data = Secret::default();
        unquote(b"a%25%0Ab%4", &mut data);
        assert!(data.expose() == b"a%\nb%4");
    }
}
