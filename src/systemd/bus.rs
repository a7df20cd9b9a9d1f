//! The service manager's interface on D-Bus: the few calls that are needed, and the ends of its jobs.

use std::{collections::HashMap, future::poll_fn, num::NonZeroUsize, pin::Pin, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::timeout};
use zbus::{
    Connection, DynamicType, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant,
    connection::Builder,
    export::{futures_core::Stream as _, serde::Serialize},
    message::Type,
    wire::DynamicDeserialize,
};

use crate::error::{Error, Result};

const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// How long the bus and the manager may take to answer.
const ANSWER: Duration = Duration::from_secs(25);
/// Ends of jobs that wait to be read; a busy machine ends many that are not ours.
const SIGNALS: usize = 4096;

/// What a job came to, by the path of the job: a word of systemd's, such as `done`.
type Ended = HashMap<String, String>;

/// A connection to the service manager. Nothing is left of it when it is dropped.
#[derive(Debug)]
pub(super) struct Bus {
    connection: Connection,
    ended: watch::Receiver<Ended>,
    reader: JoinHandle<()>,
}

impl Bus {
    /// The system's manager for root, that of the user for everybody else.
    pub(super) async fn connect() -> Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let (builder, name) = match is_root {
            true => (Builder::system(), "system"),
            false => (Builder::session(), "session"),
        };
        let absent = |why: String| {
            let message = format!("the service manager cannot be reached on the {name} bus: {why}");
            Error::new("no-bus", message)
                .with_hint("install and start D-Bus (the Debian package is dbus)")
        };
        let connection = builder.method_timeout(ANSWER).build();
        let connection = match timeout(ANSWER, connection).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(absent(error.to_string())),
            Err(_) => return Err(absent("it does not answer".to_owned())),
        };
        let (sender, ended) = watch::channel(Ended::new());
        let stream = signals(&connection)
            .await
            .map_err(|error| absent(error.to_string()))?;
        let bus = Self {
            connection,
            ended,
            reader: tokio::spawn(read(stream, sender)),
        };
        // Without it the manager sends no signals.
        bus.manager::<()>("Subscribe", &()).await?;
        Ok(bus)
    }

    /// Calls a method of the manager.
    pub(super) async fn manager<R>(
        &self,
        method: &'static str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<R>
    where
        R: for<'d> DynamicDeserialize<'d>,
    {
        self.call(MANAGER_PATH, MANAGER, method, arguments).await
    }

    /// A property of a unit, as text; empty where the unit has none of this name.
    pub(super) async fn property(
        &self,
        unit: &OwnedObjectPath,
        interface: &str,
        name: &str,
    ) -> String {
        let arguments = (interface, name);
        let value: Result<OwnedVariant> = self
            .call(unit.as_str(), PROPERTIES, "Get", &arguments)
            .await;
        value
            .ok()
            .and_then(|value| String::try_from(value).ok())
            .unwrap_or_default()
    }

    /// A property that every kind of unit has.
    pub(super) async fn state(&self, unit: &OwnedObjectPath, name: &str) -> String {
        self.property(unit, UNIT, name).await
    }

    /// Waits for the end of a job. `None`: the connection is lost.
    pub(super) async fn end(&self, job: &OwnedObjectPath) -> Option<String> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(|ended| ended.contains_key(job.as_str()));
        ended.await.ok()?.get(job.as_str()).cloned()
    }

    async fn call<R>(
        &self,
        path: &str,
        interface: &str,
        method: &'static str,
        arguments: &(impl Serialize + DynamicType),
    ) -> Result<R>
    where
        R: for<'d> DynamicDeserialize<'d>,
    {
        let refused = |error: zbus::Error| {
            // What the manager says is meant for people; the name of the error is not.
            let why = match error {
                zbus::Error::MethodError(_, Some(text), _) => text,
                error => error.to_string(),
            };
            Error::new("service-manager", why)
        };
        let reply = self
            .connection
            .call_method(Some(SERVICE), path, Some(interface), method, arguments)
            .await
            .map_err(refused)?;
        reply.body().deserialize().map_err(refused)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn signals(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SERVICE)
        .interface(MANAGER)
        .member("JobRemoved")
        .build()?;
    MessageStream::for_match_rule(rule, connection, NonZeroUsize::new(SIGNALS)).await
}

/// Remembers the end of every job, as one may end before it is known that it is ours.
async fn read(mut stream: MessageStream, sender: watch::Sender<Ended>) {
    while let Some(message) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let Ok(message) = message else { continue };
        let body = message.body();
        let Ok((_, job, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>()
        else {
            continue;
        };
        sender.send_modify(|ended| {
            ended.insert(job.as_str().to_owned(), result);
        });
    }
}
