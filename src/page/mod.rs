//! A page for people, in the agent: the answers of its socket as tables that follow what happens, and a form that draws the
//! way of a packet.
//!
//! What it needs is in the program: the files of `assets`, and the agent's answers under `/v1/`. It is served to processes of this
//! host alone, without asking who they are, and so a browser must not be talked into reading it for others:
//!
//! - `guard.rs` refuses names other than the host's own (DNS rebinding) and questions from other sites' pages.
//! - The headers of every answer forbid the browser to load anything from elsewhere, to run or apply what stands in a page
//!   itself, to show it in a frame, and to let other sites have it.
//! - The scripts put whatever they are told into the page as text, never as markup.

mod assets;
mod guard;

use axum::Router;
use axum::middleware::from_fn_with_state;

/// The page at `/`, its files, and `answers` to what they ask.
pub fn router(answers: Router) -> Router {
    assets::router().merge(answers).layer(from_fn_with_state(guard::Guard::default(), guard::guard))
}
