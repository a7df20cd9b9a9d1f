//! `secretsctl host`: the life of a host in the rules.

mod change;
mod list;
mod source;
mod test;

use clap::Subcommand;
use policy::edit;

use super::Context;
use crate::{error::Result, limits::Limits, output::Outcome};
use change::{Change, How};

/// Add, list, rename, re-key, retire and test the hosts of the rules
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a host to the rules, beside another one, and re-key with --rekey
    Add(Add),
    /// List the hosts: name, rules that name it, encrypted files that it can read, recipient
    List(list::Args),
    /// Give a host another name
    Rename(Rename),
    /// Give a host another key, wherever its old one is written
    Replace(Replace),
    /// Take hosts out of all rules and out of the list of keys
    Retire(Retire),
    /// Test whether a host can open all that the rules give it, by the files as they are; needs no private key
    Test(test::Args),
}

#[derive(clap::Args, Debug)]
#[command(
    after_help = "RECIPIENT is an age or SSH public key, a file with one (ssh_host_ed25519_key.pub), or - for standard \
                  input. Without --like the key goes into the list of keys only, and no rule names it yet."
)]
struct Add {
    /// What the host is called
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    name: Option<String>,

    /// Its public key, a file that holds it, or - for standard input
    #[arg(
        value_name = "RECIPIENT",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    recipient: Option<String>,

    /// Add all hosts of this file, or of standard input (-): lines `NAME RECIPIENT`, also those of ssh-keyscan
    #[arg(long, value_name = "FILE")]
    from: Option<String>,

    /// Add it to every rule that names this host
    #[arg(long, value_name = "NAME")]
    like: Option<String>,

    #[command(flatten)]
    rekey: Rekey,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(clap::Args, Debug)]
struct Rename {
    /// What the host is called
    old: String,
    /// What it is to be called
    new: String,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(clap::Args, Debug)]
struct Replace {
    /// What the host is called
    name: String,
    /// Its new public key, a file that holds it, or - for standard input
    recipient: String,
    #[command(flatten)]
    rekey: Rekey,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(clap::Args, Debug)]
struct Retire {
    /// What the hosts are called
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    rekey: Rekey,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(clap::Args, Clone, Copy, Debug)]
struct Rekey {
    /// Then make the files obey the rules: rules and files change together, or not at all
    #[arg(long)]
    rekey: bool,
}

#[derive(clap::Args, Clone, Copy, Debug)]
struct Confirm {
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let limits = Limits::default();
    match &args.command {
        Command::Add(args) => {
            let hosts = match (&args.name, &args.recipient, &args.from) {
                (Some(name), Some(recipient), _) => source::host(name, recipient, &limits)?,
                (_, _, Some(from)) => source::hosts(from, &limits)?,
                _ => Vec::new(),
            };
            let like = args.like.as_deref();
            let asked: Vec<&str> = like.into_iter().collect();
            let change = Change {
                what: "added",
                asked: &asked,
                new: hosts.iter().map(|host| host.recipient.as_str()).collect(),
                edit: &|text, limits| edit::add(text, &hosts, like, limits),
            };
            change.run(How::of(args.rekey.rekey, args.confirm), context)
        }
        Command::List(args) => list::run(args, context),
        Command::Rename(args) => {
            let change = Change {
                what: "renamed to",
                asked: &[&args.old],
                new: Vec::new(),
                edit: &|text, limits| edit::rename(text, &args.old, &args.new, limits),
            };
            change.run(How::of(false, args.confirm), context)
        }
        Command::Replace(args) => {
            let recipient = source::recipient(&args.recipient, &limits)?;
            let change = Change {
                what: "has another key:",
                asked: &[&args.name],
                new: vec![&recipient],
                edit: &|text, limits| edit::replace(text, &args.name, &recipient, limits),
            };
            change.run(How::of(args.rekey.rekey, args.confirm), context)
        }
        Command::Retire(args) => {
            let asked: Vec<&str> = args.names.iter().map(String::as_str).collect();
            let change = Change {
                what: "retired",
                asked: &asked,
                new: Vec::new(),
                edit: &|text, limits| retire(text, &args.names, limits),
            };
            change.run(How::of(args.rekey.rekey, args.confirm), context)
        }
        Command::Test(args) => test::run(args, context),
    }
}

fn retire(
    text: &str,
    names: &[String],
    limits: policy::yaml::Limits,
) -> std::result::Result<edit::Edit, edit::EditError> {
    let mut whole = edit::Edit {
        text: text.to_owned(),
        hosts: Vec::new(),
        rules: Vec::new(),
        unnamed: Vec::new(),
    };
    for name in names {
        let one = edit::retire(&whole.text, name, limits)?;
        whole.text = one.text;
        whole.hosts.extend(one.hosts);
        whole.rules.extend(one.rules);
    }
    whole.rules.sort_unstable();
    whole.rules.dedup();
    Ok(whole)
}
