//! Bodies in `application/vnd.kubernetes.protobuf`, which kubectl's typed commands send.
//!
//! Only reading is needed: every client that sends it takes JSON back.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::clock;
use super::kinds::definition_name;

/// Reads `runtime.Unknown` and the object in it.
///
/// # Errors
/// What is wrong with the bytes, or that the kind is not known.
pub(super) fn decode(body: &[u8]) -> Result<Value, String> {
    let unknown = body
        .strip_prefix(MAGIC)
        .ok_or("provided data does not appear to be a protobuf message")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(unknown) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields(meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => api_version = string(text)?,
                        (2, Wire::Bytes(text)) => kind = string(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            (3, Wire::Bytes(encoding)) if !encoding.is_empty() => {
                return Err("the content is encoded".into());
            }
            _ => {}
        }
    }
    let definition = match kind.as_str() {
        "DeleteOptions" => "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned(),
        kind => {
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            definition_name(group, version, kind)
        }
    };
    let mut object = Map::new();
    message(&definition, raw, &mut object, 0)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

fn message(
    name: &str,
    bytes: &[u8],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err("the message is nested too deeply".into());
    }
    let rows = MESSAGES
        .get(name)
        .ok_or_else(|| format!("no kind {name:?} is registered for protobuf"))?;
    for field in Fields(bytes) {
        let (number, wire) = field?;
        let Some((_, json_name, code)) = rows.iter().find(|(n, _, _)| *n == number) else {
            continue;
        };
        let (code, keeps_zero) = match code.strip_suffix('!') {
            Some(code) => (code, true),
            None => (code.as_str(), false),
        };
        if json_name.is_empty() {
            if let Wire::Bytes(inner) = wire {
                message(code, inner, object, depth + 1)?;
            }
        } else if let Some(item) = code.strip_prefix('[') {
            let list = object.entry(json_name.clone()).or_insert_with(|| json!([]));
            for value in repeated(item, wire, depth)? {
                if let Some(list) = list.as_array_mut() {
                    list.push(value);
                }
            }
        } else if let Some(item) = code.strip_prefix('{') {
            let (key, value) = entry(item, wire, depth)?;
            object.entry(json_name.clone()).or_insert_with(|| json!({}))[key] = value;
        } else {
            let value = scalar(code, wire, depth)?;
            let zero =
                value.is_null() || value == json!("") || value == json!(0) || value == json!(false);
            if !zero || (keeps_zero && !value.is_null()) {
                object.insert(json_name.clone(), value);
            }
        }
    }
    Ok(())
}

/// The values of one repeated field: several at once if they are packed numbers.
fn repeated(code: &str, wire: Wire<'_>, depth: usize) -> Result<Vec<Value>, String> {
    if code == "i"
        && let Wire::Bytes(mut packed) = wire
    {
        let mut values = Vec::new();
        while !packed.is_empty() {
            values.push(json!(varint(&mut packed)?.cast_signed()));
        }
        return Ok(values);
    }
    Ok(vec![scalar(code, wire, depth)?])
}

fn entry(code: &str, wire: Wire<'_>, depth: usize) -> Result<(String, Value), String> {
    let Wire::Bytes(bytes) = wire else {
        return Err("a map entry is no message".into());
    };
    let (mut key, mut value) = (String::new(), None);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(text)) => key = string(text)?,
            (2, wire) => value = Some(scalar(code, wire, depth)?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| json!(""))))
}

fn scalar(code: &str, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (code, wire) {
        ("i", Wire::Varint(n)) => json!(n.cast_signed()),
        ("b", Wire::Varint(n)) => json!(n != 0),
        ("d", Wire::Fixed64(bits)) => json!(f64::from_bits(bits)),
        ("s", Wire::Bytes(bytes)) => json!(string(bytes)?),
        ("y", Wire::Bytes(bytes)) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        ("Q", Wire::Bytes(bytes)) => json!(first_text(bytes)?),
        ("L", Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            for field in Fields(bytes) {
                if let (1, Wire::Bytes(text)) = field? {
                    items.push(json!(string(text)?));
                }
            }
            items.into()
        }
        ("T" | "M", Wire::Bytes(bytes)) => time(bytes, code == "M")?,
        ("I", Wire::Bytes(bytes)) => int_or_string(bytes)?,
        ("F" | "R", Wire::Bytes(bytes)) => {
            let raw = Fields(bytes).find_map(|f| match f {
                Ok((1, Wire::Bytes(raw))) => Some(raw),
                _ => None,
            });
            serde_json::from_slice(raw.unwrap_or(b"null")).map_err(|e| e.to_string())?
        }
        (name, Wire::Bytes(bytes)) if name.starts_with("io.") => {
            let mut inner = Map::new();
            message(name, bytes, &mut inner, depth + 1)?;
            Value::Object(inner)
        }
        (code, _) => return Err(format!("a field of type {code} has the wrong wire type")),
    })
}

/// `metav1.Time`; nothing for the zero time, which is empty on the wire.
fn time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(n)) => seconds = n.cast_signed(),
            (2, Wire::Varint(n)) => nanoseconds = n.cast_signed(),
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if !YEARS.contains(&seconds) || !(0..1_000_000_000).contains(&nanoseconds) {
        return Err("a time is out of range".into());
    }
    let text = clock::format_seconds(seconds);
    Ok(match micro {
        true => json!(format!(
            "{}.{:06}Z",
            text.trim_end_matches('Z'),
            nanoseconds / 1000
        )),
        false => json!(text),
    })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut kind, mut number, mut text) = (0, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(n)) => kind = n,
            (2, Wire::Varint(n)) => number = n.cast_signed(),
            (3, Wire::Bytes(bytes)) => text = string(bytes)?,
            _ => {}
        }
    }
    Ok(if kind == 0 {
        json!(number)
    } else {
        json!(text)
    })
}

fn first_text(bytes: &[u8]) -> Result<String, String> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(text)) = field? {
            return string(text);
        }
    }
    Ok("0".into())
}

fn string(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a string is not UTF-8".into())
}

#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of a message in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<(u64, Wire<'a>), String> {
        let tag = varint(&mut self.0)?;
        let wire = match tag & 7 {
            0 => Wire::Varint(varint(&mut self.0)?),
            1 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| TRUNCATED)?;
                Wire::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = varint(&mut self.0)?;
                Wire::Bytes(self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err("an unknown wire type".into()),
        };
        Ok((tag >> 3, wire))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(TRUNCATED)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number is too long".into())
}

/// Message name → (field number, JSON name, type). Types: `s`tring, `i`nteger, `b`oolean,
/// `d`ouble, b`y`tes, `Q`uantity, `T`ime, `M`icroTime, `I`ntOrString, `F`ieldsV1,
/// `R`awExtension, `L`ist of strings in a message, or a message; `[` repeated, `{` map;
/// `!` kept when zero.
type Messages = HashMap<String, Vec<(u64, String, String)>>;

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    serde_json::from_str(include_str!("data/protobuf.json"))
        .expect("the embedded messages are well-formed")
});

const MAGIC: &[u8] = b"k8s\0";
const MAX_DEPTH: usize = 64;
const TRUNCATED: &str = "unexpected end of the message";
/// From year 1 to 9999.
const YEARS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn unknown(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn objects_are_read_by_field_number() {
        let meta = [
            field(1, b"x"),
            field(2, b""),
            field(8, b""),
            field(11, &[field(1, b"k"), field(2, b"v")].concat()),
        ];
        let raw = [
            field(1, &meta.concat()),
            field(2, &[field(1, b"a"), field(2, b"\x01\x02")].concat()),
            field(3, b"Opaque"),
        ];
        assert_eq!(
            decode(&unknown("v1", "Secret", &raw.concat())).unwrap(),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "labels": {"k": "v"}},
                "data": {"a": "AQI="}, "type": "Opaque"})
        );
        // Zero replicas are said, an empty paused is not.
        let spec = [vec![1 << 3, 0], vec![7 << 3, 0]].concat();
        let deployment = decode(&unknown("apps/v1", "Deployment", &field(2, &spec))).unwrap();
        assert_eq!(deployment["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn garbled_messages_are_refused() {
        for body in [&b""[..], b"k8s", b"k8s\0\x0a\xff", b"{\"kind\": 1}"] {
            assert!(decode(body).is_err(), "{body:?}");
        }
        assert!(decode(&unknown("v1", "Bogus", b"")).is_err());
        assert!(decode(&unknown("v1", "Secret", &[1 << 3, 1])).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            for kind in ["Pod", "Service", "ConfigMap", "Event"] {
                let mut body = [MAGIC.to_vec(), field(1, &[field(1, b"v1"), field(2, kind.as_bytes())].concat())].concat();
                body.extend([2 << 3 | 2, u8::try_from(raw.len() & 0x7f).unwrap()]);
                body.extend_from_slice(&raw);
                let _ = decode(&body);
            }
        }
    }
}
