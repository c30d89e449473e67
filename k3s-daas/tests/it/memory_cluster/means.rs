//! A served cluster and a client for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k3s_daas::memory_cluster::MemoryCluster;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(super) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(super) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(super) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

pub(super) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

pub(super) fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(super) const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

/// A kind of its own.
pub(super) fn widget_definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"},
                        "tags": {"type": "array", "items": {"type": "string"}}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

pub(super) fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

pub(super) struct Server {
    pub(super) cluster: MemoryCluster,
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    serving: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::serve(MemoryCluster::builder().build().unwrap()).await
    }

    pub(super) async fn start_in(directory: &Path) -> Self {
        Self::serve(
            MemoryCluster::builder()
                .with_directory(directory.to_owned())
                .build()
                .unwrap(),
        )
        .await
    }

    pub(super) async fn serve(cluster: MemoryCluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (served, token) = (cluster.clone(), shutdown.clone());
        let serving = tokio::spawn(async move { served.serve(listener, token).await.unwrap() });
        Self {
            cluster,
            address,
            shutdown,
            serving: Some(serving).into(),
        }
    }

    pub(super) async fn stop(&self) {
        self.shutdown.cancel();
        if let Some(serving) = self.serving.lock().await.take() {
            serving.await.unwrap();
        }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(
            self.address,
            self.cluster.ca_pem(),
            self.cluster.admin_token(),
        )
    }
}

pub(super) struct ServerProcess {
    pub(super) process: Child,
    directory: PathBuf,
}

impl ServerProcess {
    pub(super) fn start(directory: &Path) -> Self {
        let _ = std::fs::remove_file(directory.join("address"));
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["memory_cluster::durability::serve_until_killed", "--exact"])
            .env("MEMORY_CLUSTER_TEST_DIR", directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            directory: directory.to_owned(),
        }
    }

    pub(super) async fn client(&self) -> Client {
        for _ in 0..300 {
            if let Ok(address) = std::fs::read_to_string(self.directory.join("address")) {
                let read = |file: &str| std::fs::read_to_string(self.directory.join(file)).unwrap();
                return Client::new(
                    address.parse().unwrap(),
                    &read("ca.crt"),
                    &read("admin.token"),
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the process did not start");
    }
}

#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) token: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) h2: bool,
}

impl Client {
    pub(super) fn new(address: SocketAddr, ca: &str, token: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            tls: Arc::new(tls),
            token: token.into(),
            headers: Vec::new(),
            h2: false,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    pub(super) async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.send(
            "PATCH",
            path,
            &[("content-type", &format!("application/{kind}"))],
            body.to_string(),
        )
        .await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .expect("the server answers")
    }

    pub(super) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let response = self.open(method, path, headers, body.into()).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Some(Answer {
            status: head.status,
            headers: head.headers,
            text,
        })
    }

    pub(super) async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, &[]).await
    }

    pub(super) async fn watch_as(&self, path: &str, headers: &[(&str, &str)]) -> Watch {
        let response = self
            .open("GET", path, headers, Bytes::new())
            .await
            .expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        Watch {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<http::Response<Incoming>> {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![if self.h2 {
            b"h2".to_vec()
        } else {
            b"http/1.1".to_vec()
        }];
        let stream = TcpStream::connect(self.address).await.ok()?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .ok()?;
        let mut request = Request::builder().method(method);
        request = if self.h2 {
            request.uri(format!("https://localhost{path}"))
        } else {
            request.uri(path).header("host", "localhost")
        };
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let own = self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        for (key, value) in headers.iter().copied().chain(own) {
            request = request.header(key, value);
        }
        let request = request.body(Full::new(body)).unwrap();
        if self.h2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .ok()?;
            tokio::spawn(connection);
            sender.send_request(request).await.ok()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .ok()?;
            tokio::spawn(connection);
            sender.send_request(request).await.ok()
        }
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The answer must be a Status of this code and reason that says this.
    #[track_caller]
    pub(super) fn refused(&self, code: u16, reason: &str, message: &str) {
        assert_eq!(self.status.as_u16(), code, "{}", self.text);
        let status = self.json();
        assert_eq!(
            (&status["kind"], &status["apiVersion"], &status["status"]),
            (&json!("Status"), &json!("v1"), &json!("Failure"))
        );
        assert_eq!(
            (&status["code"], &status["reason"]),
            (&json!(code), &json!(reason)),
            "{status}"
        );
        let found = status["message"].as_str().unwrap();
        assert!(
            found.contains(message),
            "{found:?} does not say {message:?}"
        );
        assert!(self.headers.contains_key("audit-id"));
    }
}

pub(super) struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    pub(super) async fn next(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(10), self.line())
            .await
            .expect("an event comes")
            .expect("the watch goes on")
    }

    /// Whether nothing comes any more.
    pub(super) async fn end(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(10), self.line())
            .await
            .expect("the watch ends")
            .is_none()
    }

    pub(super) async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref()?);
        }
    }
}
