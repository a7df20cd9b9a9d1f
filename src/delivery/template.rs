//! Templates: `DATABASE_URL=postgres://app:{{ secret("database-password") | urlencode }}@localhost/app`.
//!
//! Rendering is the one place where plaintext leaves [`Secret`]: the template engine works on strings of its own. So a
//! value is handed over only when the template asks for it, nothing is escaped behind the author's back, and no message
//! of the engine is passed on that could quote a value. Freed memory is wiped by the allocator.

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value,
    syntax::SyntaxConfig, value::ValueKind,
};

use crate::{
    error::{Error, Position, Result},
    secret::Secret,
};

/// Gets a value and the name that it is used by.
type Filter = fn(&[u8], &str) -> Result<String>;

/// The code of the error that quotes the name it was asked for.
pub(super) const NO_SUCH_SECRET: &str = "no-such-secret";
/// Steps of one template.
const FUEL: u64 = 1_000_000;

/// Renders `text`. `look_up` gives the value of a secret, by name; `limit` is the number of bytes that may result.
pub(super) fn render(
    text: &str,
    environment: bool,
    limit: usize,
    look_up: impl Fn(&str) -> Result<Secret> + Send + Sync + 'static,
) -> Result<Secret> {
    let problem = Problem::default();
    let engine = engine(text, environment, &problem, look_up);
    let template = engine
        .template_from_str(text)
        .map_err(|error| describe(&error))?;
    let mut output = Limited {
        secret: Secret::default(),
        left: limit,
        exceeded: false,
    };
    let Err(error) = template.render_captured_to((), &mut output) else {
        return Ok(output.secret);
    };
    if output.exceeded {
        let message =
            format!("the rendered template is larger than the limit file-size of {limit} bytes");
        return Err(Error::new("limit", message)
            .with_hint("raise `limits.file-size` if it is meant to be so large"));
    }
    Err(match problem.take() {
        Some(own) => at_line(own, &error),
        None => describe(&error),
    })
}

fn engine(
    source: &str,
    environment: bool,
    problem: &Problem,
    look_up: impl Fn(&str) -> Result<Secret> + Send + Sync + 'static,
) -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }

    // With it a short loop could double a text until memory is short.
    engine.remove_global("namespace");

    let (refuse, source) = (problem.clone(), source.to_owned());
    engine.add_function("secret", move |name: String| match look_up(&name) {
        Ok(secret) => Ok(match secret.expose_str() {
            Some(text) => Value::from(text),
            None => Value::from_bytes(secret.expose().to_vec()),
        }),
        // A name that the template does not spell out may be the value of another secret.
        Err(error) if error.code == NO_SUCH_SECRET && !source.contains(&name) => {
            let message = "there is no secret of the name that the template puts together";
            Err(refuse.note(
                Error::new(NO_SUCH_SECRET, message)
                    .with_hint("write the name out: `{{ secret(\"NAME\") }}`"),
            ))
        }
        Err(error) => Err(refuse.note(error)),
    });
    let refuse = problem.clone();
    engine.set_formatter(move |output, _state, value| {
        write_value(output, value, environment).map_err(|error| refuse.note(error))
    });

    // Each under the names that people know it by from elsewhere.
    let filters: [(&[&str], Filter); 5] = [
        (&["base64", "b64encode"], |bytes, _| {
            Ok(STANDARD.encode(bytes))
        }),
        (&["urlencode"], |bytes, _| Ok(url(bytes))),
        (&["json", "tojson"], |bytes, name| json(text(bytes, name)?)),
        (&["shell", "quote"], |bytes, name| {
            Ok(shell(text(bytes, name)?))
        }),
        (&["systemd_env"], |bytes, name| {
            Ok(systemd(text(bytes, name)?))
        }),
    ];
    for (names, filter) in filters {
        for name in names {
            let refuse = problem.clone();
            engine.add_filter(*name, move |_: &State<'_, '_>, value: Value| {
                let result = match value.as_bytes() {
                    Some(bytes) => filter(bytes, name),
                    // Numbers, lists and the like, written in the template itself.
                    None => filter(value.to_string().as_bytes(), name),
                };
                // What is quoted may hold line breaks and is not looked at again.
                result
                    .map(Value::from_safe_string)
                    .map_err(|error| refuse.note(error))
            });
        }
    }
    engine
}

fn write_value(output: &mut Output<'_>, value: &Value, environment: bool) -> Result<()> {
    let failed = |_| Error::new("template", "the rendered template cannot be written");
    match value.kind() {
        ValueKind::Bytes => {
            let bytes = value.as_bytes().unwrap_or_default();
            output.write_str(text(bytes, "text")?).map_err(failed)
        }
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if environment && !value.is_safe() && text.contains(['\n', '\r', '\0']) {
                return Err(Error::new("template-line-break", "a value with a line break stands unquoted in an environment file, where it would end the variable")
                    .with_hint("add `| systemd_env`, `| shell`, `| json` or `| base64`, whichever the reader of the file undoes"));
            }
            output.write_str(text).map_err(failed)
        }
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable | ValueKind::Plain => Err(
            Error::new("template", "only text and numbers can be written"),
        ),
        _ => write!(output, "{value}").map_err(failed),
    }
}

/// The first error of our own functions while the engine was running. The engine's error types could carry it too, but
/// would mix it with text that may quote values.
#[derive(Clone, Default)]
struct Problem(Arc<Mutex<Option<Error>>>);

impl Problem {
    fn note(&self, error: Error) -> minijinja::Error {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        minijinja::Error::new(ErrorKind::InvalidOperation, "")
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Collects the output, up to a limit.
struct Limited {
    secret: Secret,
    left: usize,
    exceeded: bool,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.secret.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The engine's own error. Its detail is shown only where it was written before any value was known.
fn describe(error: &minijinja::Error) -> Error {
    let (message, hint) = match error.kind() {
        ErrorKind::SyntaxError => (
            error.detail().unwrap_or("it cannot be parsed").to_owned(),
            "write `{{ secret(\"NAME\") }}` for a value",
        ),
        ErrorKind::UndefinedError => (
            "it uses a name that is not defined".to_owned(),
            "values are reached with `secret(\"NAME\")`",
        ),
        ErrorKind::OutOfFuel => (
            format!("it takes more than {FUEL} steps"),
            "make its loops shorter",
        ),
        ErrorKind::UnknownFilter => (
            "it uses a filter that does not exist".to_owned(),
            "the filters for values are base64, urlencode, json, shell and systemd_env",
        ),
        kind => (
            kind.to_string(),
            "the engine's own message is not shown, because it could quote a value",
        ),
    };
    at_line(
        Error::new("template", format!("the template is wrong: {message}")).with_hint(hint),
        error,
    )
}

/// The line is that of the template; the column is not known.
fn at_line(error: Error, engine: &minijinja::Error) -> Error {
    match engine.line() {
        Some(line) if error.file.is_none() => error.with_position(Position { line, column: 1 }),
        _ => error,
    }
}

fn text<'b>(bytes: &'b [u8], filter: &str) -> Result<&'b str> {
    std::str::from_utf8(bytes).map_err(|_| {
        Error::new(
            "template",
            format!("a value that is not valid UTF-8 cannot be written as {filter}"),
        )
        .with_hint("add `| base64` or `| urlencode`")
    })
}

/// For any part of a URL: everything but letters, digits and `-._~` is written in hexadecimal.
fn url(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A JSON string with its quotes. No line break is left, so it is safe in an environment file too.
fn json(text: &str) -> Result<String> {
    serde_json::to_string(text)
        .map_err(|_| Error::new("template", "a value cannot be written as JSON"))
}

/// One word for a POSIX shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The right side of a line in an `EnvironmentFile=` of systemd: in double quotes a backslash keeps the quote, the
/// backslash, the dollar and the backtick; everything else, line breaks too, stands for itself.
fn systemd(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, environment: bool, value: &'static [u8]) -> Result<Vec<u8>> {
        render(text, environment, 1000, move |name| match name {
            "s" => Ok(Secret::new(value.to_vec())),
            _ => Err(Error::new("no-such-secret", format!("no secret `{name}`"))),
        })
        .map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn filters() {
        let value = b"a'b\"c $d\\e<&>\n`";
        for (filter, expected) in [
            ("base64", "YSdiImMgJGRcZTwmPgpg"),
            ("urlencode", "a%27b%22c%20%24d%5Ce%3C%26%3E%0A%60"),
            ("json", r#""a'b\"c $d\\e<&>\n`""#),
            ("shell", "'a'\\''b\"c $d\\e<&>\n`'"),
            ("systemd_env", "\"a'b\\\"c \\$d\\\\e<&>\n\\`\""),
        ] {
            let text = format!("X={{{{ secret('s') | {filter} }}}}\n");
            assert_eq!(
                String::from_utf8(rendered(&text, true, value).unwrap()).unwrap(),
                format!("X={expected}\n")
            );
        }
        // Nothing is escaped that the author did not ask for.
        assert_eq!(rendered("{{ secret('s') }}", false, value).unwrap(), value);
    }

    #[test]
    fn a_line_break_in_an_environment_file_is_an_error() {
        for value in [b"a\nB=c".as_slice(), b"a\rb", b"a\0b"] {
            let value: &'static [u8] = value;
            assert_eq!(
                rendered("A={{ secret('s') }}", true, value)
                    .unwrap_err()
                    .code,
                "template-line-break"
            );
            assert_eq!(
                rendered("A={{ 'x' ~ secret('s') }}", true, value)
                    .unwrap_err()
                    .code,
                "template-line-break"
            );
            assert!(rendered("A={{ secret('s') }}", false, value).is_ok());
        }
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        for (text, code) in [
            ("\n{{ secret('other') }}", "no-such-secret"),
            ("\n{{ secret('s') | nothing }}", "template"),
            ("\n{{ name }}", "template"),
            ("\n{% if %}", "template"),
            ("\n{{ secret('s') | int }}", "template"),
            ("\n{{ secret('s') + 1 }}", "template"),
            ("\n{{ [secret('s')] }}", "template"),
            ("\n{{ secret() }}", "template"),
            (
                "\n{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
                "template",
            ),
        ] {
            let error = rendered(text, false, b"CANARY").unwrap_err();
            assert_eq!(error.code, code, "{text}: {error}");
            assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
            assert_eq!(
                error.position.map(|position| position.line),
                Some(2),
                "{text}"
            );
        }
        let large = rendered("{{ secret('s') * 200 }}", false, b"CANARY").unwrap_err();
        assert_eq!(large.code, "limit", "{large}");
    }

    #[test]
    fn bytes_need_an_encoding() {
        assert_eq!(
            rendered("{{ secret('s') | base64 }}", false, b"\xff").unwrap(),
            b"/w=="
        );
        assert!(rendered("{{ secret('s') }}", false, b"\xff").is_err());
        assert!(rendered("{{ secret('s') | json }}", false, b"\xff").is_err());
    }
}
