//! The events of a watch, one a line, read where they lie in the connection's buffer.

use std::borrow::Cow;
use std::io;
use std::time::Instant;

use futures::AsyncBufRead;
use kube::core::Status;
use kube::core::watch::Bookmark;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Answer, is_idle};
use super::failure::Failure;
use super::object::{Item, Object};

/// One event (`metav1.WatchEvent`).
pub(super) enum Event<O> {
    /// `ADDED` or `MODIFIED`.
    Changed(Item<O>),
    /// `DELETED`.
    Deleted(Item<O>),
    /// `BOOKMARK`.
    Bookmark(Bookmark),
    /// `ERROR`.
    Error(Box<Status>),
}

/// The events of an answer.
pub(super) struct Events<R> {
    answer: Answer<R>,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

/// An event whose object is not looked at yet.
#[derive(Deserialize)]
struct Line<'a> {
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl<R: AsyncBufRead + Unpin> Events<R> {
    /// The events of the lines of an answer.
    pub fn new(answer: Answer<R>) -> Self {
        Self { answer, begun: Vec::new() }
    }

    /// The next event; `None` where the answer ends, be it in the middle of a line.
    ///
    /// # Errors
    ///
    /// A connection that breaks, a line that is no event.
    pub async fn next<O: Object>(&mut self) -> Result<Option<Event<O>>, Failure> {
        loop {
            let bytes = match self.answer.bytes().await {
                Ok(bytes) => bytes,
                Err(error) if is_end(&error) => &[],
                Err(error) if is_idle(&error) => return Err(Failure::Idle(error)),
                Err(error) => return Err(Failure::Request(kube::Error::ReadEvents(error))),
            };
            let read = Instant::now();
            if bytes.is_empty() {
                return last(&std::mem::take(&mut self.begun), read);
            }
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.begun.extend_from_slice(bytes);
                let length = bytes.len();
                self.answer.consume(length);
                continue;
            };
            let (rest, _) = bytes.split_at(end);
            let event = if self.begun.is_empty() {
                event(rest, read)
            } else {
                self.begun.extend_from_slice(rest);
                let event = event(&self.begun, read);
                self.begun.clear();
                event
            };
            self.answer.consume(end + 1);
            if let Some(event) = event? {
                return Ok(Some(event));
            }
        }
    }
}

/// Whether it is how connections end that have been open for long: proxies and servers cut them, at times within a chunk.
fn is_end(error: &io::Error) -> bool {
    let unexpected = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if found.downcast_ref::<io::Error>().is_some_and(unexpected) {
            return true;
        }
        cause = found.source();
    }
    error.to_string().contains("unexpected EOF during chunk")
}

/// What follows the last line feed: an event, or the beginning of one.
fn last<O: Object>(line: &[u8], read: Instant) -> Result<Option<Event<O>>, Failure> {
    match serde_json::from_slice::<Line<'_>>(line) {
        Err(error) if error.is_eof() => Ok(None),
        _ => event(line, read),
    }
}

/// The event in a line; `None` in an empty one.
fn event<O: Object>(line: &[u8], read: Instant) -> Result<Option<Event<O>>, Failure> {
    if let Some((kind, object)) = as_servers_write_it(line)
        && let Some(said) = said(kind)
        && let Ok(item) = Item::try_parse(object, read)
    {
        return Ok(Some(said(item)));
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let unreadable = |error| Failure::Request(kube::Error::SerdeError(error));
    let Line { r#type: kind, object } = match serde_json::from_slice(line) {
        Ok(line) => line,
        // Something on the way to the server may answer in its stead.
        Err(error) => {
            let status = serde_json::from_slice::<Status>(line);
            return Err(status.map_or_else(|_| unreadable(error), |status| Failure::Status(Box::new(status))));
        }
    };
    if let Some(said) = said(kind.as_bytes()) {
        return Ok(Some(said(Item::parse(object.get().as_bytes(), read))));
    }
    match &*kind {
        "BOOKMARK" => serde_json::from_str(object.get()).map(Event::Bookmark),
        "ERROR" => serde_json::from_str(object.get()).map(Event::Error),
        other => Err(serde::de::Error::unknown_variant(
            other,
            &["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"],
        )),
    }
    .map(Some)
    .map_err(unreadable)
}

/// What is said of an object by an event of a type that is about one.
fn said<O>(kind: &[u8]) -> Option<fn(Item<O>) -> Event<O>> {
    match kind {
        b"ADDED" | b"MODIFIED" => Some(Event::Changed),
        b"DELETED" => Some(Event::Deleted),
        _ => None,
    }
}

/// The type and the text of the object in a line that is written as the API server writes it: finding its end takes no reading
/// then. What is taken for the object may be no JSON, where the line has more in it than that.
fn as_servers_write_it(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(br#"{"type":""#)?;
    let (kind, rest) = rest.split_at_checked(memchr::memchr(b'"', rest)?)?;
    Some((kind, rest.strip_prefix(br#"","object":"#)?.strip_suffix(b"}")?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::io::BufReader;

    use super::*;
    use crate::kubernetes::object::Service;

    /// What the lines say, read so many bytes at a time.
    async fn told(lines: &str, at_once: usize) -> Vec<String> {
        let lines = BufReader::with_capacity(at_once, lines.as_bytes());
        let mut events = Events::new(Answer::new(lines, Duration::from_secs(9)));
        let mut told = Vec::new();
        loop {
            told.push(match events.next::<Service>().await {
                Ok(Some(Event::Changed(item))) => format!("changed {}", said_of(&item)),
                Ok(Some(Event::Deleted(item))) => format!("deleted {}", said_of(&item)),
                Ok(Some(Event::Bookmark(bookmark))) => {
                    format!("bookmark {}", bookmark.metadata.resource_version)
                }
                Ok(Some(Event::Error(status))) => format!("error {}", status.code),
                Ok(None) => return told,
                Err(Failure::Status(status)) => format!("status {}", status.code),
                Err(failure) => format!("{failure}"),
            });
            if told.len() > 9 {
                return told;
            }
        }
    }

    fn said_of(item: &Item<Service>) -> String {
        let name = item.name.as_ref().map_or("nameless", |name| name.name());
        match &item.content {
            Ok(_) => name.to_owned(),
            Err(problem) => format!("{name} with {problem}"),
        }
    }

    #[tokio::test]
    async fn events_are_read_however_they_are_written_and_cut() {
        let check = async |lines: &str, expected: &[&str]| {
            for at_once in [1, 7, 4096] {
                let told = told(lines, at_once).await;
                assert_eq!(told.len(), expected.len(), "{told:?} {lines}");
                for (told, expected) in told.iter().zip(expected) {
                    assert!(told.starts_with(expected), "{told:?} {lines}");
                }
            }
        };
        let a = r#"{"type":"ADDED","object":{"metadata":{"name":"a"}}}"#;
        let b = r#" { "object" : {"metadata":{"name":"b","x":"}"}} , "type" : "DELETED" } "#;
        let c = r#"{"type":"MODIFIED","object":{"metadata":{"name":"c"}},"more":{"x":1}}"#;
        let bad = r#"{"type":"MODIFIED","object":{"metadata":{"name":"bad"},"spec":7}}"#;
        let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Service","apiVersion":"v1","metadata":{"resourceVersion":"7"}}}"#;
        let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"Gone","code":410}"#;
        let error = format!(r#"{{"type":"ERROR","object":{status}}}"#);
        check("", &[]).await;
        check("\n\r\n", &[]).await;
        check(&format!("{a}\n{b}\r\n{c}\n"), &["changed a", "deleted b", "changed c"]).await;
        check(&format!("{bad}\n{a}\n"), &["changed bad with spec: invalid type", "changed a"]).await;
        check(&format!("{bookmark}\n{error}\n"), &["bookmark 7", "error 410"]).await;
        check(&format!("{status}\n"), &["status 410"]).await;
        // The last line may be whole or not.
        check(a, &["changed a"]).await;
        for end in 1..a.len() {
            check(&format!("{a}\n{}", &a[..end]), &["changed a"]).await;
        }
        // What is between line feeds is whole.
        check(&format!("{}\n{a}\n", &a[..a.len() - 1]), &["Error deserializing response", "changed a"]).await;
        check(&format!("{}\n", &a[..a.len() - 2]), &["Error deserializing response"]).await;
        check("{\"type\":\"REMOVED\",\"object\":{}}\n", &["Error deserializing response"]).await;
        check("<html>\n", &["Error deserializing response"]).await;
    }
}
