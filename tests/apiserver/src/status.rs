//! Failures, as clients are told of them.

use serde_json::{Value, json};

use crate::{Resource, Verb};

/// How the server refuses a request on command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// 401: the token has expired.
    Unauthorized,
    /// 403: RBAC does not allow it.
    Forbidden,
    /// 404: the API is not served.
    NotFound,
    /// 410: the version is too old.
    Expired,
    /// 429 with the header Retry-After, and a body that is no Status.
    TooManyRequests {
        /// After how many seconds to come again.
        retry_after: u32,
    },
    /// 500, as when etcd does not answer.
    InternalError,
    /// 503: the server is about to end.
    ServiceUnavailable,
}

/// A refusal: an object of kind Status, or plain text where the real server writes that.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub code: u16,
    pub body: Content,
    pub retry_after: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Status(Value),
    Text(&'static str),
}

impl Refusal {
    fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message.into(),
            "reason": reason,
            "code": code,
        });
        Self { code, body: Content::Status(status), retry_after: None }
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        if let Content::Status(Value::Object(status)) = &mut self.body {
            status.insert(field.to_owned(), value);
        }
        self
    }

    /// What a test wants to be told.
    pub(crate) fn on_command(failure: &Failure, resource: Option<Resource>, verb: Verb) -> Self {
        match failure {
            Failure::Unauthorized => Self::unauthorized(),
            Failure::Forbidden => Self::forbidden(resource, verb),
            Failure::NotFound => Self::not_served(),
            Failure::Expired => Self::expired(),
            Failure::TooManyRequests { retry_after } => Self::too_many_requests(*retry_after),
            Failure::InternalError => {
                Self::new(500, "InternalError", "Internal error occurred: etcdserver: request timed out")
                    .with("details", json!({ "causes": [{ "message": "etcdserver: request timed out" }] }))
            }
            Failure::ServiceUnavailable => Self::new(503, "ServiceUnavailable", "apiserver is shutting down"),
        }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    fn forbidden(resource: Option<Resource>, verb: Verb) -> Self {
        let (plural, group) =
            resource.map_or(("", ""), |resource| (resource.facts().plural, resource.facts().group));
        let qualified = resource.map(Resource::qualified).unwrap_or_default();
        let verb = verb.name();
        let message = format!(
            "{qualified} is forbidden: User \"system:serviceaccount:kube-system:svcnat\" cannot {verb} resource \
             \"{plural}\" in API group \"{group}\" at the cluster scope"
        );
        Self::new(403, "Forbidden", message).with("details", json!({ "group": group, "kind": plural }))
    }

    /// The path leads to nothing that is served.
    pub(crate) fn not_served() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
            .with("details", json!({}))
    }

    /// There is no such object.
    pub(crate) fn not_found(resource: Resource, name: &str) -> Self {
        let facts = resource.facts();
        let mut details = json!({ "name": name, "kind": facts.plural });
        if !facts.group.is_empty() {
            details["group"] = facts.group.into();
        }
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified()))
            .with("details", details)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with("details", json!({}))
    }

    pub(crate) fn already_exists(resource: Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified()))
            .with("details", json!({ "name": name, "kind": resource.facts().plural }))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Parameters that do not go together.
    pub(crate) fn invalid_options(message: &str) -> Self {
        Self::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {message}"))
    }

    pub(crate) fn expired() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided list is too old.")
    }

    /// A continue token whose version is gone, and a token to go on with what there is now.
    pub(crate) fn expired_continue(inconsistent: &str) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
                       a new list without the continue parameter, or use the continue token in this response to \
                       retrieve the remainder of the results. Continuing with the provided token results in an \
                       inconsistent list - objects that were created, modified, or deleted between the time the first \
                       chunk was returned and now may show up in the list.";
        Self::new(410, "Expired", message).with("metadata", json!({ "continue": inconsistent }))
    }

    /// The version from which a watch should go on is gone.
    pub(crate) fn too_old(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// The version is one that the server has not seen yet.
    pub(crate) fn too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = json!({ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" });
        Self::new(504, "Timeout", message)
            .with("details", json!({ "causes": [cause], "retryAfterSeconds": 1 }))
    }

    /// A streaming list that the storage cannot grant.
    pub(crate) fn no_streaming_lists() -> Self {
        let message = "a watch stream was requested by the client but the required storage feature \
                       RequestWatchProgress is disabled";
        Self::new(500, "InternalError", message)
    }

    fn too_many_requests(retry_after: u32) -> Self {
        Self {
            code: 429,
            body: Content::Text("Too many requests, please try again later.\n"),
            retry_after: Some(retry_after),
        }
    }

    /// The Status for a stream whose HTTP status has been sent.
    pub(crate) fn into_status(self) -> Value {
        match self.body {
            Content::Status(status) => status,
            Content::Text(text) => match Self::new(self.code, "TooManyRequests", text.trim_end()).body {
                Content::Status(status) => status,
                Content::Text(text) => text.into(),
            },
        }
    }
}
