//! Bodies of answers: whole ones, and those that are written while clients read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::{Notify, mpsc};

/// How many pieces wait for a client that reads slowly; who writes more waits.
const WAITING: usize = 16;

/// How long the pieces before a cut have for their way to the client.
const BEFORE_CUT: Duration = Duration::from_millis(5);

/// A body.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it is there, so that its length is told.
    Whole(Option<Bytes>),
    /// A [`Writer`] writes it.
    Stream(mpsc::Receiver<Bytes>),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take()),
            Self::Stream(receiver) => receiver.poll_recv(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(0)),
            ),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A client's connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Ends it.
    pub cut: Notify,
}

/// The client has gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// Writes a body of the kind [`Body::Stream`]; the body ends with it.
#[derive(Debug)]
pub(crate) struct Writer {
    sender: mpsc::Sender<Bytes>,
    connection: Arc<Connection>,
    slow: Option<(usize, Duration)>,
}

impl Writer {
    pub(crate) fn new(connection: Arc<Connection>) -> (Self, Body) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, connection, slow: None }, Body::Stream(receiver))
    }

    /// From now on, what is sent goes in pieces of so many bytes, with a pause behind each.
    pub(crate) fn slow_down(&mut self, bytes: usize, pause: Duration) {
        self.slow = Some((bytes.max(1), pause));
    }

    /// Sends bytes on their way at once.
    pub(crate) async fn send(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        let mut bytes = Bytes::from(bytes);
        if let Some((size, pause)) = self.slow {
            while bytes.len() > size {
                self.push(bytes.split_to(size)).await?;
                tokio::time::sleep(pause).await;
            }
        }
        self.push(bytes).await
    }

    async fn push(&self, bytes: Bytes) -> Result<(), Gone> {
        self.sender.send(bytes).await.map_err(|_| Gone)
    }

    /// Returns when the client has gone.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Ends the connection behind what was sent, as if the network or the server had failed.
    pub(crate) async fn cut(self) {
        tokio::time::sleep(BEFORE_CUT).await;
        self.connection.cut.notify_one();
        // The body must not end properly before the connection does.
        self.closed().await;
    }
}
