//! A repository that is described in one text file.
//!
//! First comes what the repository is and what its owner got wrong. `Kind: right` says that nothing is wrong: no error
//! and no warning may be said about it. `Kind: git` makes it a Git repository whose files are committed. `Arguments:`
//! are further ones of `check`. `Waits for: CODE` leaves it out as long as the program does not know the code. Then the files follow:
//!
//! ```text
//! -- PATH {OPTION; OPTION} --
//! CONTENT
//! ```
//!
//! | option | what happens to the file |
//! | --- | --- |
//! | `old` | for rules: what was in force when the files were encrypted; replaced by the other section of this name |
//! | `encrypt` | real sops encrypts it by the repository's rules |
//! | `encrypt age=NAME,NAME` | by nobody's rules, to these recipients |
//! | `encrypt --ARGUMENT …` | by nobody's rules, with these arguments of sops |
//! | `copy PATH` | becomes a copy of a file above |
//! | `drop WORD` | loses the lines that start with it |
//! | `replace OLD => NEW` | once, `\n` is a line break |
//! | `conflict` | gets the marks of a merge conflict around it |
//! | `symlink TARGET`, `mode 644`, `base64` | what they say |
//! | `untracked` | is not added to Git; an ignored file never is |
//!
//! `$alice` and the like are recipients, see [`NAMES`]. The last section, `expect`, holds the exit code of `check`, that
//! with warnings denied, and every finding in the order of the output. Findings that a comment allows come last.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{Dir, Sops, age_identity, clean, run};

/// Made once; the private keys were never stored. A name comes before any name that it starts with.
const NAMES: &[(&str, &str)] = &[
    (
        "$alice",
        "age1yl6lum00hz0n5vz9wlfj2j6ppj2495w3ccx2h7ejat5t0xrlfe6swzml5y",
    ),
    (
        "$bob",
        "age1q4v503cmvc0wv82fx9fu7lqmcz6u4s7hswz980vnj3y6vpz3fp8qn2k2qq",
    ),
    (
        "$carol",
        "age1yg35nqegm9a5xpagz2uhc3w2vjru6x83lhwyavs62rgkx43lfg2s6ey0v6",
    ),
    (
        "$dave",
        "age160ldqpkw24pfh763vk7chv5cnw0gfc3kdgwr9nsuy60ggr37hszqlpe3vz",
    ),
    (
        "$web1_ssh",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMmMFawegdgITfxmUx9wY2kXybbjJI/YShPhauoJAROx",
    ),
    (
        "$web2_ssh",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKL5q8e8IucFpPiSxgFhEYZaVr6qVcrV4nx3MnMQY0VP",
    ),
    (
        "$old_ssh",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCKswXm0mSoMEJoErw7MXZMT/hNTK8sFeAhLikiEI42TEFw3ILoIzgCgi9dW9wRJ/eJNOHHa1LPvZUvh1MHnSDvt5yNqk5nZtYxqmvEDtE23SApHuQ1PhD94Vc8D28bhsUptZILkFdx9FUZ5tl1YOB+ycj2hOz4EBX9+FCxrVa9fzQJcpV55n8mG2LFi7rPHYVF8bkMR52ZqXDqmeqUrpHiGGwhtiLuh+3EvzYSzo5gWrS/Zms5MvR3Q8ff73Tkun3Np+eY7zouUXJSIG9i2pHwW74uvawgTAneKoFDUQ/X9Zo2lS7U6rGIiPHllzGPoCNfumCnFWLUcIgVgeAgBQUb",
    ),
    (
        "$web1",
        "age1n77e2h42zxwqtqfwvgel28sjqlfftc2xffx4qlu2cqppwaxte5dqdcrzd4",
    ),
    (
        "$web2",
        "age1fns5upunnq3t3lcux0ws3mrtu0yg5vuwuu0f30u9987pen5qzflss4zfu2",
    ),
    (
        "$db1",
        "age19ntu6g54kn5j9us9cyvc3s3sh9map9qy50rshjtkhee9qskq2guqd8jql6",
    ),
    (
        "$backup",
        "age1zu2c3jn3yen33pwxxmjt3wju3zvu5lvec5cqmudgk5gt0nan99vsa8gc3q",
    ),
    (
        "$flux",
        "age1z20jtjmlhptztrs2x67pmdc96fn47sc6ghkzzp6j48dyljh94cnqsarwrj",
    ),
    (
        "$ci",
        "age1cj97nfq0xgvp4fxm2py8u9h4p8xmg6dmlx8ltl7gfhdjdw2dk47q8znq0w",
    ),
    ("$pgp_alice", "4B9A1E6C0D3F58722A6E91C4D7F03B5E8A2C6614"),
    ("$pgp_bob", "C73D08F1E52B946A7D10B8E36F49A25CD1087F3B"),
    (
        "$kms_prod",
        "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
    (
        "$kms_dev",
        "arn:aws:kms:eu-central-1:444455556666:key/0987dcba-09fe-87dc-65ba-ab0987654321",
    ),
];

/// A throw-away identity, and private keys in form only: they are put together here, so that no tool that looks for keys
/// stumbles over this source.
fn private_keys() -> [(&'static str, String); 3] {
    let pem = |kind: &str| {
        let line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt";
        format!("-----BEGIN {kind}PRIVATE KEY-----\n{line}\n-----END {kind}PRIVATE KEY-----")
    };
    [
        ("$private_age", age_identity()),
        ("$private_ssh", pem("OPENSSH ")),
        ("$private_tls", pem("")),
    ]
}

/// As described.
pub(super) struct Repository {
    pub(super) is_right: bool,
    is_git: bool,
    pub(super) arguments: Vec<String>,
    pub(super) waits_for: Option<String>,
    files: Vec<File>,
    pub(super) expected: Vec<String>,
}

struct File {
    path: String,
    options: Vec<String>,
    content: String,
}

/// As it lies on the disk.
pub(super) struct Built {
    pub(super) dir: Dir,
}

impl Repository {
    pub(super) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let mut repository = Self {
            is_right: false,
            is_git: false,
            arguments: Vec::new(),
            waits_for: None,
            files: Vec::new(),
            expected: Vec::new(),
        };
        for line in text.split_inclusive('\n') {
            if let Some((path, options)) = section(line) {
                repository.files.push(File {
                    path,
                    options,
                    content: String::new(),
                });
            } else if let Some(file) = repository.files.last_mut() {
                file.content.push_str(line);
            } else if let Some(kinds) = line.strip_prefix("Kind: ") {
                repository.is_right = kinds.split_whitespace().any(|kind| kind == "right");
                repository.is_git = kinds.split_whitespace().any(|kind| kind == "git");
            } else if let Some(code) = line.strip_prefix("Waits for: ") {
                repository.waits_for = Some(code.trim().to_owned());
            } else if let Some(arguments) = line.strip_prefix("Arguments: ") {
                let arguments = arguments.split_whitespace();
                repository.arguments = arguments.map(str::to_owned).collect();
            }
        }
        let last = repository.files.pop().filter(|last| last.path == "expect");
        let last = last.unwrap_or_else(|| panic!("{}: no section expect", file.display()));
        repository.expected = last.content.lines().map(str::to_owned).collect();
        repository
    }

    /// Replaces what is expected.
    pub(super) fn rewrite<'l>(&self, file: &Path, lines: impl Iterator<Item = &'l String>) {
        let text = fs::read_to_string(file).unwrap();
        let (before, _) = text.split_once("\n-- expect --\n").unwrap();
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(file, format!("{before}\n-- expect --\n{lines}")).unwrap();
    }

    pub(super) fn build(&self, sops: &Sops) -> Built {
        let built = Built { dir: Dir::new() };
        // A directory that others cannot enter would protect what is in it.
        built.dir.chmod("", 0o755);
        // Old rules are in force while sops encrypts.
        let (old, new): (Vec<&File>, Vec<&File>) =
            self.files.iter().partition(|file| file.has("old"));
        for file in &old {
            built.dir.write(&file.path, file.text());
        }
        let is_replaced = |file: &&File| old.iter().any(|old| old.path == file.path);
        let (last, first): (Vec<&File>, Vec<&File>) = new.into_iter().partition(is_replaced);
        let is_untracked = |file: &&File| file.has("untracked");
        let (untracked, tracked): (Vec<&File>, Vec<&File>) =
            first.into_iter().chain(last).partition(is_untracked);
        for file in tracked {
            built.write(file, sops);
        }
        if self.is_git {
            git(&built.dir, &["init", "--quiet", "--initial-branch=main"]);
            git(&built.dir, &["add", "--all"]);
            git(
                &built.dir,
                &["commit", "--quiet", "--allow-empty", "--message=all"],
            );
        }
        for file in untracked {
            built.write(file, sops);
        }
        built
    }
}

impl File {
    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|other| other == option)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for line in self.content.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            let more = format!("\n{}", line.get(..indent).unwrap_or_default());
            let key = private_keys()
                .into_iter()
                .find(|(name, _)| line.contains(name));
            match key {
                Some((name, key)) => text.push_str(&line.replace(name, &key.replace('\n', &more))),
                None => text.push_str(line),
            }
        }
        for (name, recipient) in NAMES {
            text = text.replace(name, recipient);
        }
        text
    }
}

impl Built {
    fn write(&self, file: &File, sops: &Sops) {
        let path = &file.path;
        self.dir.write(path, file.text());
        for option in &file.options {
            let (word, rest) = option.split_once(' ').unwrap_or((option, ""));
            match word {
                "old" | "untracked" => {}
                "encrypt" => self.encrypt(path, rest, sops),
                "copy" => drop(self.dir.write(path, self.dir.read_bytes(rest))),
                "drop" => {
                    let text = self.dir.read(path);
                    let lines = text.split_inclusive('\n');
                    let kept: String = lines
                        .filter(|line| !line.trim_start().starts_with(rest))
                        .collect();
                    assert_ne!(kept, text, "{path}: no line starts with {rest}");
                    self.dir.write(path, kept);
                }
                "replace" => {
                    let rest = rest.replace("\\n", "\n");
                    let (old, new) = rest.split_once(" => ").unwrap();
                    let text = self.dir.read(path);
                    assert!(text.contains(old), "{path}: there is no {old}");
                    self.dir.write(path, text.replacen(old, new, 1));
                }
                "conflict" => {
                    let text = self.dir.read(path);
                    let marked =
                        format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> rotate-password\n");
                    self.dir.write(path, marked);
                }
                "symlink" => {
                    fs::remove_file(self.dir.join(path)).unwrap();
                    symlink(rest, self.dir.join(path)).unwrap();
                }
                "mode" => self.dir.chmod(path, u32::from_str_radix(rest, 8).unwrap()),
                "base64" => {
                    let text = self.dir.read(path).replace('\n', "");
                    self.dir.write(path, STANDARD.decode(text).unwrap());
                }
                other => panic!("{path}: there is no option {other}"),
            }
        }
    }

    /// By the nearest rules above the file, or by none where there are arguments.
    fn encrypt(&self, path: &str, arguments: &str, sops: &Sops) {
        let file = self.dir.join(path);
        let mut command = sops.command(["encrypt"]);
        let elsewhere = Dir::new();
        if arguments.is_empty() {
            let root = file
                .ancestors()
                .find(|directory| directory.join(".sops.yaml").exists());
            command.current_dir(root.unwrap());
        } else {
            for argument in arguments.split_whitespace() {
                match argument.strip_prefix("age=") {
                    Some(names) => {
                        let names: Vec<_> = names.split(',').map(recipient).collect();
                        command.args(["--age", &names.join(",")]);
                    }
                    None => drop(command.arg(argument)),
                }
            }
            command.current_dir(elsewhere.path());
        }
        run(command.arg("--in-place").arg(&file)).expect(0);
    }
}

fn recipient(name: &str) -> &str {
    let has_name = |(other, _): &&(&str, &str)| other.strip_prefix('$') == Some(name);
    let found = NAMES.iter().find(has_name);
    found.unwrap_or_else(|| panic!("nobody is called {name}")).1
}

/// Path and options of a line that starts a section.
fn section(line: &str) -> Option<(String, Vec<String>)> {
    let title = line.trim_end().strip_prefix("-- ")?.strip_suffix(" --")?;
    let (path, options) = match title.strip_suffix('}') {
        Some(title) => title.split_once(" {")?,
        None => (title, ""),
    };
    let options = options.split("; ").filter(|option| !option.is_empty());
    Some((path.to_owned(), options.map(str::to_owned).collect()))
}

/// Runs Git as if this machine had no settings of anybody.
pub(crate) fn git(dir: &Dir, arguments: &[&str]) {
    run(git_command().args(arguments).current_dir(dir.path())).expect(0);
}

/// See [`git`].
pub(crate) fn git_command() -> Command {
    let mut command = Command::new("git");
    clean(&mut command);
    no_git_of_the_caller(&mut command);
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Somebody");
        command.env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
    }
    command
}

/// The tests may themselves run in a hook, where Git says with variables which repository it means.
pub(crate) fn no_git_of_the_caller(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(&name);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
}
