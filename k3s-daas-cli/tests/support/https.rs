//! Requests over TLS whose every byte the test chooses.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A server that speaks HTTP/1.1 over TLS, and an authority that vouches for it.
#[derive(Clone)]
pub struct Https {
    address: String,
    config: Arc<ClientConfig>,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Https {
    /// The server of a kubeconfig.
    pub fn of_kubeconfig(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let kubeconfig: serde_json::Value = serde_yaml_ng::from_str(&text).unwrap();
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let authority = cluster["certificate-authority-data"].as_str().unwrap();
        let authority = base64::engine::general_purpose::STANDARD
            .decode(authority)
            .unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = cluster["server"].as_str().unwrap();
        Self {
            address: server.strip_prefix("https://").unwrap().to_owned(),
            config: Arc::new(config),
        }
    }

    /// Sends a request of this method, target (as it stands), headers and body, and reads the answer.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.address
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.exchange(request.as_bytes()).unwrap()
    }

    /// The same as the bearer of a credential, who speaks JSON unless `headers` say otherwise.
    pub fn send_as(
        &self,
        bearer: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let bearer = format!("Bearer {bearer}");
        let mut all = headers.to_vec();
        all.push(("authorization", &bearer));
        let is_given = |name: &str| headers.iter().any(|(known, _)| *known == name);
        if !is_given("accept") {
            all.push(("accept", "application/json"));
        }
        if !body.is_empty() && !is_given("content-type") {
            all.push(("content-type", "application/json"));
        }
        self.send(method, target, &all, body)
    }

    /// An open connection, for who reads and writes on it as they like.
    pub fn connect(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let host = self.address.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let connection =
            ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        let tcp = TcpStream::connect(&self.address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        Ok(StreamOwned::new(connection, tcp))
    }

    fn exchange(&self, request: &[u8]) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        stream.write_all(request)?;
        stream.flush()?;
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            // Without a word of TLS; the length says whether it was all.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
        Ok(Answer::read(&bytes, request.starts_with(b"HEAD ")))
    }
}

impl Answer {
    fn read(bytes: &[u8], is_head: bool) -> Self {
        let end = find(bytes, b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        let mut answer = Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: bytes[end + 4..].to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body);
        }
        if let Some(length) = answer.header("content-length").filter(|_| !is_head) {
            assert_eq!(
                answer.body.len(),
                length.parse::<usize>().unwrap(),
                "{head}"
            );
        }
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = find(bytes, b"\r\n").expect("the length of a chunk");
        let length = std::str::from_utf8(&bytes[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        let chunk = end + 2;
        whole.extend_from_slice(&bytes[chunk..chunk + length]);
        bytes = &bytes[chunk + length + 2..];
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

const PATIENCE: Duration = Duration::from_secs(100);
