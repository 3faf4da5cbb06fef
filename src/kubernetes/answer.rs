//! An answer that is read as it comes, and given up when nothing comes for too long.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use tokio::time::{Instant, Sleep, sleep};

/// The body of an answer.
///
/// The time without a byte is watched here and not by the connection (`kube::Config::read_timeout`), which sets its timer anew with
/// each read: that wakes the runtime twice for each event of a watch. This timer is looked at when it is due.
pub(super) struct Answer<R> {
    body: R,
    idle: Duration,
    heard: Instant,
    due: Pin<Box<Sleep>>,
}

/// Nothing has come for so long.
#[derive(Debug, thiserror::Error)]
#[error("nothing has come for {0:?}")]
struct Idle(Duration);

/// Whether an answer stayed without a byte for too long, and nothing else is known to be wrong with its connection.
pub(super) fn is_idle(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Idle>())
}

impl<R: AsyncBufRead + Unpin> Answer<R> {
    /// An answer that may stay without a byte for so long.
    pub fn new(body: R, idle: Duration) -> Self {
        Self { body, idle, heard: Instant::now(), due: Box::pin(sleep(idle)) }
    }

    /// What has come; nothing at the end.
    ///
    /// # Errors
    ///
    /// A connection that breaks, or stays without a byte for too long: see [`is_idle`].
    pub async fn bytes(&mut self) -> io::Result<&[u8]> {
        poll_fn(|context| self.poll_more(context)).await?;
        self.body.fill_buf().await
    }

    /// Takes what has been looked at out of the way.
    pub fn consume(&mut self, bytes: usize) {
        self.body.consume_unpin(bytes);
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(more) = Pin::new(&mut self.body).poll_fill_buf(context) {
            self.heard = Instant::now();
            return Poll::Ready(more.map(drop));
        }
        loop {
            ready!(self.due.as_mut().poll(context));
            let due = self.heard + self.idle;
            if due <= Instant::now() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, Idle(self.idle))));
            }
            self.due.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::unfold;
    use futures::{Stream, TryStreamExt as _};

    use super::*;

    /// One byte after each of these seconds, then nothing any more.
    fn after(seconds: &'static [u64]) -> impl Stream<Item = io::Result<Vec<u8>>> {
        unfold(seconds, async |seconds| {
            let (first, rest) = match seconds.split_first() {
                Some((first, rest)) => (Duration::from_secs(*first), rest),
                None => (Duration::MAX, seconds),
            };
            sleep(first).await;
            Some((Ok(vec![b'x']), rest))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_up_when_nothing_comes_for_too_long() {
        let check = async |seconds: &'static [u64], heard: usize, until: u64| {
            let body = Box::pin(after(seconds).into_async_read());
            let mut answer = Answer::new(body, Duration::from_secs(90));
            let (began, mut bytes) = (Instant::now(), 0);
            let error = loop {
                match answer.bytes().await.map(<[u8]>::len) {
                    Ok(more) => {
                        bytes += more;
                        answer.consume(more);
                    }
                    Err(error) => break error,
                }
            };
            assert!(is_idle(&error), "{error}");
            assert_eq!((bytes, began.elapsed().as_secs()), (heard, until), "{seconds:?}");
        };
        check(&[], 0, 90).await;
        check(&[89], 1, 179).await;
        check(&[89, 89, 1, 0, 89], 5, 358).await;
        check(&[1, 91], 1, 91).await;
    }
}
