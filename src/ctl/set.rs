//! `secretsctl set`: one value of an encrypted file.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Context, change::change, decrypt::format};
use crate::{
    error::{Error, Result},
    files::{ReadLimit, read_any, read_stream},
    limits::Limits,
    output::Outcome,
    secret::Secret,
    sops::{
        Step,
        assign::{self, Assigned, Json},
        format::Format,
    },
};

/// Set one value in an encrypted file; everything else in it stays as it is written
///
/// What is missing on the way to the place is made. A new key comes last in its mapping, and a list grows by the element
/// behind its last one.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The encrypted file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[arg(
        value_name = "EXPR",
        help = "The place, for example '[\"database\"][\"hosts\"][0]'"
    )]
    place: String,

    #[arg(
        value_name = "VALUE",
        value_parser = Value::parse,
        required_unless_present = "value_stdin",
        conflicts_with = "value_stdin",
        help = "The value as JSON: '\"text\"', 5, true, '{\"a\": 1}'. Others on this machine can see it: prefer --value-stdin"
    )]
    value: Option<Value>,

    /// VALUE is the name of a file that holds the JSON
    #[arg(long, conflicts_with = "value_stdin")]
    value_file: bool,

    /// Read the JSON from stdin
    #[arg(long)]
    value_stdin: bool,

    /// Leave the file alone when it has this value at this place
    #[arg(long)]
    idempotent: bool,

    /// Read the file as yaml, json, dotenv or ini [default: what its name says]
    #[arg(long, value_name = "TYPE", value_parser = format)]
    input_type: Option<Format>,
}

/// A value of the command line. It is not shown with the other arguments.
#[derive(Clone)]
struct Value(Arc<Secret>);

impl Value {
    fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(Self(Arc::new(Secret::from(text.to_owned()))))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let path = Step::parse_path(&args.place)?;
    let limits = Limits::default();
    let value = value(args, &limits)?;
    let value = Json::parse(&value, &limits)?;
    change(&args.file, args.input_type, context, |plain, format| {
        let before = plain.duplicate();
        match assign::set(plain, format, &path, value, &limits)? {
            Assigned::Changed(text) => Ok(Some(text)),
            Assigned::Same if args.idempotent => Ok(None),
            // As sops does: MAC and time become new.
            Assigned::Same => Ok(Some(before)),
        }
    })?;
    Ok(Outcome::Fine)
}

fn value(args: &Args, limits: &Limits) -> Result<Secret> {
    let limit = ReadLimit::of_file(limits.file_size);
    match &args.value {
        None => {
            // Past the buffer of the standard library, which nobody wipes.
            let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let stdin = stdin.map_err(|error| {
                Error::new(
                    "file-unreadable",
                    format!("cannot read the value from stdin: {error}"),
                )
            })?;
            read_stream(stdin, limit)
        }
        Some(Value(name)) if args.value_file => {
            read_any(Path::new(name.expose_str().unwrap_or_default()), limit)
        }
        Some(Value(text)) => Ok(text.duplicate()),
    }
}
