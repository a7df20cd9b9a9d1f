//! What both programs do with a command line that cannot be parsed: the same shape as every other error.

use clap::error::ErrorKind;

use crate::error::Error;

/// What the parser of the command line wants to be done.
pub(crate) enum Usage {
    /// Help or the version was asked for: text for stdout.
    Answer(String),
    /// The command line is wrong.
    Wrong(Error),
}

impl From<clap::Error> for Usage {
    fn from(error: clap::Error) -> Self {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ) {
            return Self::Answer(error.render().to_string());
        }
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::Wrong(
                usage("no command was given").with_hint("run with --help for the list of commands"),
            );
        }
        // The parser's report is paragraphs: the error itself, tips, the usage, where to find help.
        let report = error.render().to_string();
        let mut paragraphs = report.split("\n\n").map(one_line);
        let message = paragraphs.next().unwrap_or_default();
        let mut wrong = usage(message.strip_prefix("error: ").unwrap_or(&message));
        for paragraph in paragraphs {
            if let Some(hint) = paragraph.strip_prefix("tip: ") {
                wrong = wrong.with_hint(hint);
            } else if let Some(synopsis) = paragraph.strip_prefix("Usage: ") {
                wrong = wrong.with_hint(format!("usage: {synopsis}"));
            }
        }
        Self::Wrong(wrong.with_hint("run with --help for the options"))
    }
}

fn usage(message: &str) -> Error {
    Error::new("usage", message)
}

fn one_line(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}
