//! The parameters of lists and watches:
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.

use std::collections::HashMap;
use std::time::Duration;

use crate::continue_token::ContinueToken;
use crate::selector::{self, Selection};
use crate::status::Refusal;

/// What a list or a watch is asked to be.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub selection: Selection,
    pub watch: bool,
    /// Absent means the latest; 0 any.
    pub version: Option<u64>,
    pub version_match: Option<VersionMatch>,
    pub limit: Option<usize>,
    pub continue_token: Option<ContinueToken>,
    pub bookmarks: bool,
    pub initial_events: Option<bool>,
    pub timeout: Option<Duration>,
}

/// What `resourceVersion` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    Exact,
    NotOlderThan,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Result<Self, Refusal> {
        let all: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
        // An empty parameter is as good as none.
        let text = |name: &str| all.get(name).map(AsRef::as_ref).filter(|value: &&str| !value.is_empty());
        let selection = Selection {
            namespace: None,
            labels: selector::parse_labels(text("labelSelector").unwrap_or_default())
                .map_err(|part| Refusal::bad_request(format!("unable to parse requirement: {part}")))?,
            fields: selector::parse_fields(text("fieldSelector").unwrap_or_default())
                .map_err(|part| Refusal::bad_request(format!("field label not supported: {part}")))?,
        };
        let parsed = Self {
            selection,
            watch: flag(text("watch")).unwrap_or(false),
            version: number("resourceVersion", text("resourceVersion"))?,
            version_match: text("resourceVersionMatch").map(version_match).transpose()?,
            limit: number("limit", text("limit"))?
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| *limit > 0),
            continue_token: text("continue").map(continue_token).transpose()?,
            bookmarks: flag(text("allowWatchBookmarks")).unwrap_or(false),
            initial_events: flag(text("sendInitialEvents")),
            timeout: number("timeoutSeconds", text("timeoutSeconds"))?
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        };
        parsed.check()
    }

    /// Checks that the parameters go together, as `ValidateListOptions` in `k8s.io/apimachinery` does.
    fn check(self) -> Result<Self, Refusal> {
        let wrong = match (self.watch, self.initial_events, self.version_match) {
            (false, Some(_), _) => "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
            (true, Some(_), None | Some(VersionMatch::Exact)) => {
                "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                 NotOlderThan"
            }
            (true, None, Some(_)) => {
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless \
                 sendInitialEvents is provided"
            }
            (false, None, Some(_)) if self.continue_token.is_some() => {
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
            }
            (false, None, Some(_)) if self.version.is_none() => {
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            }
            (false, None, Some(VersionMatch::Exact)) if self.version == Some(0) => {
                "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""
            }
            _ => return Ok(self),
        };
        Err(Refusal::invalid_options(wrong))
    }
}

fn flag(text: Option<&str>) -> Option<bool> {
    text.map(|text| matches!(text, "true" | "1"))
}

fn number(name: &str, text: Option<&str>) -> Result<Option<u64>, Refusal> {
    text.map(|text| {
        text.parse().map_err(|_| Refusal::bad_request(format!("{name}: Invalid value: \"{text}\"")))
    })
    .transpose()
}

fn version_match(text: &str) -> Result<VersionMatch, Refusal> {
    match text {
        "Exact" => Ok(VersionMatch::Exact),
        "NotOlderThan" => Ok(VersionMatch::NotOlderThan),
        _ => Err(Refusal::invalid_options("resourceVersionMatch: Unsupported value")),
    }
}

fn continue_token(text: &str) -> Result<ContinueToken, Refusal> {
    ContinueToken::decode(text).ok_or_else(|| Refusal::bad_request("continue key is not valid"))
}
