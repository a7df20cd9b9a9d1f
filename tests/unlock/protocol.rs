//! What a peer may do with `Unlock`: the answers come through a pipe that it passes, from root or the daemon's user only.

use std::{
    io::{IoSlice, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::json;

use super::*;
use crate::{
    machine::{receive, send},
    support::{is_root, not_run},
};

/// Calls `Unlock` and passes `file` with it.
fn call(stream: &UnixStream, file: BorrowedFd<'_>) {
    let call = json!({ "method": "io.secretsd.Control.Unlock", "more": true });
    let frame = format!("{call}\0");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
    let sent = sendmsg(
        stream,
        &[IoSlice::new(frame.as_bytes())],
        &mut control,
        SendFlags::empty(),
    );
    assert_eq!(sent.unwrap(), frame.len());
}

#[test]
fn calls_that_cannot_be_answered_are_refused() {
    let test = "calls_that_cannot_be_answered_are_refused";
    let Some(mut locked) = Locked::new(test, SECRETS) else {
        return;
    };
    locked.machine.start();
    let machine = &locked.machine;
    let mut stream = machine.connect();
    let refused = |stream: &mut UnixStream, error: &str| {
        let reply = receive(stream).unwrap();
        assert_eq!(reply["error"], error, "{reply}");
        reply
    };
    send(
        &mut stream,
        &json!({ "method": "io.secretsd.Control.Unlock" }),
    );
    refused(&mut stream, "org.varlink.service.ExpectedMore");
    send(
        &mut stream,
        &json!({ "method": "io.secretsd.Control.Unlock", "more": true }),
    );
    refused(&mut stream, "org.varlink.service.InvalidParameter");
    send(
        &mut stream,
        &json!({ "method": "io.secretsd.Control.Unlock", "more": true, "parameters": { "pin": "123456" } }),
    );
    refused(&mut stream, "org.varlink.service.InvalidParameter");
    // What is no pipe to read from.
    let (reader, writer) = std::io::pipe().unwrap();
    let file = std::fs::File::open("/dev/zero").unwrap();
    for file in [file.as_fd(), writer.as_fd()] {
        call(&stream, file);
        let reply = refused(&mut stream, "io.secretsd.Control.UnlockRefused");
        assert!(reply.to_string().contains("descriptor"), "{reply}");
    }
    // Answers that make no sense, are too long, or do not come.
    for bytes in [&b"?\0\0\0\0"[..], b"g\0\0\x01\0", b""] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        call(&stream, reader.as_fd());
        drop(reader);
        let question = receive(&mut stream).unwrap();
        assert_eq!(question["continues"], true, "{question}");
        assert_eq!(question["parameters"]["question"]["kind"], "secret");
        writer.write_all(bytes).unwrap();
        drop(writer);
        refused(&mut stream, "io.secretsd.Control.UnlockRefused");
    }
    drop(reader);
    assert_eq!(machine.state(), "locked");
    locked.unlocked();
}

#[test]
fn whoever_goes_away_is_asked_no_more() {
    let Some(mut locked) = Locked::new("whoever_goes_away_is_asked_no_more", SECRETS) else {
        return;
    };
    locked.machine.start();
    let machine = &locked.machine;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut stream = machine.connect();
    call(&stream, reader.as_fd());
    assert_eq!(receive(&mut stream).unwrap()["continues"], true);
    // The pipe stays open, the connection does not.
    drop(stream);
    machine.eventually("it ends", || machine.log().contains("nothing was unlocked"));
    // A right answer that comes too late is none.
    let _ = writer.write_all(b"g\x05\0\0\x0012345");
    assert_eq!(machine.state(), "locked");
    locked.unlocked();
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
}

#[test]
fn only_root_and_the_daemons_user_unlock() {
    let test = "only_root_and_the_daemons_user_unlock";
    if !is_root() {
        not_run(test, "only root can be another user");
        return;
    }
    let Some(mut locked) = Locked::new(test, SECRETS) else {
        return;
    };
    let socket = locked.machine.dir.join("run/made/control");
    locked.configure(&format!(
        "socket: {{ path: {}, readers: 12345 }}\n{SECRETS}",
        socket.display()
    ));
    locked.machine.start();
    let as_member = |command: &str| {
        let program = locked
            .machine
            .ctl_command(User::Own, &["--socket", socket.to_str().unwrap(), command]);
        let mut wrapped = std::process::Command::new("setpriv");
        wrapped.args(["--reuid", "65534", "--regid", "65534", "--groups=12345"]);
        wrapped.arg(program.get_program()).args(program.get_args());
        run(&mut wrapped)
    };
    as_member("status").expect(1);
    for command in ["unlock", "lock"] {
        let refused = as_member(command).expect(2);
        assert!(refused.stderr.contains("only root"), "{refused}");
    }
}
