//! How far reading is.

/// What has been read of all sources together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the documents that have been read to their end.
    pub bytes: u64,
    /// Bytes of all files; `None` where a source has no size, as standard input.
    pub total: Option<u64>,
    /// Objects, those of kinds that are passed over too.
    pub objects: u64,
}

/// Tells somebody.
pub(crate) struct Told<'a> {
    tell: &'a mut dyn FnMut(Progress),
    so_far: Progress,
}

impl<'a> Told<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(Progress), total: Option<u64>) -> Self {
        Self { tell, so_far: Progress { total, ..Progress::default() } }
    }

    /// An object has been read.
    pub(super) fn object(&mut self) {
        self.so_far.objects += 1;
        (self.tell)(self.so_far);
    }

    /// So many more bytes have been read.
    pub(super) fn bytes(&mut self, count: usize) {
        self.so_far.bytes += count as u64;
        (self.tell)(self.so_far);
    }
}
