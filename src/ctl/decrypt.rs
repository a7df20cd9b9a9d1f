//! `secretsctl decrypt`: the plaintext of one file, or of one value in it.

use std::path::PathBuf;

use super::{Context, interrupt};
use crate::{
    error::{Error, Result},
    files::{ReadLimit, read_any, write_output},
    identity::Identities,
    limits::Limits,
    open::open_document,
    output::Outcome,
    secret::Secret,
    sops::{Step, document::Document, format::Format},
};

/// Print the plaintext of an encrypted file: its text with the values opened and the metadata cut out
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The encrypted file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[arg(
        long,
        value_name = "EXPR",
        help = "Print only what is at this place, for example '[\"database\"][\"hosts\"][0]'"
    )]
    extract: Option<String>,

    /// Read the file as yaml, json, dotenv, ini or binary [default: what its name says]
    #[arg(long, value_name = "TYPE", value_parser = format)]
    input_type: Option<Format>,

    /// Write to FILE in one step, readable by its owner only, instead of to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let steps = args.extract.as_deref().map(Step::parse_path).transpose()?;
    let identities = interrupt::identities(context)?;
    let plaintext = plaintext(args, steps.as_deref(), &identities)
        .map_err(|error| error.with_file(&args.file))?;
    match &args.output {
        Some(path) => write_output(path, plaintext.expose())?,
        None => context.output.secret(&plaintext)?,
    }
    Ok(Outcome::Fine)
}

fn plaintext(args: &Args, steps: Option<&[Step]>, identities: &Identities) -> Result<Secret> {
    let limits = Limits::default();
    let limit = ReadLimit::of_file(limits.file_size);
    let content = read_any(&args.file, limit)?;
    let format = args
        .input_type
        .unwrap_or_else(|| Format::from_path(&args.file));
    let document = Document::parse(content, format, &limits)?;
    identities.set_purpose(&args.file.to_string_lossy());
    let opened = open_document(&document, identities)?;
    match steps {
        Some(steps) => opened.extract(steps),
        None => opened.plaintext(),
    }
}

/// Reads the value of `--input-type`.
pub(super) fn format(name: &str) -> Result<Format, Error> {
    Format::from_name(name)
        .ok_or_else(|| Error::new("usage", "it is one of yaml, json, dotenv, ini and binary"))
}
