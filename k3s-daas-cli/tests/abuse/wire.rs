//! TLS connections over which a test writes what it likes, and the frames of HTTP/2.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

pub type Tls = TlsStream<TcpStream>;

/// Connects to a gateway.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    http1: TlsConnector,
    http2: TlsConnector,
}

/// What came over an HTTP/1.1 connection.
pub struct Answer {
    pub status: u16,
    /// With the status line.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr, ca: &[u8]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let connector = |protocol: &[u8]| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Self {
            address,
            http1: connector(b"http/1.1"),
            http2: connector(b"h2"),
        }
    }

    pub async fn http1(&self) -> io::Result<Tls> {
        self.connect(&self.http1).await
    }

    /// The preface and `settings` are sent.
    pub async fn http2(&self, settings: &[(u16, u32)]) -> io::Result<Tls> {
        let mut stream = self.connect(&self.http2).await?;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let settings = settings.iter().flat_map(|(id, value)| {
            let mut setting = id.to_be_bytes().to_vec();
            setting.extend(value.to_be_bytes());
            setting
        });
        bytes.extend(frame(SETTINGS, 0, 0, &settings.collect::<Vec<_>>()));
        bytes.extend(frame(SETTINGS, ACK, 0, &[]));
        stream.write_all(&bytes).await?;
        Ok(stream)
    }

    async fn connect(&self, connector: &TlsConnector) -> io::Result<Tls> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, stream).await
    }

    /// Sends these bytes over a connection of their own and reads what comes, until it ends or `patience` does.
    pub async fn exchange(&self, bytes: &[u8], patience: Duration) -> Vec<u8> {
        let mut stream = self.http1().await.unwrap();
        let mut heard = Vec::new();
        let both = async {
            // Who is refused may not be read to the end.
            stream.write_all(bytes).await.ok();
            stream.read_to_end(&mut heard).await.ok();
        };
        tokio::time::timeout(patience, both).await.ok();
        heard
    }
}

/// Sends a request over a connection that stays, and reads its answer.
pub async fn ask(stream: &mut Tls, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request).await?;
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(&buffer[..length]);
        let Some(end) = find(&read, b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        let length = length.unwrap_or(0);
        while read.len() < end + 4 + length {
            let got = stream.read(&mut buffer).await?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.extend_from_slice(&buffer[..got]);
        }
        return Ok(answer(&read));
    }
}

/// The first answer in what came.
pub fn answer(read: &[u8]) -> Answer {
    let Some(end) = find(read, b"\r\n\r\n") else {
        return Answer {
            status: 0,
            head: Vec::new(),
            body: Vec::new(),
        };
    };
    let status = String::from_utf8_lossy(&read[9..12]).parse().unwrap();
    Answer {
        status,
        head: read[..end].to_vec(),
        body: read[end + 4..].to_vec(),
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let (_, value) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.to_owned())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, body) = (self.head.escape_ascii(), self.body.escape_ascii());
        write!(f, "{head} {body}")
    }
}

pub fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// An HTTP/2 frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The header block of a request; nothing in it goes into a table.
pub fn block(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    for (name, value) in pseudo.iter().chain(headers) {
        block.extend(field(name, value));
    }
    block
}

pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // An integer with a prefix of seven bits.
        let mut length = text.len();
        if length < 127 {
            field.push(length as u8);
        } else {
            field.push(127);
            length -= 127;
            while length >= 128 {
                field.push((length % 128) as u8 | 128);
                length /= 128;
            }
            field.push(length as u8);
        }
        field.extend_from_slice(text.as_bytes());
    }
    field
}

/// Reads frames until one is as wanted; kind, stream and payload. `None` if none came before the end.
pub async fn frame_until(
    stream: &mut Tls,
    is_wanted: impl Fn(u8, u32, &[u8]) -> bool,
    patience: Duration,
) -> Option<(u8, u32, Vec<u8>)> {
    let wanted = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.ok()?;
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if is_wanted(head[3], id, &payload) {
                return Some((head[3], id, payload));
            }
        }
    };
    tokio::time::timeout(patience, wanted).await.ok().flatten()
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
