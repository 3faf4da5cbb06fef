//! The lines of a watch on their way to the client, and what faults do to them.

use crate::body::{Gone, Writer};
use crate::object::{self, Object};
use crate::status::Refusal;
use crate::{Fault, Resource, Verb};

/// Why a stream ends.
#[derive(Debug)]
pub(super) enum End {
    /// As it should.
    Proper,
    /// The client went first.
    Gone,
    /// With the connection.
    Cut,
    /// It does not end, but nothing comes any more.
    Hang,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The body of a watch.
pub(super) struct Stream {
    resource: Resource,
    writer: Writer,
    fault: Option<Fault>,
    /// How many events have been sent since the fault began.
    whole: usize,
    /// An event that waits for the next one.
    held: Option<Vec<u8>>,
}

impl Stream {
    pub(super) fn new(resource: Resource, writer: Writer) -> Self {
        Self { resource, writer, fault: None, whole: 0, held: None }
    }

    /// From now on there is a fault, of which some do not wait for an event.
    pub(super) async fn meet(&mut self, fault: Fault) -> Result<(), End> {
        self.whole = 0;
        match self.fault.insert(fault) {
            Fault::Status(failure) | Fault::ErrorEvent(failure) => {
                let refusal = Refusal::on_command(failure, Some(self.resource), Verb::Watch);
                self.writer.send(error_line(refusal)).await?;
                Err(End::Proper)
            }
            Fault::Silence | Fault::Hang { after: 0 } => Err(End::Hang),
            Fault::End { after: 0 } => Err(End::Proper),
            Fault::Slow { bytes, pause } => {
                self.writer.slow_down(*bytes, *pause);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns when the client has gone.
    pub(super) async fn closed(&self) {
        self.writer.closed().await;
    }

    /// Sends an event; `before` is what a MODIFIED object was.
    pub(super) async fn event(
        &mut self,
        kind: &str,
        object: &Object,
        before: Option<&Object>,
    ) -> Result<(), End> {
        let line = self.line(kind, object);
        match self.fault {
            Some(Fault::Cut { after }) if self.whole == after => {
                let half = line.get(..line.len() / 2).unwrap_or_default().to_vec();
                self.writer.send(half).await?;
                return Err(End::Cut);
            }
            Some(Fault::Duplicate) => {
                self.writer.send(line.clone()).await?;
                self.writer.send(line).await?;
            }
            Some(Fault::Reorder) => match self.held.take() {
                None => self.held = Some(line),
                Some(first) => {
                    self.writer.send(line).await?;
                    self.writer.send(first).await?;
                }
            },
            Some(Fault::Stale { .. }) => {
                self.writer.send(line).await?;
                if let Some(before) = before {
                    self.writer.send(self.line("MODIFIED", before)).await?;
                }
            }
            _ => self.writer.send(line).await?,
        }
        self.whole += 1;
        match self.fault {
            Some(Fault::Hang { after }) if self.whole >= after => Err(End::Hang),
            Some(Fault::End { after }) if self.whole >= after => Err(End::Proper),
            _ => Ok(()),
        }
    }

    /// Sends a bookmark; `ends_initial` says that the initial events end with it.
    pub(super) async fn bookmark(&mut self, version: u64, ends_initial: bool) -> Result<(), End> {
        if let Some(held) = self.held.take() {
            self.writer.send(held).await?;
        }
        let mut line = br#"{"type":"BOOKMARK","object":"#.to_vec();
        object::write_type(self.resource.facts(), &mut line);
        line.extend_from_slice(br#""metadata":{"resourceVersion":""#);
        object::write_number(version, &mut line);
        line.push(b'"');
        if ends_initial {
            line.extend_from_slice(br#","annotations":{"k8s.io/initial-events-end":"true"}"#);
        }
        line.push(b'}');
        line.extend_from_slice(self.resource.facts().empty.as_bytes());
        line.extend_from_slice(b"}}\n");
        Ok(self.writer.send(line).await?)
    }

    fn line(&self, kind: &str, object: &Object) -> Vec<u8> {
        let mut line = Vec::with_capacity(object.size() + 128);
        for part in [r#"{"type":""#, kind, r#"","object":"#] {
            line.extend_from_slice(part.as_bytes());
        }
        object.write(self.resource.facts(), &mut line);
        line.extend_from_slice(b"}\n");
        line
    }

    /// Ends the body, or sees to it that it does not end.
    pub(super) async fn finish(self, end: End) {
        match end {
            // Whatever waits for a second event is still to come.
            End::Proper => {
                if let Some(held) = self.held {
                    let _gone = self.writer.send(held).await;
                }
            }
            End::Gone => {}
            End::Cut => self.writer.cut().await,
            End::Hang => self.writer.closed().await,
        }
    }
}

/// A stream that is refused after its HTTP status has been sent.
pub(crate) fn error_line(refusal: Refusal) -> Vec<u8> {
    let mut line = br#"{"type":"ERROR","object":"#.to_vec();
    object::write_json(&refusal.into_status(), &mut line);
    line.extend_from_slice(b"}\n");
    line
}
