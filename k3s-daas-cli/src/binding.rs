//! The rights of a token on the cluster itself, where it is the user `seal:TOKEN`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use k3s_daas::types::TokenId;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

/// Binds a token to a ClusterRole, with the rights of the kubeconfig; changes nothing if it is so already.
///
/// # Errors
/// If the cluster cannot be reached, or does not allow it; [`Exit::NotFound`] if it has no such role.
pub async fn bind(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    token: TokenId,
    role: &str,
) -> anyhow::Result<()> {
    let client = client(kubeconfig, context).await?;
    check_role(&client, role).await?;
    let wanted = binding(token, role);
    let path = format!("{COLLECTION}/{}", binding_name(token));
    let (status, found) = send(&client, Method::GET, &path, None).await?;
    if status.is_success() {
        if found.get("roleRef") == wanted.get("roleRef")
            && found.get("subjects") == wanted.get("subjects")
        {
            return Ok(());
        }
        // The role of a binding never changes.
        let (status, answer) = send(&client, Method::DELETE, &path, None).await?;
        check(status, &answer)?;
    } else if status != StatusCode::NOT_FOUND {
        check(status, &found)?;
    }
    let (status, answer) = send(&client, Method::POST, COLLECTION, Some(&wanted)).await?;
    check(status, &answer)
}

/// The ClusterRole that a token is bound to by [`bind`], with the rights of the kubeconfig.
///
/// # Errors
/// If the cluster cannot be reached, or does not allow to look.
pub async fn role_of(
    kubeconfig: &Path,
    context: Option<&str>,
    token: TokenId,
) -> anyhow::Result<Option<String>> {
    let client = client(Some(kubeconfig), context).await?;
    let path = format!("{COLLECTION}/{}", binding_name(token));
    let (status, found) = send(&client, Method::GET, &path, None).await?;
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    check(status, &found)?;
    let role = found["roleRef"]["name"].as_str();
    let is_whole = found.get("subjects") == binding(token, "").get("subjects");
    Ok(role.filter(|_| is_whole).map(str::to_owned))
}

/// Refuses a role that the cluster does not have: Kubernetes binds to any name, and grants nothing then.
async fn check_role(client: &kube::Client, role: &str) -> anyhow::Result<()> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let is_there = if !role.is_empty() && role.bytes().all(is_name) {
        let (status, _) = send(client, Method::GET, &format!("{ROLES}/{role}"), None).await?;
        // Who may bind need not be allowed to look.
        status != StatusCode::NOT_FOUND
    } else {
        false
    };
    if is_there {
        return Ok(());
    }
    let (_, list) = send(client, Method::GET, ROLES, None).await?;
    let items = list.get("items").and_then(Value::as_array);
    let names = items.into_iter().flatten();
    let names = names.filter_map(|role| role["metadata"]["name"].as_str());
    let names: Vec<&str> = names
        .filter(|name| !name.starts_with("system:"))
        .take(MAX_NAMED)
        .collect();
    let names = match names.is_empty() {
        true => "view, edit, admin or cluster-admin".to_owned(),
        false => names.join(", "),
    };
    let message = format!("the cluster has no ClusterRole `{role}`");
    Err(Failure::new(Exit::NotFound, message)
        .with_next(format!("give --bind one that it has: {names}"))
        .into())
}

/// The command that does the same by hand.
#[must_use]
pub fn command(token: TokenId, role: &str) -> String {
    format!(
        "kubectl create clusterrolebinding {} --clusterrole={role} --user=seal:{token}",
        binding_name(token)
    )
}

fn binding(token: TokenId, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": binding_name(token)},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("seal:{token}")}],
    })
}

fn binding_name(token: TokenId) -> String {
    format!("daas-seal-{token}")
}

/// A client of the cluster, with the rights of the kubeconfig.
///
/// # Errors
/// If the kubeconfig cannot be used.
pub(crate) async fn client(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> anyhow::Result<kube::Client> {
    let read = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(read?, &options).await;
    let mut config = config.context("cannot use the cluster's kubeconfig")?;
    config.default_retry = false;
    kube::Client::try_from(config).context("cannot make a client of the cluster")
}

/// Status and JSON of what the cluster answers.
///
/// # Errors
/// [`Exit::Unavailable`].
pub(crate) async fn send(
    client: &kube::Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Value)> {
    let body = body
        .map(|body| Bytes::from(body.to_string()))
        .unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(kube::client::Body::from(body))?;
    let unavailable = |error: &dyn std::error::Error| {
        Failure::new(
            Exit::Unavailable,
            format!("the cluster does not answer: {error}"),
        )
        .with_next("check its kubeconfig with `kubectl version`")
    };
    let answer = async {
        let response = client
            .send(request)
            .await
            .map_err(|error| unavailable(&error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| unavailable(&error))?;
        let value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        Ok((head.status, value))
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let message = format!("the cluster gives no answer in {} s", PATIENCE.as_secs());
            Err(Failure::new(Exit::Unavailable, message)
                .with_next("check its kubeconfig with `kubectl version`")
                .into())
        }
    }
}

/// How long the cluster may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many of its roles are named to who asked for one that is not there.
const MAX_NAMED: usize = 20;
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const COLLECTION: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

fn check(status: StatusCode, answer: &Value) -> anyhow::Result<()> {
    if status.is_success() {
        return Ok(());
    }
    let message = answer
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let message = format!("the cluster refuses the role binding: {status} {message}");
    Err(Failure::new(Exit::Refused, message)
        .with_next("let an administrator of the cluster create it, and leave --bind out")
        .into())
}
