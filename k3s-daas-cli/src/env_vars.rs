//! Every environment variable that the programs read, in one place.
//!
//! Each setting's variable is beside its key in [`crate::settings`]; here are the names of those that others read too.

use crate::settings::Key;

/// Settings file.
pub const CONFIG: &str = "DAAS_CONFIG";
/// Directory with the ledger, keys and everything else.
pub const DIR: &str = "DAAS_DIR";
/// Cluster to work with.
pub const CLUSTER: &str = "DAAS_CLUSTER";
/// Capability that governs the cluster.
pub const ADMIN_CAP: &str = "DAAS_ADMIN_CAP";
/// Seal token to work with: its ID, which is no secret.
pub const TOKEN: &str = "DAAS_TOKEN";
/// Executor that Nautilus answers as.
pub const EXECUTOR: &str = "DAAS_EXECUTOR";
/// Key file of the cluster's administrator.
pub const ADMIN_KEY: &str = "DAAS_ADMIN_KEY";
/// Key file of the token's owner.
pub const OWNER_KEY: &str = "DAAS_OWNER_KEY";
/// Key file of the gateway.
pub const GATEWAY_KEY: &str = "DAAS_GATEWAY_KEY";
/// Key file of the executor's operator.
pub const OPERATOR_KEY: &str = "DAAS_OPERATOR_KEY";
/// Key file that the executor signs answers with.
pub const EXECUTOR_KEY: &str = "DAAS_EXECUTOR_KEY";
/// Key file of the executor's encryption key.
pub const ENCRYPTION_KEY: &str = "DAAS_ENCRYPTION_KEY";
/// File with the passphrase of encrypted key files.
pub const PASSPHRASE_FILE: &str = "DAAS_PASSPHRASE_FILE";
/// Address that the gateway listens on.
pub const GATEWAY_LISTEN: &str = "DAAS_GATEWAY_LISTEN";
/// URL under which clients reach the gateway.
pub const GATEWAY_SERVER: &str = "DAAS_GATEWAY_SERVER";
/// What credentials for the gateway name as their audience.
pub const GATEWAY_AUDIENCE: &str = "DAAS_GATEWAY_AUDIENCE";
/// Certificate authority that clients of the gateway trust.
pub const GATEWAY_CA: &str = "DAAS_GATEWAY_CA";
/// Certificate that the gateway shows instead of one of its own CA.
pub const GATEWAY_CERTIFICATE: &str = "DAAS_GATEWAY_CERTIFICATE";
/// Private key of that certificate.
pub const GATEWAY_PRIVATE_KEY: &str = "DAAS_GATEWAY_PRIVATE_KEY";
/// The gateway's own token for discovery.
pub const GATEWAY_TOKEN: &str = "DAAS_GATEWAY_TOKEN";
/// Address that the gateway's metrics are served on.
pub const GATEWAY_METRICS: &str = "DAAS_GATEWAY_METRICS_LISTEN";
/// Address that Nautilus's metrics are served on.
pub const NAUTILUS_METRICS: &str = "DAAS_NAUTILUS_METRICS_LISTEN";
/// Kubeconfig of the cluster that Nautilus executes on.
pub const NAUTILUS_KUBECONFIG: &str = "DAAS_NAUTILUS_KUBECONFIG";
/// Context of that kubeconfig.
pub const NAUTILUS_CONTEXT: &str = "DAAS_NAUTILUS_CONTEXT";
/// URL of a collector of traces.
pub const OTLP_ENDPOINT: &str = "DAAS_OTLP_ENDPOINT";
/// File with headers for it.
pub const OTLP_HEADERS_FILE: &str = "DAAS_OTLP_HEADERS_FILE";
/// Authority of its certificate.
pub const OTLP_CA: &str = "DAAS_OTLP_CA";
/// Which part of all requests is traced.
pub const OTLP_SAMPLE_RATIO: &str = "DAAS_OTLP_SAMPLE_RATIO";
/// Name of the service in traces.
pub const OTLP_SERVICE_NAME: &str = "DAAS_OTLP_SERVICE_NAME";
/// What is logged: a `tracing` filter such as `info` or `k3s_daas=debug`.
pub const LOG: &str = "DAAS_LOG";
/// How it is logged: `text` or `json`.
pub const LOG_FORMAT: &str = "DAAS_LOG_FORMAT";

/// Where data of programs goes by the XDG base directory specification; not ours.
pub const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// The user's home; not ours.
pub const HOME: &str = "HOME";
/// Kubeconfig files of Kubernetes clients, separated by colons; not ours.
pub const KUBECONFIG: &str = "KUBECONFIG";
/// The API server, for the containers of a pod; not ours.
pub const KUBERNETES_SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
/// What Kubernetes clients tell an exec plugin; not ours.
pub const KUBERNETES_EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// Variables of this process that look like settings of ours and are none, each with the one that may have
/// been meant. In a pod none: Kubernetes sets variables such as `DAAS_GATEWAY_PORT` for its services.
#[must_use]
pub fn unknown() -> Vec<(String, Option<&'static str>)> {
    if std::env::var_os(KUBERNETES_SERVICE_HOST).is_some() {
        return Vec::new();
    }
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<_> = names.filter_map(check).collect();
    unknown.sort();
    unknown
}

fn check(name: String) -> Option<(String, Option<&'static str>)> {
    // The last two are of the repository's own scripts and tests.
    if !name.starts_with("DAAS_") || name.starts_with("DAAS_TEST_") || name == "DAAS_CACHE" {
        return None;
    }
    let ours = || {
        let keys = Key::ALL.iter().map(|key| key.env());
        keys.filter(|env| !env.is_empty()).chain([CONFIG])
    };
    if ours().any(|known| known == name) {
        return None;
    }
    let score = |known: &&str| strsim::jaro_winkler(known, &name);
    let nearest = ours()
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .filter(|known| score(known) > 0.9);
    Some((name, nearest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_count_for_nothing_are_known() {
        let check = |name: &str| check(name.to_owned());
        for fine in ["DAAS_TOKEN", "DAAS_CONFIG", "DAAS", "HOME", "DAAS_TEST_X"] {
            assert_eq!(check(fine), None, "{fine}");
        }
        let (name, nearest) = check("DAAS_GATEWAY_LISTN").unwrap_or_default();
        assert_eq!(
            (name.as_str(), nearest),
            ("DAAS_GATEWAY_LISTN", Some(GATEWAY_LISTEN))
        );
        assert_eq!(check("DAAS_X"), Some(("DAAS_X".to_owned(), None)));
    }
}
