//! What svcnat answers over HTTP: health, metrics, and the health checks of load balancers.
//!
//! Everything runs as tasks of the tokio runtime of whoever starts it and ends when what was started is dropped.

mod connections;
pub mod health;
pub mod health_checks;
mod listen;
pub mod server;

use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};

pub use health::Health;
pub use health_checks::{HealthCheck, HealthChecks};
pub use server::{Bind, Server};

/// Headers as kube-proxy has them for its JSON.
const JSON: [(HeaderName, &str); 2] =
    [(CONTENT_TYPE, "application/json"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// 200, or 503 so that whoever asks turns elsewhere.
fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
