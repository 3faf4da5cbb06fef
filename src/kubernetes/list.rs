//! Lists, read one object at a time: a list of a large cluster is tens of megabytes, none of which need be kept.

use serde::Deserialize;

/// Cuts the text of a list into the texts of its items.
///
/// A list is an object; the elements of its `items` are handed out as they come, and what is around them is kept. Only
/// as much of JSON is understood as it takes to find where an element ends. The items and the rest are parsed, and
/// thereby checked, by whoever receives them.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// How many objects and arrays are open.
    depth: usize,
    in_string: bool,
    /// Whether the last byte was a backslash that the next byte belongs to.
    escaped: bool,
    /// Whether the innermost object or array that the list itself has open is its `items`.
    in_items: bool,
    /// Where in `around` the last string directly in the list began and ended.
    last_string: (usize, usize),
    around: Vec<u8>,
    item: Vec<u8>,
}

/// What a list says of itself.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMetadata {
    /// The version of the state that the list is of.
    pub resource_version: Option<String>,
    /// The token for the next part of the list.
    pub r#continue: Option<String>,
}

#[derive(Deserialize)]
struct Around {
    metadata: ListMetadata,
}

impl Splitter {
    /// Takes bytes until an item is complete, and says whether one is.
    pub fn advance(&mut self, bytes: &mut &[u8]) -> bool {
        while let Some((&byte, rest)) = bytes.split_first() {
            let plain = self.plain(bytes);
            if plain > 0 {
                let (run, rest) = bytes.split_at(plain);
                self.target().extend_from_slice(run);
                *bytes = rest;
                continue;
            }
            *bytes = rest;
            if self.take(byte) {
                return true;
            }
        }
        false
    }

    /// The item that is complete. The next one begins.
    pub fn item<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> T {
        let item = read(&self.item);
        self.item.clear();
        item
    }

    /// What is around the items, once all bytes are taken.
    ///
    /// # Errors
    ///
    /// A text that ended early or is no list.
    pub fn finish(self) -> Result<ListMetadata, serde_json::Error> {
        serde_json::from_slice::<Around>(&self.around).map(|list| list.metadata)
    }

    /// How many of the next bytes mean nothing for the structure.
    fn plain(&self, bytes: &[u8]) -> usize {
        let structural = |byte: &u8| match byte {
            b'"' => true,
            b'\\' => self.in_string,
            b'{' | b'}' | b'[' | b']' | b',' => !self.in_string,
            _ => false,
        };
        if self.escaped { 0 } else { bytes.iter().position(structural).unwrap_or(bytes.len()) }
    }

    fn take(&mut self, byte: u8) -> bool {
        let was_escaped = std::mem::take(&mut self.escaped);
        match byte {
            b'\\' if self.in_string => self.escaped = !was_escaped,
            b'"' if !was_escaped => self.quote(),
            _ if self.in_string => {}
            b'{' | b'[' => {
                self.open(byte);
                return false;
            }
            b'}' | b']' => return self.close(byte),
            b',' if self.in_items && self.depth == 2 => return self.is_complete(),
            _ => {}
        }
        self.target().push(byte);
        false
    }

    fn quote(&mut self) {
        self.in_string = !self.in_string;
        if self.depth == 1 {
            // The opening quote is about to be pushed, the closing one follows the text.
            let at = self.around.len();
            match self.in_string {
                true => self.last_string = (at + 1, at + 1),
                false => self.last_string.1 = at,
            }
        }
    }

    fn open(&mut self, byte: u8) {
        self.target().push(byte);
        // Before a bracket, the last string is the key.
        let key = self.around.get(self.last_string.0..self.last_string.1);
        if self.depth == 1 && byte == b'[' && key == Some(b"items".as_slice()) {
            self.in_items = true;
        }
        self.depth += 1;
    }

    fn close(&mut self, byte: u8) -> bool {
        self.depth = self.depth.saturating_sub(1);
        if self.in_items && self.depth == 1 {
            self.in_items = false;
            self.around.push(byte);
            return self.is_complete();
        }
        self.target().push(byte);
        false
    }

    /// Whether there is more than blanks between two commas.
    fn is_complete(&mut self) -> bool {
        let complete = !self.item.iter().all(u8::is_ascii_whitespace);
        if !complete {
            self.item.clear();
        }
        complete
    }

    fn target(&mut self) -> &mut Vec<u8> {
        if self.in_items { &mut self.item } else { &mut self.around }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The items, and what the list says of itself, when its bytes come in pieces that end at these places.
    fn split(text: &str, ends: &[usize]) -> (Vec<Value>, Result<ListMetadata, String>) {
        let mut splitter = Splitter::default();
        let mut items = Vec::new();
        let mut begin = 0;
        for end in ends.iter().copied().chain([text.len()]) {
            let mut piece = &text.as_bytes()[begin..end];
            begin = end;
            while splitter.advance(&mut piece) {
                splitter.item(|item| items.push(serde_json::from_slice(item).unwrap()));
            }
            assert!(piece.is_empty());
        }
        (items, splitter.finish().map_err(|error| error.to_string()))
    }

    #[test]
    fn what_is_around_the_items_is_kept_and_checked() {
        let check = |text: &str, items: &[&str], version: Result<&str, &str>| {
            let (found, metadata) = split(text, &[]);
            let found: Vec<_> = found.iter().map(Value::to_string).collect();
            assert_eq!(found, items, "{text}");
            match (metadata, version) {
                (Ok(found), Ok(expected)) => assert_eq!(found.resource_version.as_deref(), Some(expected)),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        };
        check(r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#, &[], Ok("7"));
        check(r#"{"metadata":{"resourceVersion":"7"},"items":null}"#, &[], Ok("7"));
        check(r#"{"metadata":{"resourceVersion":"7"}}"#, &[], Ok("7"));
        check(
            r#" { "items" : [ { } , 1,"]", [2] ] , "metadata" : {"resourceVersion":"7"} } "#,
            &["{}", "1", "\"]\"", "[2]"],
            Ok("7"),
        );
        check(
            r#"{"a":"items","b":[1],"items":[{"items":[2]}],"metadata":{"resourceVersion":"7","items":[3]}}"#,
            &[r#"{"items":[2]}"#],
            Ok("7"),
        );
        check(
            r#"{"items":[{"a":"\\\"},{"}],"metadata":{"resourceVersion":"7"}}"#,
            &[r#"{"a":"\\\"},{"}"#],
            Ok("7"),
        );
        check(r#"{"items":[{}"#, &[], Err("EOF"));
        check(r#"{"items":[{},"#, &["{}"], Err("EOF"));
        check(r#"{"metadata":{"resourceVersion":"7"},"items":[{}]"#, &["{}"], Err("EOF"));
        check("", &[], Err("EOF"));
        check("]}<html>", &[], Err("expected value"));
        check(r#"{"kind":"Status"}"#, &[], Err("metadata"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![Just("items".to_owned()), r#"[a-z"\\\[\]{},: é]{0,6}"#];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        /// The same as what a parser of the whole text finds, however it is cut into pieces.
        #[test]
        fn items_are_what_a_parser_finds(
            items in prop::collection::vec(value(), 0..5),
            other in value(),
            pretty in any::<bool>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let list = serde_json::json!({
                "a": other, "items": items, "metadata": {"resourceVersion": "7", "x": other}, "z": other,
            });
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) };
            let text = text.unwrap();
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            ends.sort_unstable();
            let (found, metadata) = split(&text, &ends);
            prop_assert_eq!(found, items);
            prop_assert_eq!(metadata.unwrap().resource_version.unwrap(), "7");
        }
    }
}
