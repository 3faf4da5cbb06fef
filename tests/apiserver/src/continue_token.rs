//! The token with which a client asks for the next page of a list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The token, which is JSON in base64url as in `k8s.io/apiserver/pkg/storage/continue.go`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinueToken {
    v: String,
    rv: i64,
    start: String,
}

const FORMAT: &str = "meta.k8s.io/v1";

impl ContinueToken {
    /// The page behind the object with this key, of the list at a version; at whatever version there is when it is absent.
    pub(crate) fn behind(key: &str, version: Option<u64>) -> Self {
        Self::from(format!("{key}\0"), version)
    }

    fn from(start: String, version: Option<u64>) -> Self {
        let rv = version.and_then(|version| i64::try_from(version).ok()).unwrap_or(-1);
        Self { v: FORMAT.to_owned(), rv, start }
    }

    /// The version of the list; none when it may be inconsistent.
    pub(crate) fn version(&self) -> Option<u64> {
        u64::try_from(self.rv).ok()
    }

    /// The key from which to go on.
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// The same place in whatever list there is.
    pub(crate) fn inconsistent(&self) -> Self {
        Self::from(self.start.clone(), None)
    }

    pub(crate) fn encode(&self) -> String {
        let mut json = Vec::new();
        crate::object::write_json(self, &mut json);
        URL_SAFE_NO_PAD.encode(json)
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&json).ok().filter(|token: &Self| token.v == FORMAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_real_server() {
        for (key, version, recorded) in [
            (
                "default/svc-0",
                Some(32259),
                "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MzIyNTksInN0YXJ0IjoiZGVmYXVsdC9zdmMtMFx1MDAwMCJ9",
            ),
            (
                "default/kubernetes",
                None,
                "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiZGVmYXVsdC9rdWJlcm5ldGVzXHUwMDAwIn0",
            ),
        ] {
            let token = ContinueToken::behind(key, version);
            assert_eq!(token.encode(), recorded);
            assert_eq!(ContinueToken::decode(recorded), Some(token));
        }
        assert_eq!(ContinueToken::decode("bm9uc2Vuc2U"), None);
    }
}
