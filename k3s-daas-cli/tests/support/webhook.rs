//! An admission webhook that allows everything, and takes its time.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::certificate::Given;

/// A server on a free port; ends with the process.
pub struct Webhook {
    url: String,
    authority: String,
    calls: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let given = Given::make(dir.path());
        let read = |path| std::fs::read(path).unwrap();
        let certificates = CertificateDer::pem_slice_iter(&read(&given.certificate))
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_slice(&read(&given.key)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = Self {
            url: format!("https://{}", listener.local_addr().unwrap()),
            authority: base64::engine::general_purpose::STANDARD.encode(read(&given.authority)),
            calls: Arc::default(),
        };
        let calls = webhook.calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, calls) = (config.clone(), calls.clone());
                // Whoever asks may go away while it waits.
                std::thread::spawn(move || serve(stream.ok()?, config, &calls));
            }
        });
        webhook
    }

    /// The manifest of webhooks for new config maps with the label `delay: LABEL`, asked one after the other, each after
    /// so many seconds.
    pub fn manifest(&self, label: &str, seconds: &[u64]) -> String {
        let webhooks = seconds.iter().enumerate().map(|(index, seconds)| {
            json!({
                "name": format!("w{index}.delay-{label}.test"),
                "clientConfig": {"url": format!("{}/{seconds}", self.url), "caBundle": self.authority},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
                "objectSelector": {"matchLabels": {"delay": label}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 30,
            })
        });
        // Only mutating ones are asked one after the other.
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": format!("delay-{label}")},
            "webhooks": webhooks.collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// How many times it was asked about objects with this label.
    pub fn calls(&self, label: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        let is_it =
            |review: &&Value| review["request"]["object"]["metadata"]["labels"]["delay"] == label;
        calls.iter().filter(is_it).count()
    }
}

fn serve(tcp: TcpStream, config: Arc<ServerConfig>, calls: &Mutex<Vec<Value>>) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, tcp);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
    let (head, body) = loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.to_lowercase();
        let length = length
            .split("content-length: ")
            .nth(1)?
            .split("\r\n")
            .next()?;
        if body.len() >= length.parse::<usize>().ok()? {
            break (head.to_owned(), body.to_owned());
        }
    };
    let review: Value = serde_json::from_str(&body).ok()?;
    let seconds = head.split('/').nth(1)?.split(['?', ' ']).next()?;
    calls.lock().unwrap().push(review.clone());
    std::thread::sleep(Duration::from_secs(seconds.parse().ok()?));
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(
        stream,
        "{head}content-length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}
