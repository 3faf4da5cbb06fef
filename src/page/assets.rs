//! The files of the page.

use axum::Router;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $file:literal, $content_type:expr) => {
        Asset { path: $path, content_type: $content_type, text: include_str!(concat!("assets/", $file)) }
    };
}

const ASSETS: [Asset; 13] = [
    asset!("/", "index.html", HTML),
    asset!("/assets/icon.svg", "icon.svg", SVG),
    asset!("/assets/style.css", "style.css", CSS),
    asset!("/assets/main.js", "main.js", SCRIPT),
    asset!("/assets/agent.js", "agent.js", SCRIPT),
    asset!("/assets/dom.js", "dom.js", SCRIPT),
    asset!("/assets/words.js", "words.js", SCRIPT),
    asset!("/assets/services.js", "services.js", SCRIPT),
    asset!("/assets/table.js", "table.js", SCRIPT),
    asset!("/assets/connections.js", "connections.js", SCRIPT),
    asset!("/assets/service.js", "service.js", SCRIPT),
    asset!("/assets/status.js", "status.js", SCRIPT),
    asset!("/assets/trace.js", "trace.js", SCRIPT),
];

/// Each file at its path.
pub(super) fn router() -> Router {
    ASSETS.into_iter().fold(Router::new(), |router, asset| {
        // Browsers ask each time, and need not be given again what they have.
        let tag = format!("\"{:08x}\"", crc32fast::hash(asset.text.as_bytes()));
        router.route(asset.path, get(move |asked: HeaderMap| async move { asset.answer(tag, &asked) }))
    })
}

impl Asset {
    fn answer(self, tag: String, asked: &HeaderMap) -> Response {
        let has_it = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let headers = [(CONTENT_TYPE, self.content_type.to_owned()), (ETAG, tag)];
        if has_it {
            (StatusCode::NOT_MODIFIED, headers).into_response()
        } else {
            (headers, self.text).into_response()
        }
    }
}
