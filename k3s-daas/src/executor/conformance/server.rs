//! An HTTP server that writes down every request and gives one answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Listens on a loopback port until it is dropped.
#[derive(Debug)]
pub struct RecordingServer {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Mutex<Vec<Recorded>>,
    closed: AtomicUsize,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// Its first line.
    pub line: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    Truncated,
    HangUp,
    Garbage,
    Never,
}

impl Reply {
    /// 200 with this body, and an `audit-id` of 1.
    #[must_use]
    pub fn ok(body: &str) -> Self {
        Self {
            status: 200,
            headers: vec![("audit-id".into(), "1".into())],
            body: body.into(),
            manner: Manner::Whole,
        }
    }

    /// Closes the connection instead.
    #[must_use]
    pub fn hang_up() -> Self {
        Self::ok("").in_manner(Manner::HangUp)
    }

    /// Answers with what is not HTTP.
    #[must_use]
    pub fn garbage() -> Self {
        Self::ok("").in_manner(Manner::Garbage)
    }

    /// Does not answer.
    #[must_use]
    pub fn never() -> Self {
        Self::ok("").in_manner(Manner::Never)
    }

    /// Closes the connection before the last byte.
    #[must_use]
    pub fn truncated(self) -> Self {
        self.in_manner(Manner::Truncated)
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn in_manner(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }
}

impl Recorded {
    /// All values of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter().filter(|(known, _)| known == name);
        headers.map(|(_, value)| value.as_str()).collect()
    }
}

impl RecordingServer {
    /// Starts one.
    ///
    /// # Panics
    /// If no loopback port is free.
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, reply) = (Arc::clone(&state), reply.clone());
                connections.spawn(async move {
                    serve(stream, &state, &reply).await;
                    state.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, shared, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        let requests = self.shared.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections the client has closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::SeqCst)
    }
}

impl Drop for RecordingServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn note(&self, request: Recorded) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(request);
    }
}

/// Serves a connection until either side closes it.
async fn serve(mut stream: TcpStream, shared: &Shared, reply: &Reply) {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read(&mut stream, &mut buffer).await else {
            return;
        };
        shared.note(request);
        let written = match reply.manner {
            Manner::HangUp => return,
            Manner::Garbage => {
                // The rest of the connection is of no interest.
                let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
                return;
            }
            Manner::Never => continue,
            Manner::Whole | Manner::Truncated => stream.write_all(&answer(reply)).await,
        };
        if written.is_err() || reply.manner == Manner::Truncated {
            return;
        }
    }
}

fn answer(reply: &Reply) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", reply.body.len()));
    text.push_str(&reply.body);
    if reply.manner == Manner::Truncated {
        text.pop();
    }
    text.into_bytes()
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Recorded> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect();
    Some(Recorded {
        line,
        headers,
        body,
    })
}
