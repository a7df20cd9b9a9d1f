//! The command line of `sops-install-secrets`, in the manner of Go's flags: `-x=v`, `-x v` and `--x=v` are one, and the
//! first argument that is no flag ends them.

use std::{ffi::OsString, path::PathBuf};

use crate::error::{Error, Result};

/// What the original prints where it is not called as it should be.
pub(super) const FLAGS: &str = "  -check-mode string
    \tCheck the manifest and install nothing (\"manifest\": what is written in it; \"sopsfile\": the files too; \"off\") (default \"off\")
  -ignore-passwd
    \tLook up no users and groups: all belongs to root, in user mode to whoever calls
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Answer with the usage; not an error there, so not one here.
    Usage {
        /// Whether flags are explained.
        flags: bool,
    },
    Run(Call),
}

/// A call with everything it needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) manifest: PathBuf,
    pub(super) check: Check,
    pub(super) ignore_passwd: bool,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Look at the manifest alone.
    Manifest,
    /// Install.
    Off,
    /// Look at the encrypted files as well.
    SopsFile,
}

/// Reads what comes after the name of the program.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments> {
    let mut arguments = arguments.into_iter().peekable();
    let mut check = "off".to_owned();
    let mut ignore_passwd = false;
    while let Some(argument) = arguments.peek().and_then(|next| next.to_str()) {
        let argument = argument.to_owned();
        let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            break;
        };
        arguments.next();
        if flag == "-" {
            break;
        }
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.starts_with(['-', '=']) {
            return Err(usage(format!("bad flag syntax: {argument}")));
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        match name {
            "check-mode" => {
                let next = || {
                    arguments
                        .next()
                        .map(|next| next.to_string_lossy().into_owned())
                };
                check = value
                    .or_else(next)
                    .ok_or_else(|| usage("the flag -check-mode needs a value"))?;
            }
            "ignore-passwd" => ignore_passwd = value.as_deref().map_or(Ok(true), boolean)?,
            "h" | "help" => return Ok(Arguments::Usage { flags: true }),
            _ => return Err(usage(format!("there is no flag -{name}"))),
        }
    }
    let check = match check.as_str() {
        "manifest" => Check::Manifest,
        "off" => Check::Off,
        "sopsfile" => Check::SopsFile,
        other => {
            return Err(usage(format!("invalid value for -check-mode: {other}"))
                .with_hint("the values are manifest, sopsfile and off"));
        }
    };
    Ok(match (arguments.next(), arguments.next()) {
        (Some(manifest), None) => Arguments::Run(Call {
            manifest: manifest.into(),
            check,
            ignore_passwd,
        }),
        _ => Arguments::Usage { flags: false },
    })
}

fn boolean(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(usage(format!("invalid value for -ignore-passwd: {text}"))),
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new("usage", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &str) -> Option<Call> {
        match parse(arguments.split_whitespace().map(OsString::from)) {
            Ok(Arguments::Run(call)) => Some(call),
            _ => None,
        }
    }

    #[test]
    fn every_way_to_write_a_flag() {
        for (arguments, check, ignore_passwd) in [
            ("m", Check::Off, false),
            ("-check-mode=manifest m", Check::Manifest, false),
            ("--check-mode sopsfile m", Check::SopsFile, false),
            ("-check-mode manifest -check-mode off m", Check::Off, false),
            ("-ignore-passwd --check-mode=off m", Check::Off, true),
            ("-ignore-passwd=f m", Check::Off, false),
            ("--ignore-passwd=TRUE -- m", Check::Off, true),
        ] {
            let manifest = "m".into();
            let expected = Call {
                manifest,
                check,
                ignore_passwd,
            };
            assert_eq!(call(arguments), Some(expected), "{arguments}");
        }
        assert_eq!(call("-- -m").map(|call| call.manifest), Some("-m".into()));
        assert_eq!(call("-").map(|call| call.manifest), Some("-".into()));
    }

    #[test]
    fn wrong_calls() {
        for arguments in [
            "-check-mode",
            "-check-mode=all m",
            "-check-mode= m",
            "-ignore-passwd=yes m",
            "-x m",
            "---x m",
            "-=x m",
        ] {
            let arguments = arguments.split_whitespace().map(OsString::from);
            assert_eq!(parse(arguments).unwrap_err().code, "usage");
        }
        for arguments in ["", "m n", "m -ignore-passwd", "-ignore-passwd false m"] {
            let parsed = parse(arguments.split_whitespace().map(OsString::from)).unwrap();
            assert_eq!(parsed, Arguments::Usage { flags: false }, "{arguments}");
        }
        let parsed = parse(["-h".into()]).unwrap();
        assert_eq!(parsed, Arguments::Usage { flags: true });
    }
}
