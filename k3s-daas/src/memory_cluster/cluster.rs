//! From an HTTP request to the handler of its verb: authentication, impersonation,
//! authorization, routing.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::kinds::{Registry, Resource};
use super::request::{Query, Request, ResourceTarget, Target, User, percent_decode};
use super::server::Reply;
use super::status::Refusal;
use super::store::{Store, Transaction, key};
use super::tls::{Identity, private_directory};
use super::{Builder, Error, crd, discovery, openapi, rbac, reviews, write};

/// Everything one cluster is.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) identity: Identity,
    pub(super) store: Store,
    pub(super) authorization: bool,
    pub(super) documents: openapi::Documents,
    registry: RwLock<Arc<Registry>>,
}

impl Cluster {
    pub(super) fn open(builder: Builder) -> Result<Self, Error> {
        let (journal, identity) = match &builder.directory {
            Some(directory) => {
                private_directory(directory)?;
                (
                    Some(Journal::open(directory)?),
                    Identity::kept(directory, &builder.server_names)?,
                )
            }
            None => (None, Identity::ephemeral(&builder.server_names)?),
        };
        let store = Store::open(journal, seed)?;
        let cluster = Self {
            identity,
            store,
            authorization: builder.authorization,
            documents: openapi::Documents::default(),
            registry: RwLock::new(Arc::new(Registry::default())),
        };
        cluster.reload_custom_kinds();
        Ok(cluster)
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves what the stored CustomResourceDefinitions say now.
    pub(super) fn reload_custom_kinds(&self) {
        let mut registry = self
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let (_, definitions) = self.store.all(crd::STORAGE, None);
        let custom = definitions
            .iter()
            .flat_map(|d| crd::resources(&d.value))
            .collect();
        *registry = Arc::new(Registry::with_custom(custom));
        self.documents.forget();
    }

    /// The answer to one request.
    pub(super) async fn answer(
        self: Arc<Self>,
        head: Parts,
        body: Bytes,
        shutdown: CancellationToken,
    ) -> Reply {
        match self.read_request(head, body) {
            Ok(request) => self
                .route(request, shutdown)
                .await
                .unwrap_or_else(Reply::from),
            Err(reply) => *reply,
        }
    }

    fn read_request(&self, head: Parts, body: Bytes) -> Result<Request, Box<Reply>> {
        let refuse = |refusal: Refusal| Box::new(Reply::from(refusal));
        let user = self.authenticate(&head.headers).map_err(refuse)?;
        let path = head.uri.path().to_owned();
        let query = Query::parse(head.uri.query().unwrap_or_default()).map_err(refuse)?;
        let target = Target::parse(&path)
            .ok_or_else(|| Box::new(Reply::text(StatusCode::NOT_FOUND, "404 page not found\n")))?;
        Ok(Request {
            method: head.method,
            path,
            query,
            headers: head.headers,
            body,
            user,
            target,
        })
    }

    /// The bearer of the admin token, or whom they impersonate.
    fn authenticate(&self, headers: &HeaderMap) -> Result<User, Refusal> {
        let header = headers
            .get(AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Refusal::unauthorized()),
        };
        if !same(token.as_bytes(), self.identity.admin_token.as_bytes()) {
            return Err(Refusal::unauthorized());
        }
        let text = |name: &str| -> Vec<String> {
            headers
                .get_all(name)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let mut extra: Vec<(String, Vec<String>)> = Vec::new();
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix("impersonate-extra-") {
                extra.push((
                    percent_decode(key, false).unwrap_or_else(|| key.to_owned()),
                    text(name.as_str()),
                ));
            }
        }
        extra.sort();
        let (names, mut groups, uid) = (
            text("impersonate-user"),
            text("impersonate-group"),
            text("impersonate-uid"),
        );
        let Some(name) = names.into_iter().next().filter(|n| !n.is_empty()) else {
            if groups.is_empty() && extra.is_empty() && uid.is_empty() {
                return Ok(administrator());
            }
            let message = "requested impersonation of groups, a UID or extra values without impersonating a user";
            return Err(Refusal::internal(message));
        };
        // What kube-apiserver adds: a service account's groups, and that it is somebody.
        if groups.is_empty()
            && let Some((namespace, _)) = name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
        {
            groups.push("system:serviceaccounts".into());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        let known = if name == "system:anonymous" {
            "system:unauthenticated"
        } else {
            "system:authenticated"
        };
        if !groups.iter().any(|g| g == known) {
            groups.push(known.into());
        }
        Ok(User {
            name,
            uid: uid.into_iter().next().unwrap_or_default(),
            groups,
            extra,
        })
    }

    async fn route(
        self: &Arc<Self>,
        request: Request,
        shutdown: CancellationToken,
    ) -> Result<Reply, Refusal> {
        rbac::check(self, &request)?;
        match &request.target {
            Target::NonResource => self.non_resource(&request),
            Target::Resource(target) => {
                let registry = self.registry();
                let Some(resource) =
                    registry.find(&target.group, &target.version, &target.resource)
                else {
                    return Ok(no_route(&registry, target));
                };
                let resource = Arc::clone(resource);
                self.resource(request, resource, shutdown).await
            }
        }
    }

    fn non_resource(&self, request: &Request) -> Result<Reply, Refusal> {
        if request.method != Method::GET && request.method != Method::HEAD {
            return Err(Refusal::method_not_allowed());
        }
        let path = request.path.trim_end_matches('/');
        let health = |path: &str| {
            ["/livez", "/readyz", "/healthz"]
                .iter()
                .any(|p| path == *p || path.starts_with(&format!("{p}/")))
        };
        match path {
            "/version" => Ok(Reply::json(StatusCode::OK, &version())),
            path if health(path) => Ok(Reply::text(StatusCode::OK, "ok")),
            path if path.starts_with("/openapi") => openapi::answer(self, request, path),
            path => discovery::answer(self, request, path),
        }
    }

    async fn resource(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        shutdown: CancellationToken,
    ) -> Result<Reply, Refusal> {
        let Target::Resource(target) = request.target.clone() else {
            return Err(Refusal::no_such_resource());
        };
        check_scope(&resource, &target)?;
        if resource.is_virtual() {
            return match (request.method.as_str(), &target.name) {
                ("POST", None) => reviews::answer(self, &request, &resource, &target),
                (_, None) => Err(Refusal::method_not_allowed()),
                _ => Err(Refusal::no_such_resource()),
            };
        }
        let Some(name) = &target.name else {
            return match request.method.as_str() {
                "GET" | "HEAD" => self.list_or_watch(&request, &resource, &target, shutdown),
                "POST" if resource.namespaced && target.namespace.is_none() => {
                    Err(Refusal::method_not_allowed())
                }
                "POST" => self.create(request, resource, target).await,
                "DELETE"
                    if resource.has_verb("deletecollection")
                        && (!resource.namespaced || target.namespace.is_some()) =>
                {
                    self.delete_collection(request, resource, target).await
                }
                _ => Err(Refusal::method_not_allowed()),
            };
        };
        let name = name.clone();
        match target.subresource.as_deref() {
            None => match request.method.as_str() {
                "GET" | "HEAD" if request.query.flag("watch") => {
                    self.list_or_watch(&request, &resource, &target, shutdown)
                }
                "GET" | "HEAD" => self.get(&request, &resource, &target, &name),
                "PUT" => self.update(request, resource, target, name).await,
                "PATCH" => self.patch(request, resource, target, name).await,
                "DELETE" => self.delete(request, resource, target, name).await,
                _ => Err(Refusal::method_not_allowed()),
            },
            Some(subresource) => {
                if resource.subresource(subresource).is_none() {
                    return Err(Refusal::no_such_resource());
                }
                let subresource = subresource.to_owned();
                self.subresource(request, resource, target, name, &subresource)
                    .await
            }
        }
    }

    async fn subresource(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
        subresource: &str,
    ) -> Result<Reply, Refusal> {
        match (subresource, request.method.as_str()) {
            ("status", "GET") => self.get(&request, &resource, &target, &name),
            ("status", "PUT") => self.update(request, resource, target, name).await,
            ("status", "PATCH") => self.patch(request, resource, target, name).await,
            ("finalize", "PUT") => self.update(request, resource, target, name).await,
            ("scale", "GET") => self.scale(&request, &resource, &target, &name),
            ("scale", "PUT" | "PATCH") => self.set_scale(request, resource, target, name).await,
            ("log", "GET") => {
                // No pod is ever assigned to a node, so there is nothing to read: what
                // kube-apiserver answers then.
                self.found(&resource, &target, &name)?;
                Ok(Reply::text(StatusCode::OK, ""))
            }
            ("exec" | "attach" | "portforward", "GET" | "POST") => {
                self.found(&resource, &target, &name)?;
                Err(Refusal::bad_request(format!(
                    "pod {name} does not have a host assigned"
                )))
            }
            ("eviction", "POST") => self.evict(request, resource, target, name).await,
            ("binding", "POST") => self.bind(request, resource, target, name).await,
            _ => Err(Refusal::method_not_allowed()),
        }
    }
}

/// What `/version` says: Kubernetes' API as of this version, by us.
fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "emulationMajor": "1", "emulationMinor": "35",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "34",
        "gitVersion": "v1.35.2+k3s-daas-memory", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Who bears the admin token.
fn administrator() -> User {
    User {
        name: "kubernetes-admin".into(),
        groups: vec!["system:masters".into(), "system:authenticated".into()],
        ..User::default()
    }
}

/// A namespaced path of a cluster-wide resource and the like lead nowhere.
fn check_scope(resource: &Resource, target: &ResourceTarget) -> Result<(), Refusal> {
    let namespace = target.namespace.is_some() && !resource.is("", "namespaces");
    let wrong = if resource.namespaced {
        target.name.is_some() && !namespace
    } else {
        namespace
    };
    if wrong {
        Err(Refusal::no_such_resource())
    } else {
        Ok(())
    }
}

/// 404 as the API of a known group answers, or as the server does outside of any.
fn no_route(registry: &Registry, target: &ResourceTarget) -> Reply {
    let mut all = registry.all().iter();
    if !all.any(|resource| resource.group == target.group) {
        return Reply::text(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    Refusal::no_such_resource().into()
}

/// Ends what a start before left half done, and adds what every cluster has: its namespaces, its own service, the default roles.
fn seed(transaction: &mut Transaction<'_>) {
    write::resume_namespaces(transaction);
    let mut ensure = |storage: &str, object: Value| {
        let metadata = &object["metadata"];
        let key = key(
            metadata["namespace"].as_str(),
            metadata["name"].as_str().unwrap_or_default(),
        );
        if transaction.get(storage, &key).is_none() {
            let mut object = object;
            write::stamp_new(&mut object);
            transaction.put(&storage.into(), object);
        }
    };
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let mut namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        super::defaults::for_create(("", "namespaces"), &mut namespace);
        ensure("namespaces", namespace);
    }
    ensure(
        "services",
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
                "sessionAffinity": "None",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]},
            "status": {"loadBalancer": {}}}),
    );
    for object in rbac::bootstrap_objects() {
        let plural = if object["kind"] == "ClusterRole" {
            "clusterroles"
        } else {
            "clusterrolebindings"
        };
        ensure(&format!("{plural}.rbac.authorization.k8s.io"), object);
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    // Digests of equal length: the time says nothing of where they differ.
    use sha2::{Digest as _, Sha256};
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter()
        .zip(b.iter())
        .fold(0_u8, |difference, (a, b)| difference | (a ^ b))
        == 0
}
