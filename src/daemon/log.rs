//! Log lines: text for a terminal, fields for the journal, JSON on request.
//!
//! One layer of our own renders all three, because what is logged names files and secrets of the repository: every text is
//! escaped here, once, whatever the form. No secret value can reach it: `Secret` cannot be formatted.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{IsTerminal as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, net::UnixDatagram},
    },
    sync::Mutex,
    time::SystemTime,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::{
    clock,
    config::{Log, LogFormat, LogLevel},
    error::Error,
    escape,
};

const JOURNAL: &str = "/run/systemd/journal/socket";
/// Bytes of one text in a line; a longer one is cut. Far below what the journal takes in one datagram.
const TEXT: usize = 16 << 10;

/// The running log, whose settings can be replaced.
pub(super) struct Handle {
    level: reload::Handle<LevelFilter, tracing_subscriber::Registry>,
}

impl Handle {
    /// Takes over another level.
    pub(super) fn set_level(&self, level: LogLevel) {
        // It fails only when there is no log any more.
        let _ = self.level.reload(filter(level));
    }
}

/// Starts logging. To be called once.
pub(super) fn start(settings: Log) -> Handle {
    let (level, handle) = reload::Layer::new(filter(settings.level));
    let lines = Lines::new(settings.format);
    let registry = tracing_subscriber::registry().with(level).with(lines);
    // It fails only when logging has begun already.
    let _ = registry.try_init();
    Handle { level: handle }
}

/// Logs `error` with its place and hint.
pub(super) fn error(what: &str, error: &Error) {
    tracing::error!(
        code = error.code,
        file = error.file.as_deref().map(escape::path),
        line = error.position.map(|position| position.line),
        column = error.position.map(|position| position.column),
        hint = error.hint,
        "{what}: {error}"
    );
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Warn => LevelFilter::WARN,
    }
}

/// The layer that renders.
struct Lines {
    form: Form,
}

enum Form {
    Journal(UnixDatagram),
    Json(Mutex<File>),
    Text {
        stream: Mutex<File>,
        color: bool,
    },
    /// There is no stream to write to.
    None,
}

impl Lines {
    fn new(format: LogFormat) -> Self {
        let journal = match format {
            LogFormat::Auto => runs_under_systemd(),
            LogFormat::Journal => true,
            LogFormat::Json | LogFormat::Text => false,
        };
        if let Some(socket) = journal.then(journal_socket).flatten() {
            return Self {
                form: Form::Journal(socket),
            };
        }
        let stderr = std::io::stderr();
        // The standard library's handle locks, and we do so ourselves; a copy also survives a closed descriptor.
        let Ok(stream) = stderr.as_fd().try_clone_to_owned().map(File::from) else {
            return Self { form: Form::None };
        };
        let stream = Mutex::new(stream);
        let form = match format {
            LogFormat::Json => Form::Json(stream),
            _ => Form::Text {
                stream,
                color: stderr.is_terminal() && has_color(),
            },
        };
        Self { form }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        // There is nobody to tell when a line cannot be written.
        match &self.form {
            Form::Journal(socket) => {
                let _ = socket.send(&said.for_journal(level));
            }
            Form::Json(stream) => write(stream, &said.as_json(level)),
            Form::Text { stream, color } => write(stream, &said.as_text(level, *color)),
            Form::None => (),
        }
    }
}

fn write(stream: &Mutex<File>, line: &str) {
    if let Ok(mut stream) = stream.lock() {
        let _ = stream.write_all(line.as_bytes());
    }
}

/// What one event says, escaped.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Said {
    fn put(&mut self, field: &Field, text: &str) {
        let mut end = text.len().min(TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = escape::text(text.get(..end).unwrap_or_default()).into_owned();
        match field.name() {
            "message" => self.message = text,
            name => self.fields.push((name, text)),
        }
    }

    fn as_text(&self, level: Level, color: bool) -> String {
        let (name, code) = match level {
            Level::ERROR => ("error", 31),
            Level::WARN => ("warning", 33),
            Level::INFO => ("info", 32),
            Level::DEBUG => ("debug", 34),
            Level::TRACE => ("trace", 2),
        };
        let time = clock::format(SystemTime::now());
        let mut line = if color {
            format!("\x1b[2m{time}\x1b[0m \x1b[{code}m{name:7}\x1b[0m ")
        } else {
            format!("{time} {name:7} ")
        };
        line.push_str(&self.message);
        for (name, text) in &self.fields {
            let quote = if text.is_empty() || text.contains([' ', '"', '=']) {
                "\""
            } else {
                ""
            };
            // Writing to a string cannot fail.
            let _ = write!(line, " {name}={quote}{text}{quote}");
        }
        line.push('\n');
        line
    }

    fn as_json(&self, level: Level) -> String {
        let mut members = serde_json::Map::new();
        let mut put = |name: &str, text: String| members.insert(name.to_owned(), text.into());
        put("time", clock::format(SystemTime::now()));
        put("level", level.as_str().to_ascii_lowercase());
        put("message", self.message.clone());
        for (name, text) in &self.fields {
            put(name, text.clone());
        }
        let mut line = serde_json::Value::from(members).to_string();
        line.push('\n');
        line
    }

    /// In the journal's native protocol. No text has a line break, so that the simple form does.
    fn for_journal(&self, level: Level) -> Vec<u8> {
        let priority = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let mut datagram = format!(
            "PRIORITY={priority}\nSYSLOG_IDENTIFIER=secretsd\nMESSAGE={}",
            self.message
        );
        // The journal shows only the message: what matters must stand there, too.
        for (name, text) in &self.fields {
            let _ = write!(datagram, " {name}={text}");
        }
        for (name, text) in &self.fields {
            let name = name.to_ascii_uppercase();
            let _ = write!(datagram, "\nSECRETSD_{name}={text}");
        }
        datagram.push('\n');
        datagram.into_bytes()
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// Whether standard error is a stream to the journal: systemd says which device and inode that is.
fn runs_under_systemd() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(metadata) = std::io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|stderr| File::from(stderr).metadata())
    else {
        return false;
    };
    stream == format!("{}:{}", metadata.dev(), metadata.ino())
}

fn journal_socket() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(JOURNAL).ok()?;
    Some(socket)
}

fn has_color() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said {
            message: "degraded".to_owned(),
            fields: vec![("name", "a b".to_owned()), ("file", "x.yaml".to_owned())],
        }
    }

    #[test]
    fn text_is_one_line() {
        let line = said().as_text(Level::WARN, false);
        assert!(
            line.ends_with("Z warning degraded name=\"a b\" file=x.yaml\n"),
            "{line}"
        );
    }

    #[test]
    fn json_is_one_object() {
        let line = said().as_json(Level::WARN);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "warn");
        assert_eq!(value["name"], "a b");
    }

    #[test]
    fn the_journal_gets_fields() {
        let datagram = String::from_utf8(said().for_journal(Level::ERROR)).unwrap();
        assert_eq!(
            datagram,
            "PRIORITY=3\nSYSLOG_IDENTIFIER=secretsd\nMESSAGE=degraded name=a b file=x.yaml\n\
             SECRETSD_NAME=a b\nSECRETSD_FILE=x.yaml\n"
        );
    }
}
