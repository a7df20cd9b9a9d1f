//! `secretsctl encrypt`: a plaintext file, encrypted as its creation rule says.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use policy::{pattern::text_as_go_sees_it, rules::KeyKind};

use super::{Context, decrypt::format};
use crate::{
    clock,
    error::{Error, Result},
    files::{ReadLimit, Replacing, read_any, replace, write_output},
    identity::{Plugins, wrap},
    limits::Limits,
    output::Outcome,
    repository,
    sops::{
        Settings, encrypt,
        format::Format,
        selection::{Kind, Selection},
    },
};

/// Encrypt a file to the recipients of its creation rule, or to those given
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The plaintext file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Encrypt to these age recipients, separated by commas, instead of those of the creation rule
    #[arg(
        long,
        value_name = "RECIPIENTS",
        env = "SOPS_AGE_RECIPIENTS",
        hide_env_values = true
    )]
    age: Option<String>,

    /// Choose creation rule and format as if the file had this name
    #[arg(long, value_name = "PATH")]
    filename_override: Option<PathBuf>,

    /// Read the file as yaml, json, dotenv, ini or binary [default: what its name says]
    #[arg(long, value_name = "TYPE", value_parser = format)]
    input_type: Option<Format>,

    /// Replace the file itself, in one step
    #[arg(long, conflicts_with = "output")]
    in_place: bool,

    /// Write to FILE in one step instead of to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    selection: SelectionArgs,

    /// Have the MAC cover encrypted values only
    #[arg(long)]
    mac_only_encrypted: bool,
}

/// What is encrypted; at most one of them.
#[derive(clap::Args, Debug)]
#[group(multiple = false)]
struct SelectionArgs {
    /// Encrypt only what is below keys with this ending
    #[arg(long, value_name = "SUFFIX")]
    encrypted_suffix: Option<String>,
    /// Leave in clear what is below keys with this ending
    #[arg(long, value_name = "SUFFIX")]
    unencrypted_suffix: Option<String>,
    /// Encrypt only what is below keys that match
    #[arg(long, value_name = "PATTERN")]
    encrypted_regex: Option<String>,
    /// Leave in clear what is below keys that match
    #[arg(long, value_name = "PATTERN")]
    unencrypted_regex: Option<String>,
    /// Encrypt only what follows comments that match
    #[arg(long, value_name = "PATTERN")]
    encrypted_comment_regex: Option<String>,
    /// Leave in clear what follows comments that match
    #[arg(long, value_name = "PATTERN")]
    unencrypted_comment_regex: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let explicit = context.global.config_file.as_deref();
    let text = encrypted(args, explicit).map_err(|error| error.with_file(&args.file))?;
    match &args.output {
        Some(path) => write_output(path, text.as_bytes())?,
        None if args.in_place => {
            let target = std::fs::canonicalize(&args.file).map_err(|error| {
                Error::new("file-unwritable", error.to_string()).with_file(&args.file)
            })?;
            replace(&target, text.as_bytes(), Replacing::Keep)?;
        }
        None => context.output.verbatim(text.as_bytes())?,
    }
    Ok(Outcome::Fine)
}

fn encrypted(args: &Args, explicit: Option<&Path>) -> Result<String> {
    let limits = Limits::default();
    let name = args.filename_override.as_ref().unwrap_or(&args.file);
    let format = args.input_type.unwrap_or_else(|| Format::from_path(name));
    let settings = settings(args, explicit, name)?;
    let limit = ReadLimit::of_file(limits.file_size);
    let content = read_any(&args.file, limit)?;
    let plugins = Plugins::of_operator();
    let mut wrap = |_: usize, recipient: &str, share: &[u8]| wrap(recipient, share, &plugins);
    encrypt(
        content,
        format,
        &settings,
        &clock::format(SystemTime::now()),
        &mut wrap,
        &limits,
    )
}

/// The rule's settings, with what the command line says in their place. As in sops, a rule must match where there are
/// rules at all, even when recipients are given.
fn settings(args: &Args, explicit: Option<&Path>, name: &Path) -> Result<Settings> {
    let from_rule = match repository::find(explicit)?.rules {
        Some(rules) => rule_settings(&rules, name)?,
        None => None,
    };
    let (mut groups, threshold, selection, mac_only_encrypted) = match from_rule {
        Some(Settings {
            groups,
            threshold,
            selection,
            mac_only_encrypted,
        }) => (groups, threshold, Some(selection), mac_only_encrypted),
        None => (Vec::new(), 0, None, false),
    };
    if let Some(recipients) = &args.age {
        groups = vec![
            recipients
                .split(',')
                .map(|recipient| recipient.trim().to_owned())
                .collect(),
        ];
    }
    if groups.is_empty() {
        return Err(Error::new(
            "no-rules",
            "there is no creation rule for the file, and no recipient is given",
        )
        .with_hint("change to the repository, or name recipients with --age"));
    }
    Ok(Settings {
        groups,
        threshold,
        selection: args
            .selection
            .given()?
            .or(selection)
            .unwrap_or_else(Selection::by_default),
        mac_only_encrypted: mac_only_encrypted || args.mac_only_encrypted,
    })
}

/// The settings for a new file of this name, by its creation rule alone.
pub(super) fn settings_of_rule(explicit: Option<&Path>, name: &Path) -> Result<Settings> {
    let from_rule = match repository::find(explicit)?.rules {
        Some(rules) => rule_settings(&rules, name)?,
        None => None,
    };
    from_rule.ok_or_else(|| {
        Error::new(
            "no-rules",
            "the file does not exist, and there is no creation rule for a new one",
        )
        .with_hint("change to the repository, or make the file with secretsctl encrypt --age")
    })
}

/// What the selected rule says; `None` where the file holds no rules.
fn rule_settings(found: &repository::Rules, name: &Path) -> Result<Option<Settings>> {
    let in_rules = |error| Error::from(error).with_file(&found.file);
    let rules = repository::read_rules(found, &Limits::default())?;
    if !rules.are_present() {
        return Ok(None);
    }
    let matched = repository::matched_text(found, name)?;
    let matched = text_as_go_sees_it(matched.as_os_str().as_encoded_bytes());
    let Some(rule) = rules.select(&matched).map_err(in_rules)? else {
        return Err(
            Error::new("no-rule", "no creation rule matches the file").with_hint(format!(
                "the rules are in {}; patterns see the file as {matched}",
                found.file.display()
            )),
        );
    };
    let settings = rule.settings().map_err(in_rules)?;
    let mut groups = Vec::new();
    for group in settings.key_groups {
        let mut recipients = Vec::new();
        for recipient in group {
            if recipient.kind != KeyKind::Age {
                return Err(Error::new(
                    "unsupported-recipient",
                    format!("{} is no age recipient", recipient.text),
                )
                .with_hint("files can be encrypted to age recipients only; use sops for others"));
            }
            recipients.push(recipient.text);
        }
        groups.push(recipients);
    }
    let selection = match settings.selection {
        Some((selection, text)) => Kind::named(selection.key())
            .map(|kind| Selection::new(kind, &text))
            .transpose()?,
        None => None,
    };
    Ok(Some(Settings {
        groups,
        threshold: usize::try_from(settings.shamir_threshold).unwrap_or(usize::MAX),
        selection: selection.unwrap_or_else(Selection::by_default),
        mac_only_encrypted: settings.mac_only_encrypted,
    }))
}

impl SelectionArgs {
    fn given(&self) -> Result<Option<Selection>> {
        let given = [
            (Kind::EncryptedSuffix, &self.encrypted_suffix),
            (Kind::UnencryptedSuffix, &self.unencrypted_suffix),
            (Kind::EncryptedRegex, &self.encrypted_regex),
            (Kind::UnencryptedRegex, &self.unencrypted_regex),
            (Kind::EncryptedCommentRegex, &self.encrypted_comment_regex),
            (
                Kind::UnencryptedCommentRegex,
                &self.unencrypted_comment_regex,
            ),
        ];
        let given = given
            .into_iter()
            .find_map(|(kind, text)| Some((kind, text.as_deref()?)));
        given
            .filter(|(_, text)| !text.is_empty())
            .map(|(kind, text)| Selection::new(kind, text))
            .transpose()
    }
}
