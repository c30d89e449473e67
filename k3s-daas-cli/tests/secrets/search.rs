//! Secrets, in every form in which they might be written down, and the search for them.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;

/// All that is looked for.
pub struct Search {
    /// Which secret and which form each text is.
    forms: HashMap<Vec<u8>, String>,
    any: Regex,
}

impl Search {
    /// For these secrets, by name.
    pub fn new(secrets: &[(String, Vec<u8>)]) -> Self {
        let mut forms = HashMap::new();
        for (name, secret) in secrets {
            assert!(secret.len() >= 12, "{name} may be found by chance");
            for piece in pieces(secret) {
                for (form, text) in written(piece) {
                    forms.insert(text, format!("{name} ({form})"));
                }
            }
        }
        let texts = forms.keys().map(|text| literal(text));
        let any = texts.collect::<Vec<_>>().join("|");
        let any = Regex::new(&format!("(?-u){any}")).unwrap();
        Self { forms, any }
    }

    /// What of it is in these bytes, also where lines are broken and inside gzip.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = self.find_plain(bytes);
        for (at, _) in bytes.windows(3).enumerate().filter(is_gzip) {
            let inside = unzip(&bytes[at..]);
            found.extend(self.find_plain(&inside));
        }
        found
    }

    fn find_plain(&self, bytes: &[u8]) -> BTreeSet<&str> {
        // PEM breaks lines, and JSON in a log has them as `\n`.
        let unbroken: Vec<u8> = bytes
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let escaped = Regex::new(r"(?-u)\\[nr]").unwrap();
        let unescaped = escaped.replace_all(&unbroken, &b""[..]);
        [bytes, &unbroken, &unescaped]
            .into_iter()
            .flat_map(|bytes| self.any.find_iter(bytes))
            .map(|found| &*self.forms[found.as_bytes()])
            .collect()
    }
}

/// Of a long one its beginning, its middle and its end, so that one that is cut is found too.
fn pieces(secret: &[u8]) -> Vec<&[u8]> {
    if secret.len() <= 3 * PIECE {
        return vec![secret];
    }
    let middle = (secret.len() - PIECE) / 2;
    let starts = [0, middle, secret.len() - PIECE];
    starts
        .iter()
        .map(|start| &secret[*start..*start + PIECE])
        .collect()
}

/// The forms of it.
fn written(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let decimals: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("hex", hex::encode(bytes).into()),
        ("hex in capitals", hex::encode_upper(bytes).into()),
        ("numbers", decimals.join(", ").into()),
        ("numbers", decimals.join(",").into()),
    ];
    for shift in 0..3 {
        let shifted = [&[0; 2][..shift], bytes].concat();
        // What depends on the bytes before and after is left out.
        let (first, end) = ((8 * shift).div_ceil(6), 8 * shifted.len() / 6);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted).into_bytes();
            forms.push(("base64", text[first..end].to_vec()));
        }
    }
    forms
}

fn literal(text: &[u8]) -> String {
    text.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn is_gzip((_, bytes): &(usize, &[u8])) -> bool {
    *bytes == [0x1f, 0x8b, 8]
}

/// What is inside, as far as it is gzip.
fn unzip(bytes: &[u8]) -> Vec<u8> {
    gzip(&["-dc"], bytes)
}

fn gzip(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("gzip is installed");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may have seen enough before all is written.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = b"\x00\xffnot for you \x1b\x7f 0123456789 and more".to_vec();
    let other = b"somebody else's secret".to_vec();
    let search = Search::new(&[("this".into(), secret.clone()), ("other".into(), other)]);
    let mut hidden: Vec<(String, Vec<u8>)> = vec![
        ("raw".into(), secret.clone()),
        ("hex".into(), hex::encode(&secret).into()),
        ("hex in capitals".into(), hex::encode_upper(&secret).into()),
        ("numbers".into(), format!("{secret:?}").into()),
        ("numbers".into(), serde_json::to_vec(&secret).unwrap()),
    ];
    for before in 0..4 {
        let text = [&b"abc"[..before.min(3)], &secret, b"what follows"].concat();
        let base64 = base64::engine::general_purpose::STANDARD.encode(&text);
        hidden.push(("base64".into(), base64.clone().into()));
        let url_safe = base64::engine::general_purpose::URL_SAFE.encode(&text);
        hidden.push(("base64".into(), url_safe.into()));
        let mut broken = base64;
        broken.insert(7 + before, '\n');
        hidden.push(("base64".into(), broken.clone().into()));
        let escaped = serde_json::to_vec(&broken).unwrap();
        hidden.push(("base64".into(), escaped));
    }
    for (form, text) in hidden {
        for zipped in [false, true] {
            let text = match zipped {
                true => gzip(&["-c"], &text),
                false => text.clone(),
            };
            let around = [b"noise \x1f\x8b", &text[..], b" more noise"].concat();
            let found = search.find(&around);
            let expected = format!("this ({form})");
            assert!(found.contains(&*expected), "{form}, {zipped}: {found:?}");
            assert!(!found.iter().any(|found| found.starts_with("other")));
        }
    }
    assert!(
        search
            .find(b"noise \x1f\x8b\x08 and nothing else")
            .is_empty()
    );
    assert!(search.find(&secret[1..]).is_empty(), "not all of it");
}

const PIECE: usize = 24;
