//! Which namespaces a command is about.

use clap::Args;

/// Where kubectl looks when it is not told.
const DEFAULT: &str = "default";

/// `-n` and `-A`, as kubectl has them.
#[derive(Debug, Args)]
pub(super) struct Namespace {
    /// The namespace
    #[arg(short, long, value_name = "NAME", default_value = DEFAULT)]
    namespace: String,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
}

impl Namespace {
    /// Whether all are asked for.
    pub(super) fn all(&self) -> bool {
        self.all_namespaces
    }

    /// The one that is asked for; `None` for all.
    pub(super) fn chosen(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|_| !self.all_namespaces)
    }

    /// Says that nothing was found, which is no error; `selected` where only some labels were asked for.
    pub(super) fn tell_of_none(&self, selected: bool) {
        let which = if selected { "that want rules and have such labels" } else { "that want rules" };
        if self.all_namespaces {
            tracing::warn!("there are no Services {which}");
        } else {
            tracing::warn!(
                "there are no Services {which} in namespace {}; -A shows those of all namespaces",
                self.namespace
            );
        }
    }
}
