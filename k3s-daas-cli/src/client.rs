//! A client of one HTTPS API server: the gateway, or the memory cluster.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// A client that sends each request once and never retries.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
    server: String,
    bearer: Option<Zeroizing<String>>,
    headers: HeaderMap,
    advice: String,
}

/// An answer whose body has yet to be read.
pub struct Stream {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: kube::client::Body,
    server: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
}

impl Client {
    /// A client of `server` (an `https://` URL) that trusts the authorities in `ca_pem` and no other, or
    /// those of the system if that is `None`.
    ///
    /// # Errors
    /// If the URL or the certificates are none.
    pub fn new(server: &str, ca_pem: Option<&[u8]>) -> anyhow::Result<Self> {
        let url = server
            .parse()
            .with_context(|| format!("`{server}` is no URL"))?;
        let mut config = kube::Config::new(url);
        if let Some(ca_pem) = ca_pem {
            let authorities: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca_pem).collect();
            let authorities = authorities.context("the certificate authority is not PEM")?;
            config.root_cert = Some(authorities.iter().map(|der| der.to_vec()).collect());
        }
        config.connect_timeout = Some(Duration::from_secs(10));
        config.read_timeout = None;
        config.write_timeout = None;
        config.default_retry = false;
        config.disable_compression = true;
        let inner = kube::Client::try_from(config).context("cannot make a client")?;
        Ok(Self {
            inner,
            server: server.to_owned(),
            bearer: None,
            headers: HeaderMap::new(),
            advice: ADVICE.to_owned(),
        })
    }

    /// The same client with another credential.
    #[must_use]
    pub fn with_bearer(&self, bearer: impl Into<String>) -> Self {
        Self {
            bearer: Some(Zeroizing::new(bearer.into())),
            ..self.clone()
        }
    }

    /// The same client with headers for each request.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        Self { headers, ..self }
    }

    /// The same client with other words on what to do if there is no answer.
    #[must_use]
    pub fn with_advice(self, advice: impl Into<String>) -> Self {
        Self {
            advice: advice.into(),
            ..self
        }
    }

    /// Sends a request and reads all of its answer, at most 64 MiB.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Reply> {
        let stream = self.open(method, path_and_query, headers, body).await?;
        stream.collect().await
    }

    /// Sends a request and leaves the body of its answer to be read as it comes.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if there is no answer.
    pub async fn open(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Stream> {
        let mut request = Request::builder().method(method).uri(path_and_query);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(bearer) = &self.bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.as_str()))
                .context("the credential cannot be sent")?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request
            .body(kube::client::Body::from(body))
            .with_context(|| format!("`{path_and_query}` is no path of a request"))?;
        let response = self.inner.send(request).await;
        let response = response.map_err(|error| {
            let what = chain(&error);
            let message = format!("{} does not answer: {what}", self.server);
            Failure::new(Exit::Unavailable, message).with_next(self.advice.as_str())
        })?;
        let (head, body) = response.into_parts();
        Ok(Stream {
            status: head.status,
            headers: head.headers,
            body,
            server: self.server.clone(),
        })
    }
}

impl Stream {
    /// The next piece of the body as soon as there is one; `None` at its end.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if it breaks off.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.broken(&chain(&error)).into()),
                // Trailers are no part of the body.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => continue,
                },
            }
        }
    }

    /// Reads all of it, at most 64 MiB.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if it breaks off or is longer.
    pub async fn collect(mut self) -> anyhow::Result<Reply> {
        let body = std::mem::replace(&mut self.body, kube::client::Body::empty());
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| self.broken(&error.to_string()))?;
        Ok(Reply {
            status: self.status,
            headers: self.headers,
            body: body.to_bytes(),
        })
    }

    fn broken(&self, what: &str) -> Failure {
        let message = format!("the answer of {} breaks off: {what}", self.server);
        Failure::new(Exit::Unavailable, message)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// The body, if it is JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What a `Status` in the body says, else its first line.
    #[must_use]
    pub fn message(&self) -> String {
        let message = self
            .json()
            .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
        message.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&self.body);
            text.lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect()
        })
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The failure that this answer is, if it is one.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.failure_saying(&format!("{}: {}", self.status, self.message()))
    }

    /// The same in other words.
    #[must_use]
    pub fn failure_saying(&self, message: &str) -> Option<Failure> {
        if self.status.as_u16() < 400 {
            return None;
        }
        let exit = match self.status.as_u16() {
            401 | 403 => Exit::Refused,
            404 => Exit::NotFound,
            429 | 502..=504 => Exit::Unavailable,
            _ => Exit::Failure,
        };
        Some(Failure::new(exit, message))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

const ADVICE: &str =
    "check whether it runs, and `gateway.server` and `gateway.ca` in `daas config show`";
const MAX_BODY: usize = 64 << 20;
