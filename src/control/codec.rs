//! Frames: JSON objects that end in a NUL byte, with limits on size and time.

use std::{fmt, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout, timeout_at},
};

/// Bytes of one call.
pub(super) const CALL_SIZE: usize = 64 << 10;
/// How long a connection may be open without a call.
const IDLE: Duration = Duration::from_secs(30);
/// How long a call may take from its first byte to its last.
const ARRIVAL: Duration = Duration::from_secs(5);
/// How long the peer may take to receive a reply.
const DEPARTURE: Duration = Duration::from_secs(10);

/// Why no frame came.
#[derive(Debug)]
pub(super) enum Ended {
    /// The peer closed the connection, between two frames or in one.
    Closed,
    /// Reading or writing failed.
    Failed(io::Error),
    /// Nothing came, or not all of it, or nobody took the reply.
    TimedOut,
    /// A frame went over [`CALL_SIZE`].
    TooLarge,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the peer"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::TooLarge => write!(f, "a call is longer than {CALL_SIZE} bytes"),
        }
    }
}

/// Reads frames; at most one call of bytes is held.
pub(super) struct Frames<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that were searched for the end of a frame.
    searched: usize,
    /// When the first byte of the unfinished frame came.
    began: Option<Instant>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            searched: 0,
            began: None,
        }
    }

    /// Where the frames come from.
    pub(super) fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The next frame without its NUL byte. Can be dropped and called again without losing bytes.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Ended> {
        let idle = Instant::now() + IDLE;
        if !self.buffer.is_empty() {
            self.began.get_or_insert_with(Instant::now);
        }
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            let deadline = self.began.map_or(idle, |began| began + ARRIVAL);
            timeout_at(deadline, self.fill())
                .await
                .map_err(|_| Ended::TimedOut)??;
            self.began.get_or_insert_with(Instant::now);
        }
    }

    /// Ends when the peer goes away. For use while a call takes its time: what the peer sends meanwhile is kept for
    /// [`next`](Self::next) up to the limit, and not read beyond it.
    pub(super) async fn gone(&mut self) -> Ended {
        loop {
            if self.buffer.len() > CALL_SIZE {
                return Ended::TooLarge;
            }
            if let Err(ended) = self.fill().await {
                return ended;
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).await.map_err(Ended::Failed)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Err(Ended::Closed);
        };
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The frame at the front of the buffer, if it is complete.
    fn take(&mut self) -> Option<Result<Vec<u8>, Ended>> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = unsearched.iter().position(|&byte| byte == 0) else {
            self.searched = self.buffer.len();
            return (self.searched > CALL_SIZE).then_some(Err(Ended::TooLarge));
        };
        let end = self.searched + end;
        if end > CALL_SIZE {
            return Some(Err(Ended::TooLarge));
        }
        let rest = self.buffer.split_off(end + 1);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.pop();
        self.searched = 0;
        self.began = None;
        Some(Ok(frame))
    }
}

/// Sends one frame; a peer that does not take it in time is given up.
pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &serde_json::Value,
) -> Result<(), Ended> {
    let mut frame = message.to_string().into_bytes();
    frame.push(0);
    match timeout(DEPARTURE, stream.write_all(&frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Ended::Failed(error)),
        Err(_) => Err(Ended::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn several_frames_in_one_read() {
        let mut frames = Frames::new(&b"{}\0{\"a\":1}\0rest"[..]);
        run(async {
            assert_eq!(frames.next().await.unwrap(), b"{}");
            assert_eq!(frames.next().await.unwrap(), b"{\"a\":1}");
            assert!(matches!(frames.next().await, Err(Ended::Closed)));
        });
    }

    #[test]
    fn the_largest_call_passes_and_the_next_size_does_not() {
        let mut bytes = vec![b' '; CALL_SIZE];
        bytes.push(0);
        run(async {
            assert_eq!(
                Frames::new(&bytes[..]).next().await.unwrap().len(),
                CALL_SIZE
            );
            bytes.insert(0, b' ');
            assert!(matches!(
                Frames::new(&bytes[..]).next().await,
                Err(Ended::TooLarge)
            ));
            bytes.pop();
            assert!(matches!(
                Frames::new(&bytes[..]).next().await,
                Err(Ended::TooLarge)
            ));
        });
    }

    #[test]
    fn calls_sent_ahead_are_kept() {
        let mut frames = Frames::new(&b"{}\0{}\0"[..]);
        run(async {
            assert!(matches!(frames.gone().await, Ended::Closed));
            assert_eq!(frames.next().await.unwrap(), b"{}");
            assert_eq!(frames.next().await.unwrap(), b"{}");
        });
    }
}
