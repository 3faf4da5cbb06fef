//! Why a question has no answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use svcnat_rules::name::ObjectName;

use crate::agent_api::Complaint;

pub(super) fn not_yet() -> Response {
    complaint(
        StatusCode::SERVICE_UNAVAILABLE,
        "not all that exists in the cluster is known yet; `svcnat status` says more".to_owned(),
    )
}

pub(super) fn no_service(service: &ObjectName) -> Response {
    complaint(StatusCode::NOT_FOUND, format!("no Service {service} wants rules"))
}

pub(super) fn complaint(status: StatusCode, message: String) -> Response {
    (status, Json(Complaint { message })).into_response()
}
