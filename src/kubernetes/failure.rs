//! What can go wrong with a list or a watch, and where to go on after it.

use std::io;
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use kube::core::Status;

/// Why a list or a watch ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Status 429 or 503 with the header `Retry-After`.
    #[error("{0}")]
    Busy(Busy),
    /// The server's own words, as an answer or in the middle of a watch.
    #[error("the API server says: {} (code {})", .0.message, .0.code)]
    Status(Box<Status>),
    /// No answer, or none that can be understood.
    #[error("{}", chain(.0))]
    Request(kube::Error),
    /// No answer in the time that a connection may be idle.
    #[error("the API server has not answered for {0:?}")]
    NoAnswer(Duration),
    /// No byte of an answer in the time that a connection may be idle.
    #[error("{0}")]
    Idle(io::Error),
    /// The connection broke during a list.
    #[error("the list broke off: {}", chain(.0))]
    Read(io::Error),
    /// A list that is not one.
    #[error("the answer is not a list of the Kubernetes API: {0}")]
    List(serde_json::Error),
    /// A streaming list that ended before all objects were sent.
    #[error("the streaming list broke off")]
    CutShort,
    /// A server that does not know streaming lists sends a plain watch.
    #[error("the API server does not send streaming lists")]
    NotStreaming,
    /// A list of a state that is older than what was asked for.
    #[error("the API server's list is older than what was seen of its state")]
    WentBack,
    /// A watch in which nothing came at all. A server that was set up anew, or from a backup, counts from a lower
    /// version; it accepts a watch from a version that it has yet to come to, and sends not even bookmarks until then.
    #[error("the watch stayed silent from its beginning")]
    Silent,
    /// Watches that end as soon as they begin.
    #[error("the API server ended the watch at once")]
    EndedAtOnce,
    /// Nobody wants the news any more.
    #[error("the receiver of news is gone")]
    Closed,
}

/// A server that asks to be left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API server is busy (status {code}) and asks to come back in {} s", after.as_secs())]
pub(super) struct Busy {
    /// The status.
    pub code: u16,
    /// `Retry-After`.
    pub after: Duration,
}

/// An error with its causes: those of HTTP libraries say little by themselves.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let found_text = found.to_string();
        if !text.contains(&found_text) {
            text = format!("{text}: {found_text}");
        }
        cause = found.source();
    }
    text
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            kube::Error::Service(error) => match error.downcast::<Busy>() {
                Ok(busy) => Self::Busy(*busy),
                Err(error) => Self::Request(kube::Error::Service(error)),
            },
            error => Self::Request(error),
        }
    }
}

/// Whether a token cannot be put into a header; other errors are those of plugins, which have just been run.
fn is_unsendable(error: &kube::client::AuthError) -> bool {
    matches!(error, kube::client::AuthError::InvalidBearerToken(_))
}

/// What failures have in common that are worth saying once.
pub(super) type Cause = (Discriminant<Failure>, Option<u16>);

impl Failure {
    /// What other failures may have in common with this one.
    pub fn cause(&self) -> Cause {
        (discriminant(self), self.code())
    }

    /// The HTTP status that the server gave, if it gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::Busy(busy) => Some(busy.code),
            _ => None,
        }
    }

    /// Whether other credentials may help: the server refuses those that were sent, or they cannot be sent.
    pub fn is_of_credentials(&self) -> bool {
        match self {
            Self::Request(kube::Error::Auth(error)) => is_unsendable(error),
            Self::Request(kube::Error::Service(error)) => error.downcast_ref().is_some_and(is_unsendable),
            _ => self.code() == Some(401),
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(busy) => Some(busy.after),
            Self::Status(status) => {
                let seconds = status.details.as_ref()?.retry_after_seconds;
                (seconds > 0).then(|| Duration::from_secs(seconds.into()))
            }
            _ => None,
        }
    }

    /// Whether a watch from the same version would come to the same end: the version is too old or not known, or what
    /// follows it is no event of a watch.
    fn ends_watching(&self) -> bool {
        matches!(self, Self::Silent | Self::Request(kube::Error::SerdeError(_))) || self.code() == Some(410)
    }

    /// Whether the server refuses a streaming list as such, so that a plain one is to be tried.
    ///
    /// A storage without progress notification makes it an internal error in the watch, a server that knows the
    /// parameters but has the feature switched off says 400 or 422.
    fn refuses_streaming(&self) -> bool {
        match self {
            Self::NotStreaming => true,
            Self::Status(status) => matches!(status.code, 400 | 405 | 422 | 500 | 501),
            _ => false,
        }
    }

    /// Whether the version asked for cannot be had: it is too old, from a future that the server knows nothing of, or
    /// none that it understands.
    fn refuses_version(&self) -> bool {
        match self {
            Self::WentBack => true,
            Self::Status(status) => {
                let too_large = || {
                    let details = status.details.as_ref();
                    let mut causes = details.into_iter().flat_map(|details| &details.causes);
                    causes.any(|cause| cause.reason == "ResourceVersionTooLarge")
                        || status.message.contains("Too large resource version")
                };
                matches!(status.code, 400 | 410 | 422) || (status.code == 504 && too_large())
            }
            _ => false,
        }
    }
}

/// The state that a list shall be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// Whatever the server has in its cache; good enough to begin with.
    Any,
    /// What the server has in its cache, once that has this version.
    NotOlderThan(String),
    /// The latest, whatever it costs the server.
    Latest,
}

impl Since {
    /// The parameter `resourceVersion`, together with `resourceVersionMatch=NotOlderThan`.
    pub fn as_parameter(&self) -> &str {
        match self {
            Self::Any => "0",
            Self::NotOlderThan(version) => version,
            Self::Latest => "",
        }
    }
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// With a list.
    List {
        /// Of which state.
        since: Since,
        /// Whether to ask for it as a stream.
        streaming: bool,
    },
    /// With a watch of what came after this version.
    Watch(String),
}

impl Position {
    /// Where to go on after a failure. Most leave the position as it is.
    pub fn after(self, failure: &Failure, streaming: bool) -> Self {
        match self {
            Self::List { since, streaming: true } if failure.refuses_streaming() => {
                Self::List { since, streaming: false }
            }
            Self::List { since: Since::NotOlderThan(_), .. } if failure.refuses_version() => {
                Self::List { since: Since::Latest, streaming }
            }
            // The version that is too old for a watch is a good lower bound for a list, and a list tells whether the
            // server knows the version at all.
            Self::Watch(version) if failure.ends_watching() => {
                Self::List { since: Since::NotOlderThan(version), streaming }
            }
            Self::Watch(_) if failure.refuses_version() => Self::List { since: Since::Latest, streaming },
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, details: &str) -> Failure {
        let text = format!(r#"{{"status":"Failure","code":{code},"message":"no","reason":"No"{details}}}"#);
        Failure::Status(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn failures_lead_to_where_progress_is_possible() {
        let too_large = || {
            status(
                504,
                r#","details":{"causes":[{"reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":1}"#,
            )
        };
        let unreadable = || {
            let error = serde_json::from_str::<u8>("x").unwrap_err();
            Failure::Request(kube::Error::SerdeError(error))
        };
        let check = |before: &str, failure: &Failure, expected: &str| {
            let after = position(before).after(failure, before.ends_with("stream"));
            assert_eq!(after, position(expected), "{before} {failure}");
        };
        for failure in [status(429, ""), status(500, ""), status(503, ""), Failure::EndedAtOnce] {
            for before in ["watch 7", "any", "from 7", "latest"] {
                check(before, &failure, before);
            }
        }
        for failure in [status(429, ""), status(503, ""), status(401, ""), Failure::CutShort] {
            check("any stream", &failure, "any stream");
        }
        for failure in [status(400, ""), status(422, ""), status(500, ""), Failure::NotStreaming] {
            check("any stream", &failure, "any");
            check("from 7 stream", &failure, "from 7");
        }
        check("watch 7", &status(410, ""), "from 7");
        check("watch 7", &unreadable(), "from 7");
        check("watch 7", &too_large(), "latest");
        check("watch 7", &Failure::Silent, "from 7");
        check("from 7", &Failure::WentBack, "latest");
        check("watch 7", &status(504, ""), "watch 7");
        check("from 7", &status(410, ""), "latest");
        check("from 7", &too_large(), "latest");
        check("from 7 stream", &too_large(), "latest stream");
        check("latest", &status(410, ""), "latest");
    }

    fn position(text: &str) -> Position {
        let (text, streaming) = text.strip_suffix(" stream").map_or((text, false), |text| (text, true));
        match text.split_once(' ') {
            Some(("watch", version)) => Position::Watch(version.to_owned()),
            Some((_, version)) => {
                Position::List { since: Since::NotOlderThan(version.to_owned()), streaming }
            }
            None if text == "any" => Position::List { since: Since::Any, streaming },
            None => Position::List { since: Since::Latest, streaming },
        }
    }

    #[test]
    fn credentials_are_renewed_where_that_may_help() {
        let check =
            |failure: &Failure, expected| assert_eq!(failure.is_of_credentials(), expected, "{failure}");
        let unsendable = http::HeaderValue::try_from("Bearer token\n").unwrap_err();
        let unsendable = kube::client::AuthError::InvalidBearerToken(unsendable);
        check(&Failure::from(kube::Error::Service(unsendable.into())), true);
        check(&status(401, ""), true);
        check(&status(403, ""), false);
        check(&Failure::CutShort, false);
    }

    #[test]
    fn a_server_that_names_a_time_is_heard() {
        let busy = Busy { code: 429, after: Duration::from_secs(7) };
        let check = |failure: &Failure, expected: Option<u64>| {
            assert_eq!(failure.retry_after(), expected.map(Duration::from_secs), "{failure}");
        };
        check(&Failure::from(kube::Error::Service(busy.into())), Some(7));
        check(&status(429, r#","details":{"retryAfterSeconds":3}"#), Some(3));
        check(&status(429, ""), None);
        check(&Failure::CutShort, None);
    }
}
