//! What comes in at the server's end of a connection: bytes, and with them perhaps an open file that the peer passes on.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    net::{UnixStream, unix::OwnedReadHalf},
};

/// See the module.
pub(super) struct Incoming {
    stream: OwnedReadHalf,
    /// The newest one; whoever passes more has them closed.
    passed: Option<OwnedFd>,
}

impl Incoming {
    pub(super) fn new(stream: OwnedReadHalf) -> Self {
        Self {
            stream,
            passed: None,
        }
    }

    /// What the peer has passed on with what was read so far.
    pub(super) fn take_passed(&mut self) -> Option<OwnedFd> {
        self.passed.take()
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let stream: &UnixStream = this.stream.as_ref();
        loop {
            ready!(stream.poll_read_ready(context))?;
            let received = stream.try_io(Interest::READABLE, || {
                receive(stream, buffer.initialize_unfilled())
            });
            match received {
                Ok((count, passed)) => {
                    buffer.advance(count);
                    if passed.is_some() {
                        this.passed = passed;
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// One read. There is room for one open file: the kernel keeps others from becoming ours.
fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut passed = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            passed = files.last();
        }
    }
    Ok((received.bytes, passed))
}
