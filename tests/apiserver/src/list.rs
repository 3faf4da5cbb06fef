//! Lists, whole or in pages.

use std::ops::Bound;

use serde_json::{Map, Value};

use crate::body::{Gone, Writer};
use crate::continue_token::ContinueToken;
use crate::object::{self, Object};
use crate::query::{Query, VersionMatch};
use crate::resource::Facts;
use crate::status::Refusal;
use crate::store::Store;
use crate::{Fault, Resource};

/// How much of a list is sent at once.
const PIECE: usize = 64 << 10;

/// A list, or a page of one.
#[derive(Debug)]
pub(crate) struct Page {
    version: u64,
    continue_token: Option<String>,
    remaining: Option<usize>,
    objects: Vec<Object>,
}

/// What a list is made of.
struct Source {
    version: u64,
    /// Whether the next page must be of the same version.
    consistent: bool,
    start: Option<String>,
    limit: Option<usize>,
}

impl Page {
    /// What the query asks for.
    pub(crate) fn read(
        store: &Store,
        resource: Resource,
        query: &Query,
        fault: Option<&Fault>,
    ) -> Result<Self, Refusal> {
        let source = Source::choose(store, resource, query, fault)?;
        let objects = store.at(resource, source.version).map_err(|_| match &query.continue_token {
            Some(token) => Refusal::expired_continue(&token.inconsistent().encode()),
            None => Refusal::expired(),
        })?;
        let start = source.start.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let mut selected = objects
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(_, object)| object)
            .filter(|object| query.selection.matches(object));
        let limit = source.limit.unwrap_or(usize::MAX);
        let page: Vec<Object> = selected.by_ref().take(limit).cloned().collect();
        let remaining = selected.count();
        let last = page.last().filter(|_| remaining > 0);
        let token = last.map(|last| {
            ContinueToken::behind(&last.key(), source.consistent.then_some(source.version)).encode()
        });
        Ok(Self {
            version: source.version,
            remaining: (token.is_some() && query.selection.is_countable()).then_some(remaining),
            continue_token: token,
            objects: page,
        })
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.objects.iter().map(Object::size).sum()
    }

    /// All of it.
    pub(crate) fn into_bytes(self, facts: &Facts) -> Vec<u8> {
        let mut out = self.head(facts);
        for (index, object) in self.objects.iter().enumerate() {
            write_item(index, object, &mut out);
        }
        out.extend_from_slice(TAIL);
        out
    }

    /// Sends it piece by piece, with the faults that concern the way.
    pub(crate) async fn send(
        self,
        facts: &Facts,
        mut writer: Writer,
        fault: Option<Fault>,
    ) -> Result<(), Gone> {
        let (whole, cut) = match fault {
            Some(Fault::Hang { after }) => (after, false),
            Some(Fault::Cut { after }) => (after, true),
            Some(Fault::Slow { bytes, pause }) => {
                writer.slow_down(bytes, pause);
                (usize::MAX, false)
            }
            _ => (usize::MAX, false),
        };
        let mut out = self.head(facts);
        for (index, object) in self.objects.iter().enumerate() {
            let begin = out.len();
            write_item(index, object, &mut out);
            if index == whole {
                out.truncate(begin + (out.len() - begin) / 2);
                break;
            }
            if out.len() >= PIECE {
                writer.send(std::mem::take(&mut out)).await?;
            }
        }
        // A list that is shorter than a fault reckons with fails at its end.
        if whole == usize::MAX {
            out.extend_from_slice(TAIL);
        }
        writer.send(out).await?;
        match (whole, cut) {
            (usize::MAX, _) => {}
            (_, true) => writer.cut().await,
            (_, false) => writer.closed().await,
        }
        Ok(())
    }

    fn head(&self, facts: &Facts) -> Vec<u8> {
        let mut metadata = Map::from_iter([("resourceVersion".to_owned(), self.version.to_string().into())]);
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".to_owned(), token.clone().into());
        }
        if let Some(remaining) = self.remaining {
            metadata.insert("remainingItemCount".to_owned(), remaining.into());
        }
        let Facts { kind, api_version, .. } = facts;
        let mut out =
            format!(r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":"#).into_bytes();
        object::write_json(&Value::Object(metadata), &mut out);
        out.extend_from_slice(br#","items":["#);
        out
    }
}

const TAIL: &[u8] = b"]}\n";

fn write_item(index: usize, object: &Object, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
    object.write_item(out);
}

impl Source {
    fn choose(
        store: &Store,
        resource: Resource,
        query: &Query,
        fault: Option<&Fault>,
    ) -> Result<Self, Refusal> {
        let current = store.version();
        if let Some(token) = &query.continue_token {
            return Ok(Self {
                version: token.version().unwrap_or(current),
                consistent: token.version().is_some(),
                start: Some(token.start().to_owned()),
                limit: query.limit,
            });
        }
        let version = match (query.version.unwrap_or(0), query.version_match) {
            (asked, _) if asked > current => return Err(Refusal::too_large(asked, current)),
            (asked, Some(VersionMatch::Exact)) => asked,
            // With a limit, a version without a match means exactly that version.
            (asked, None) if asked > 0 && query.limit.is_some() => asked,
            _ => match fault {
                Some(Fault::Stale { changes }) => store.version_before(resource, *changes),
                _ => current,
            },
        };
        // The real server's cache, which may answer when any version will do, has no pages.
        let limit = query.limit.filter(|_| query.version != Some(0));
        Ok(Self { version, consistent: true, start: None, limit })
    }
}
