//! An API server that keeps what it was sent, byte for byte, and answers with what no API server should.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::wire::find;

pub struct Upstream {
    pub address: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Method and target.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Upstream {
    /// `answer` gives the head lines after the status line, and the body, of the answer to a target.
    pub fn start(answer: fn(&str) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let kept = arrived.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || serve(stream, &kept, answer));
            }
        });
        Self { address, arrived }
    }

    /// What came of clients' requests; not Nautilus's own.
    pub fn arrived(&self) -> Vec<Arrived> {
        let arrived = self.arrived.lock().unwrap().clone();
        let is_clients = |arrived: &Arrived| {
            arrived
                .headers
                .iter()
                .any(|(name, _)| name == "impersonate-user")
        };
        arrived.into_iter().filter(is_clients).collect()
    }
}

fn serve(mut stream: TcpStream, arrived: &Mutex<Vec<Arrived>>, answer: fn(&str) -> Vec<u8>) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = loop {
            if let Some(end) = find(&read, b"\r\n\r\n") {
                break end;
            }
            match stream.read(&mut buffer) {
                Ok(length @ 1..) => read.extend_from_slice(&buffer[..length]),
                _ => return,
            }
        };
        let head = String::from_utf8(read[..end].to_vec()).expect("a head of ASCII");
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap();
        let line = line.strip_suffix(" HTTP/1.1").expect("HTTP/1.1").to_owned();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        assert!(!head.contains("transfer-encoding"), "{head}");
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, value)| value.parse().unwrap());
        while read.len() < end + 4 + length {
            match stream.read(&mut buffer) {
                Ok(length @ 1..) => read.extend_from_slice(&buffer[..length]),
                _ => return,
            }
        }
        let body = read[end + 4..end + 4 + length].to_vec();
        read.drain(..end + 4 + length);
        let answer = answer(&line);
        arrived.lock().unwrap().push(Arrived {
            line,
            headers,
            body,
        });
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
