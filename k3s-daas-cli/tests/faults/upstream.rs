//! An API server that can be told to misbehave, and counts what reached it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A server of plain HTTP. What is no ConfigMap it always answers.
#[derive(Clone)]
pub struct Upstream {
    pub address: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

/// What it does about ConfigMaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answers as it should.
    Answers,
    /// Says nothing until it is told to do something else.
    Hangs,
    /// Answers in no language that anybody knows.
    Garbage,
    /// Breaks off within the headers.
    HalfHead,
    /// Breaks off within the body.
    HalfBody,
    /// Ends the connection as soon as it has the request.
    Closes,
    /// Says that it cannot now, as an API server does.
    Unavailable,
    /// Does not take the credential.
    Unauthorized,
    /// A proxy before it says that it is not there.
    BadGateway,
    /// Compresses what nobody asked to have compressed.
    Compressed,
}

struct State {
    mode: Mode,
    arrived: usize,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            mode: Mode::Answers,
            arrived: 0,
        };
        let upstream = Self {
            address: listener.local_addr().unwrap().to_string(),
            state: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let server = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        upstream
    }

    /// From now on; what hangs goes on with this.
    pub fn set(&self, mode: Mode) {
        let (state, changed) = &*self.state;
        state.lock().unwrap().mode = mode;
        changed.notify_all();
    }

    /// How often a client's request for ConfigMaps came here.
    pub fn arrived(&self) -> usize {
        self.state.0.lock().unwrap().arrived
    }

    /// Waits until so many came.
    #[track_caller]
    pub fn wait_for(&self, arrived: usize) {
        let (state, changed) = &*self.state;
        let state = state.lock().unwrap();
        let waited = changed.wait_timeout_while(state, PATIENCE, |state| state.arrived < arrived);
        assert!(!waited.unwrap().1.timed_out(), "{arrived} never came");
    }

    fn serve(&self, mut stream: TcpStream) {
        while let Some(line) = read_request(&mut stream) {
            let answer = match line.contains("/configmaps") {
                false => whole("200 OK", JSON, b"{}"),
                true => match self.answer(&line) {
                    (answer, true) => answer,
                    (answer, false) => {
                        // What is there of it goes, and the connection with it.
                        let _ = stream.write_all(&answer);
                        return;
                    }
                },
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    /// The bytes, and whether the connection stays.
    fn answer(&self, line: &str) -> (Vec<u8>, bool) {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        state.arrived += 1;
        changed.notify_all();
        let state = changed.wait_while(state, |state| state.mode == Mode::Hangs);
        let mode = state.unwrap().mode;
        let status = match line.starts_with("POST") {
            true => "201 Created",
            false => "200 OK",
        };
        match mode {
            Mode::Answers | Mode::Hangs => (whole(status, JSON, OBJECT), true),
            Mode::Garbage => (b"\x16\x03\x01 no HTTP\r\n\r\n\0\0".to_vec(), false),
            Mode::HalfHead => (format!("HTTP/1.1 {status}\r\ncontent-ty").into(), false),
            Mode::HalfBody => {
                let mut answer = whole(status, JSON, OBJECT);
                answer.truncate(answer.len() - 7);
                (answer, false)
            }
            Mode::Closes => (Vec::new(), false),
            Mode::Unavailable => (whole("503 Service Unavailable", JSON, STATUS), true),
            Mode::Unauthorized => (whole("401 Unauthorized", JSON, UNAUTHORIZED), true),
            Mode::BadGateway => {
                let page = b"<html>the proxy has no upstream</html>";
                (whole("502 Bad Gateway", "text/html", page), true)
            }
            Mode::Compressed => {
                let media_type = "application/json\r\ncontent-encoding: gzip";
                (whole(status, media_type, b"\x1f\x8b\x08"), true)
            }
        }
    }
}

/// The request line, after all of the request came.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head.lines().next()?.to_owned())
}

fn whole(status: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

const JSON: &str = "application/json";
const OBJECT: &[u8] = br#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}"#;
const STATUS: &[u8] = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"etcdserver: no leader","reason":"ServiceUnavailable","code":503}"#;
const UNAUTHORIZED: &[u8] = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
const PATIENCE: Duration = Duration::from_secs(30);
