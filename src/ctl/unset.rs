//! `secretsctl unset`: a value of an encrypted file goes.

use std::path::PathBuf;

use super::{Context, change::change, decrypt::format};
use crate::{
    error::{Error, Result},
    limits::Limits,
    output::Outcome,
    sops::{
        Step,
        assign::{self, Assigned},
        format::Format,
    },
};

/// Remove one key or element from an encrypted file; everything else in it stays as it is written
///
/// Comments above and behind it stay, as with sops, but for INI files, where a comment belongs to its key.
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

    /// Leave the file alone when there is nothing at this place
    #[arg(long)]
    idempotent: bool,

    /// Read the file as yaml, json, dotenv or ini [default: what its name says]
    #[arg(long, value_name = "TYPE", value_parser = format)]
    input_type: Option<Format>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let path = Step::parse_path(&args.place)?;
    let limits = Limits::default();
    change(&args.file, args.input_type, context, |plain, format| {
        match assign::unset(plain, format, &path, &limits)? {
            Assigned::Changed(text) => Ok(Some(text)),
            Assigned::Same if args.idempotent => Ok(None),
            Assigned::Same => Err(Error::new(
                "path",
                format!("there is nothing at {}", Step::show_path(&path)),
            )
            .with_hint("names are those of the file, and elements of lists are counted from 0; with --idempotent this is no error")),
        }
    })?;
    Ok(Outcome::Fine)
}
