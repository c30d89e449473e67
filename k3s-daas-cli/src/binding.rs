//! The rights of a token on the cluster itself, where it is the user `seal:TOKEN`.

use std::path::Path;

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
/// If the cluster cannot be reached, or does not allow it.
pub async fn bind(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    token: TokenId,
    role: &str,
) -> anyhow::Result<()> {
    let client = client(kubeconfig, context).await?;
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

async fn client(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<kube::Client> {
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

async fn send(
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
    let response = client
        .send(request)
        .await
        .map_err(|error| unavailable(&error))?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| unavailable(&error))?;
    let value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    Ok((head.status, value))
}

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
