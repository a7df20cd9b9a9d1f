//! `secretsctl rekey`: the files obey the rules again.

mod daemon;
mod plan;
mod progress;

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    Context,
    interrupt::{self, Stop},
};
use crate::{
    check::refuse_doubtful,
    clock,
    error::{Error, Result},
    identity::Identities,
    limits::Limits,
    output::{Outcome, Output, numbered},
    rekey::{
        Allowed, NewRules, Progress, Recovered, Tools, commit,
        ledger::Ledger,
        prepare, recover,
        survey::{Action, File, Rotation, first_blocked, survey},
    },
    repository::{self, Repository, find, no_rules, read_rules},
};
use policy::rules::Rules;
use serde_json::Value;

/// Make files obey the rules: wrap data keys for new recipients, rotate where somebody loses access
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these files, and those below these directories
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// When files get a new data key: always, or on-removal of a recipient
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "on-removal",
        hide_possible_values = true
    )]
    rotate: When,

    /// Leave files that cannot be changed, and change the others
    #[arg(long)]
    keep_going: bool,

    /// Allow a result that none of the identities at hand opens
    #[arg(long)]
    allow_losing_access: bool,

    /// Allow encrypted values to become clear text where the rules ask for it
    #[arg(long)]
    allow_plaintext: bool,

    /// Let the daemon do it to its repository: it looks again, and what it holds for a person is approved
    #[arg(
        long,
        conflicts_with_all = ["paths", "rotate", "keep_going", "allow_losing_access", "allow_plaintext"]
    )]
    daemon: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum When {
    Always,
    OnRemoval,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    if args.daemon {
        return daemon::run(args, context);
    }
    let limits = Limits::default();
    let found = find(context.global.config_file.as_deref())?.required()?;
    if !args.dry_run && !args.yes {
        refuse_unasked()?;
    }
    let repository = Repository::open(&found.root, limits)?;
    let _lock = (!args.dry_run).then(|| repository.lock()).transpose()?;
    if !args.dry_run {
        tell(recover(&repository)?, &mut context.output);
    }
    let rules = read_rules(&found, &limits)?;
    if !rules.are_present() {
        return Err(no_rules().with_file(&found.file));
    }
    let job = Job {
        found: &found,
        repository: &repository,
        rules: &rules,
        new_rules: None,
        old_rules: None,
        paths: relative(&found, &args.paths)?,
        rotation: match args.rotate {
            When::Always => Rotation::Always,
            When::OnRemoval => Rotation::OnRemoval,
        },
        allowed: Allowed {
            losing_access: args.allow_losing_access,
            plaintext: args.allow_plaintext,
        },
        keep_going: args.keep_going,
        dry_run: args.dry_run,
        yes: args.yes,
        shown: &|report, _| report,
    };
    job.run(context)
}

/// One re-key. The repository is locked, unless it is a dry run.
pub(super) struct Job<'j> {
    pub(super) found: &'j repository::Rules,
    pub(super) repository: &'j Repository,
    /// What the files are to obey.
    pub(super) rules: &'j Rules,
    /// Their text, where it is not that of the file yet: it is written together with the files.
    pub(super) new_rules: Option<NewRules>,
    /// Those of the file, if they are others: they know the names of who leaves.
    pub(super) old_rules: Option<&'j Rules>,
    /// Relative to the repository; none of them stands for all.
    pub(super) paths: Vec<PathBuf>,
    pub(super) rotation: Rotation,
    pub(super) allowed: Allowed,
    pub(super) keep_going: bool,
    pub(super) dry_run: bool,
    pub(super) yes: bool,
    /// What the report is a part of, in JSON; it is told whether something was written.
    pub(super) shown: &'j dyn Fn(Value, bool) -> Value,
}

impl Job<'_> {
    pub(super) fn run(self, context: &mut Context) -> Result<Outcome> {
        let limits = Limits::default();
        refuse_doubtful(self.rules, &self.found.file)?;
        // Where that cannot be read, no removal could be noted.
        Ledger::read(self.repository, &limits)?;
        let mut files = survey(
            self.repository,
            self.rules,
            &self.paths,
            self.rotation,
            &limits,
        )?;
        let (identities, stop) = interrupt::identities_to_change(context)?;
        let interrupted = || stop.is_requested();
        let due = files.iter().filter(|file| file.is_due()).count();
        let tools = Tools {
            repository: self.repository,
            identities: &identities,
            plugins: identities.plugins(),
            limits,
            allowed: self.allowed,
            now: clock::format(SystemTime::now()),
        };
        let progress = progress::Bar::new(due, &context.output);
        let prepared = prepare(&tools, &mut files, &progress, &interrupted)?;
        progress.clear();
        let blocked = |files: &[File<'_>]| files.iter().any(|file| file.action == Action::Blocked);
        let is_refused = blocked(&files) && !self.keep_going;
        let report = plan::Report {
            files: &files,
            is_refused,
            names: self.rules.names(),
            old_names: self.old_rules.map(Rules::names),
            shown: self.shown,
        };
        let is_due = files.iter().any(File::is_due);
        let output = &mut context.output;
        if self.dry_run {
            let exposed = plan::would_be_exposed(&files, &prepared);
            report.print(&exposed, &identities, false, output)?;
            return Ok(Outcome::findings_if(is_due || blocked(&files)));
        }
        if is_refused {
            report.print(&[], &identities, false, output)?;
            let next = match &self.new_rules {
                None => "change the others with --keep-going",
                Some(_) => {
                    "change the rules without --rekey, and see what secretsctl rekey --keep-going does"
                }
            };
            return Err(refused(&files, &self.found.root, next));
        }
        let question = match &self.new_rules {
            None => "Change these files?",
            Some(_) => "Write the rules and change these files?",
        };
        if !self.yes && (is_due || self.new_rules.is_some()) {
            report.plan(&identities, output)?;
            if !confirmed(question, output)? {
                return Err(Error::new("not-confirmed", "nothing was changed"));
            }
        }
        let progress = progress::Bar::new(due, output);
        let prepared = prepared.with_rules(self.new_rules);
        let exposed = changed(&tools, &files, prepared, &progress, &stop)?;
        progress.clear();
        report.print(&exposed, &identities, true, output)?;
        if stop.is_requested() {
            let message = "interrupted; what had begun was finished, every file is as it should be";
            return Err(Error::new(crate::output::INTERRUPTED, message));
        }
        Ok(Outcome::findings_if(blocked(&files)))
    }
}

/// Without a terminal nobody can say yes.
pub(super) fn refuse_unasked() -> Result<()> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    Err(
        Error::new("not-confirmed", "nobody is there to confirm the plan")
            .with_hint("look at it with --dry-run, then run it with --yes"),
    )
}

fn changed(
    tools: &Tools<'_>,
    files: &[File<'_>],
    prepared: crate::rekey::Prepared,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Vec<crate::rekey::NewlyExposed>> {
    let _critical = stop.critical();
    commit(tools, files, prepared, progress, &|| stop.is_requested())
}

pub(super) fn tell(recovered: Recovered, output: &mut Output) {
    let message = match recovered {
        Recovered::Nothing => return,
        Recovered::Undone => {
            "a re-key before this one was interrupted before it changed anything; its files were removed".to_owned()
        }
        Recovered::Finished { files, .. } => {
            format!("a re-key before this one was interrupted; {} that it had left got new content", numbered(files, "file"))
        }
    };
    output.warning(&Error::new("recovered", message));
}

/// The paths of the command line, relative to the repository. They must be there.
fn relative(found: &repository::Rules, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let root = found.root.canonicalize().map_err(|error| {
        Error::new("repository", format!("cannot find the repository: {error}"))
            .with_file(&found.root)
    })?;
    let mut relative = Vec::new();
    for path in paths {
        let real = path.canonicalize().map_err(|error| {
            Error::new("file-missing", format!("cannot find the file: {error}"))
                .with_file(path)
                .with_hint("name files and directories of the repository; without any, all files are meant")
        })?;
        let Ok(inside) = real.strip_prefix(&root) else {
            return Err(
                Error::new("file-outside", "the path is not in the repository")
                    .with_file(path)
                    .with_hint(format!("the repository is {}", root.display())),
            );
        };
        relative.push(inside.to_owned());
    }
    Ok(relative)
}

fn refused(files: &[File<'_>], root: &Path, next: &str) -> Error {
    let Some((first, more)) = first_blocked(files) else {
        return Error::new("internal", "nothing is blocked");
    };
    let why = first.error.as_ref();
    let reason = why.map_or("it cannot be changed", |error| error.message.as_str());
    let message = format!("nothing was changed, because one file is blocked: {reason}{more}");
    let mut error = Error::new(why.map_or("blocked", |error| error.code), message)
        .with_file(&root.join(&first.path));
    if let Some(position) = why.and_then(|error| error.position) {
        error = error.with_position(position);
    }
    match why.and_then(|error| error.hint.as_ref()) {
        Some(hint) => error.with_hint(format!("{hint}; or {next}")),
        None => error.with_hint(format!("repair it, or {next}")),
    }
}

pub(super) fn confirmed(question: &str, output: &mut Output) -> Result<bool> {
    output.line(&format!("{question} [y/N]"))?;
    output.flush()?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Error::new("not-confirmed", format!("no answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The identities that are known to open files, with how many of these.
fn openers<'i>(files: &[File<'_>], identities: &'i Identities) -> Vec<(&'i str, usize)> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    for file in files.iter().filter(|file| file.is_due()) {
        let answers = |recipient: &String| {
            identities.iter().find(|identity| {
                let recipient = crate::identity::canonical(recipient);
                identity.recipients().any(|ours| ours == recipient)
            })
        };
        let Some(identity) = file.present().find_map(answers) else {
            continue;
        };
        match found.iter_mut().find(|(name, _)| *name == identity.name()) {
            Some((_, count)) => *count += 1,
            None => found.push((identity.name(), 1)),
        }
    }
    found
}
