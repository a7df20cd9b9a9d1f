//! The emulated card as a process of its own: it plugs itself into the reader and does what the test tells it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::{
        linux::net::TcpStreamExt as _,
        unix::net::{UnixListener, UnixStream},
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    SPECIFICATION,
    applet::{Card, Mood},
    secret_of,
};

/// Answer to reset of a YubiKey 5 on USB.
const ATR: [u8; 23] = [
    0x3b, 0xfd, 0x13, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x15, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0x57, 0x59,
    0x75, 0x62, 0x69, 0x4b, 0x65, 0x79, 0x40,
];

#[test]
#[ignore = "it is started by the tests that need a card"]
fn card() {
    run_if_asked();
}

/// The program of the card, where this process was started to be one; it runs until it is killed.
pub(crate) fn run_if_asked() {
    let Ok(specification) = std::env::var(SPECIFICATION) else {
        return;
    };
    let specification: Value = serde_json::from_str(&specification).unwrap();
    let emulator = Arc::new(Emulator {
        card: Mutex::new(made(&specification)),
        plug: Mutex::new(Plug {
            inserted: true,
            reader: None,
        }),
    });
    let control = specification["control"].as_str().unwrap();
    let control = UnixListener::bind(control).unwrap();
    let port = u16::try_from(specification["port"].as_u64().unwrap()).unwrap();
    let card = emulator.clone();
    thread::spawn(move || card.stay_plugged_in(port));
    for connection in control.incoming() {
        emulator.obey(connection.unwrap());
    }
}

struct Emulator {
    card: Mutex<Card>,
    plug: Mutex<Plug>,
}

struct Plug {
    inserted: bool,
    /// The connection to the reader.
    reader: Option<TcpStream>,
}

fn made(specification: &Value) -> Card {
    let version = specification["version"].as_array().unwrap();
    let mut card = Card::new(
        u32::try_from(specification["serial"].as_u64().unwrap()).unwrap(),
        [
            number(&version[0]),
            number(&version[1]),
            number(&version[2]),
        ],
        specification["pin"].as_str().unwrap().as_bytes(),
        specification["aes"].as_bool().unwrap(),
    );
    if specification["protected"].as_bool().unwrap() {
        card.protect_management();
    }
    for key in specification["keys"].as_array().unwrap() {
        card.add_key(
            number(&key["slot"]),
            secret_of(key["seed"].as_str().unwrap()),
            [number(&key["pin"]), number(&key["touch"])],
            key["certificate"].as_bool().unwrap(),
        );
    }
    card
}

impl Emulator {
    fn card(&self) -> MutexGuard<'_, Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plug(&self) -> MutexGuard<'_, Plug> {
        self.plug.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stay_plugged_in(&self, port: u16) {
        loop {
            thread::sleep(Duration::from_millis(20));
            if !self.plug().inserted {
                continue;
            }
            let Ok(reader) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            let mut plug = self.plug();
            if !plug.inserted {
                continue;
            }
            plug.reader = reader.try_clone().ok();
            drop(plug);
            // It ends when the card is pulled out.
            let _ = self.serve(reader);
            self.card().forget();
        }
    }

    /// The protocol of the reader: two bytes of length, then a signal of one byte or a command.
    fn serve(&self, mut reader: TcpStream) -> std::io::Result<()> {
        reader.set_nodelay(true)?;
        loop {
            // Without it each command waits for the other side's delayed acknowledgement.
            reader.set_quickack(true)?;
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            reader.set_quickack(true)?;
            reader.read_exact(&mut message)?;
            let answer = match *message {
                // Power off, reset.
                [0] | [2] => {
                    self.card().forget();
                    continue;
                }
                [4] => ATR.to_vec(),
                [] | [_] => continue,
                _ => match self.card().execute(&message) {
                    Some(answer) => answer,
                    None => loop {
                        thread::park();
                    },
                },
            };
            let mut text = u16::try_from(answer.len()).unwrap().to_be_bytes().to_vec();
            text.extend(answer);
            reader.write_all(&text)?;
        }
    }

    /// One request of the test: a JSON object in a line; the answer is the state.
    fn obey(&self, connection: UnixStream) {
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line).unwrap();
        let request: Value = serde_json::from_str(&line).unwrap();
        for (what, value) in request.as_object().unwrap() {
            match what.as_str() {
                "inserted" => {
                    let mut plug = self.plug();
                    plug.inserted = value.as_bool().unwrap();
                    if let (false, Some(reader)) = (plug.inserted, plug.reader.take()) {
                        let _ = reader.shutdown(Shutdown::Both);
                    }
                }
                "forget" => self.card().forget(),
                "touch" => self.card().touch = value.as_bool().unwrap(),
                "touch-time" => self.card().touch_time = milliseconds(value),
                "delay" => self.card().delay = milliseconds(value),
                "mood" => {
                    self.card().mood = match value.as_str().unwrap() {
                        "garbage" => Mood::Garbage,
                        "short" => Mood::Short,
                        "silent" => Mood::Silent,
                        _ => Mood::Good,
                    };
                }
                "object" => {
                    let id = u32::try_from(value["id"].as_u64().unwrap()).unwrap();
                    let content = value["content"].as_array().unwrap();
                    let content = content.iter().map(number).collect();
                    self.card().put_object(id, content);
                }
                other => panic!("a card cannot {other}"),
            }
        }
        let card = self.card();
        let state = json!({ "counts": card.counts, "tries": card.tries() });
        drop(card);
        let _ = writeln!(&connection, "{state}");
    }
}

fn number(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap()).unwrap()
}

fn milliseconds(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().unwrap())
}
