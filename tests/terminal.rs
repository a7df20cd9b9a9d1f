//! A program on a terminal of its own: what it shows is read, what a person types is sent.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::support::{Ran, finished};

/// How long a screen may stay as it is while something is expected on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The person's side of a terminal.
pub(crate) struct Terminal {
    keys: File,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    /// How far `expect` has read.
    read: usize,
}

#[derive(Default)]
struct Screen {
    text: String,
    closed: bool,
}

/// What came of a run.
pub(crate) struct OnTerminal {
    pub(crate) ran: Ran,
    /// All that was on the screen.
    pub(crate) seen: String,
    /// Whether the terminal shows what is typed, afterwards.
    pub(crate) echoes: bool,
}

impl Terminal {
    /// Runs `command` with a new terminal as its controlling one; `person` talks to it meanwhile. Its stdout and stderr
    /// are pipes.
    pub(crate) fn run(command: &Command, person: impl FnOnce(&mut Self)) -> OnTerminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
            .open(name.to_str().unwrap())
            .unwrap();
        // setsid makes the terminal on stdin the controlling one.
        let mut wrapped = Command::new("setsid");
        wrapped
            .args(["--wait", "--ctty"])
            .arg(command.get_program());
        wrapped.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        let child = wrapped
            .stdin(slave)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // With it goes our hold on the terminal: reading it ends when the program does.
        drop(wrapped);
        let master = File::from(master);
        let screen = Arc::new((Mutex::new(Screen::default()), Condvar::new()));
        let reader = std::thread::spawn({
            let (mut master, screen) = (master.try_clone().unwrap(), screen.clone());
            move || {
                let mut chunk = [0; 1024];
                loop {
                    let read = master.read(&mut chunk).unwrap_or(0);
                    let mut shown = screen.0.lock().unwrap();
                    shown
                        .text
                        .push_str(&String::from_utf8_lossy(&chunk[..read]));
                    shown.closed = read == 0;
                    screen.1.notify_all();
                    if read == 0 {
                        return;
                    }
                }
            }
        });
        let waiter = std::thread::spawn(move || child.wait_with_output().unwrap());
        let mut terminal = Self {
            keys: master,
            screen: screen.clone(),
            read: 0,
        };
        person(&mut terminal);
        let output = waiter.join().unwrap();
        reader.join().unwrap();
        let modes = tcgetattr(&terminal.keys).unwrap().local_modes;
        let seen = screen.0.lock().unwrap().text.clone();
        OnTerminal {
            ran: finished(command, Ok(output)),
            seen,
            echoes: modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG),
        }
    }

    /// Waits until `text` appears, after what was expected before.
    pub(crate) fn expect(&mut self, text: &str) {
        let (screen, changed) = &*self.screen;
        let mut shown = screen.lock().unwrap();
        loop {
            if let Some(at) = shown.text[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            assert!(!shown.closed, "no {text:?} in {:?}", shown.text);
            // No measure of speed: a program that waits for a person who waits for it must not stop the whole run.
            let waited = changed.wait_timeout(shown, PATIENCE).unwrap();
            shown = waited.0;
            assert!(
                !waited.1.timed_out(),
                "{text:?} never came; on the screen: {:?}",
                shown.text
            );
        }
    }

    /// Waits until what is typed is not shown.
    #[cfg(feature = "yubikey")]
    pub(crate) fn expect_no_echo(&self) {
        let started = std::time::Instant::now();
        while tcgetattr(&self.keys)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
        {
            assert!(started.elapsed() < PATIENCE, "it is shown for ever");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Types `keys`; Enter is `\r`.
    pub(crate) fn enter(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }
}
