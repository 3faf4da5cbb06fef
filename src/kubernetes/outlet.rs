//! Where news goes, and when it is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::failure::Failure;
use crate::source::News;

/// The receiver of news, and the count of resources that have not been listed yet.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    sender: mpsc::Sender<News>,
    missing: Arc<AtomicUsize>,
}

impl Outlet {
    /// An outlet for this many resources.
    pub fn new(sender: mpsc::Sender<News>, resources: usize) -> Self {
        Self { sender, missing: Arc::new(AtomicUsize::new(resources)) }
    }

    /// Waits until nobody wants the news any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// One resource's part of the news.
#[derive(Debug)]
pub(super) struct Share {
    outlet: Outlet,
    complete: bool,
}

impl Share {
    /// A share for one of the outlet's resources.
    pub fn new(outlet: Outlet) -> Self {
        Self { outlet, complete: false }
    }

    /// Tells, and waits where the receiver has not kept up.
    pub async fn tell(&self, news: News) -> Result<(), Failure> {
        self.outlet.sender.send(news).await.map_err(|_| Failure::Closed)
    }

    /// All that existed of this resource has been told. The last resource to get here tells [`News::Complete`].
    pub async fn complete(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.complete, true) {
            return Ok(());
        }
        // Each resource's news is in the channel before it is counted, and so before `Complete`.
        match self.outlet.missing.fetch_sub(1, Ordering::AcqRel) {
            1 => self.tell(News::Complete).await,
            _ => Ok(()),
        }
    }
}
