//! Where a watch may be cut: after whole events only.

/// How a watch's events follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// JSON values, each ended by a line feed.
    Json,
    /// Each event after its length, four bytes big-endian.
    LengthPrefixed,
}

impl Framing {
    /// By the media type that the cluster answered with.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "application/vnd.kubernetes.protobuf" => Some(Self::LengthPrefixed),
            _ => None,
        }
    }
}

/// Whether a watch asks for what is there already, as events before all others.
pub(super) fn asks_initial_events(query: &str) -> bool {
    query
        .split('&')
        .any(|parameter| parameter == "sendInitialEvents=true")
}

/// Whether the bookmark that ends those is among whole events.
///
/// Whoever has the same words in an object of theirs only has their watch cut sooner.
pub(super) fn ends_initial_events(events: &[u8]) -> bool {
    const MARK: &[u8] = b"k8s.io/initial-events-end";
    events.windows(MARK.len()).any(|window| window == MARK)
}

/// Follows a stream of events and knows where the last whole one ended.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    seen: usize,
    whole: usize,
    count: usize,
    json: Json,
    prefix: Prefix,
}

/// Where in a JSON value a byte stands.
#[derive(Debug, Default)]
struct Json {
    depth: usize,
    in_string: bool,
    escaped: bool,
    has_value: bool,
}

/// How much of a length and of its event is still to come.
#[derive(Debug, Default)]
struct Prefix {
    length: [u8; 4],
    length_seen: usize,
    remaining: usize,
}

impl Frames {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            seen: 0,
            whole: 0,
            count: 0,
            json: Json::default(),
            prefix: Prefix::default(),
        }
    }

    /// Takes the next bytes of the stream.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        match self.framing {
            Framing::Json => self.extend_json(bytes),
            Framing::LengthPrefixed => self.extend_prefixed(bytes),
        }
    }

    /// Bytes from the start to the end of the last whole event.
    pub(super) fn whole(&self) -> usize {
        self.whole
    }

    /// How many whole events there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn extend_json(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.seen += 1;
            let json = &mut self.json;
            if json.in_string {
                match byte {
                    _ if json.escaped => json.escaped = false,
                    b'\\' => json.escaped = true,
                    b'"' => json.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => json.in_string = true,
                b'{' | b'[' => {
                    json.depth += 1;
                    json.has_value = true;
                }
                b'}' | b']' => json.depth = json.depth.saturating_sub(1),
                b'\n' if json.depth == 0 => {
                    self.whole = self.seen;
                    self.count += usize::from(std::mem::take(&mut json.has_value));
                }
                _ => {}
            }
        }
    }

    fn extend_prefixed(&mut self, mut bytes: &[u8]) {
        let prefix = &mut self.prefix;
        while let Some((first, rest)) = bytes.split_first() {
            if prefix.length_seen < 4 {
                prefix.length[prefix.length_seen] = *first;
                prefix.length_seen += 1;
                self.seen += 1;
                bytes = rest;
                if prefix.length_seen == 4 {
                    prefix.remaining =
                        usize::try_from(u32::from_be_bytes(prefix.length)).unwrap_or(usize::MAX);
                }
            } else {
                let taken = prefix.remaining.min(bytes.len());
                prefix.remaining -= taken;
                self.seen += taken;
                bytes = &bytes[taken..];
            }
            if prefix.length_seen == 4 && prefix.remaining == 0 {
                prefix.length_seen = 0;
                self.whole = self.seen;
                self.count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[u8] = b"{\"type\":\"ADDED\",\"object\":{\"a\":\"}\\n{\\\"\"}}\n{\n  \"type\": \"MODIFIED\",\n  \"object\": {\"b\": [1, 2]}\n}\n{\"type\":\"DELETED\"}\n";

    fn json_ends() -> Vec<usize> {
        let text = std::str::from_utf8(JSON).expect("ASCII");
        let first = text.find("}}\n").expect("one") + 3;
        let second = text.find("\n}\n").expect("one") + 3;
        vec![0, first, second, JSON.len()]
    }

    fn protobuf() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for length in [3_usize, 0, 1, 300] {
            bytes.extend_from_slice(&u32::try_from(length).expect("small").to_be_bytes());
            bytes.extend((0..length).map(|n| u8::try_from(n % 251).expect("small")));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// Whatever the pieces are that arrive, and wherever it is cut, only whole events remain.
    fn holds(framing: Framing, bytes: &[u8], ends: &[usize]) {
        for cut in 0..=bytes.len() {
            let expected = ends.iter().rposition(|end| *end <= cut).expect("0 is one");
            for split in 0..=cut {
                let mut frames = Frames::new(framing);
                frames.extend(&bytes[..split]);
                frames.extend(&bytes[split..cut]);
                assert_eq!(frames.whole(), ends[expected], "cut {cut}, split {split}");
                assert_eq!(frames.count(), expected, "cut {cut}, split {split}");
            }
        }
        let mut frames = Frames::new(framing);
        bytes.iter().for_each(|byte| frames.extend(&[*byte]));
        assert_eq!(frames.whole(), bytes.len());
    }

    #[test]
    fn json_is_cut_after_whole_events_at_every_split() {
        holds(Framing::Json, JSON, &json_ends());
    }

    #[test]
    fn protobuf_is_cut_after_whole_events_at_every_split() {
        let (bytes, ends) = protobuf();
        holds(Framing::LengthPrefixed, &bytes, &ends);
    }

    #[test]
    fn media_types_say_which() {
        for json in [
            "application/json",
            "application/json;stream=watch",
            "Application/JSON; charset=utf-8",
        ] {
            assert_eq!(Framing::of(json), Some(Framing::Json));
        }
        let protobuf = "application/vnd.kubernetes.protobuf;stream=watch";
        assert_eq!(Framing::of(protobuf), Some(Framing::LengthPrefixed));
        for other in [
            "",
            "text/plain",
            "application/cbor-seq",
            "application/jsonp",
        ] {
            assert_eq!(Framing::of(other), None, "{other}");
        }
    }
}
