//! What kube-apiserver fills in: the defaults of `pkg/apis/*/v1/defaults.go` and what the
//! strategies set on creation. Running them again changes nothing.

use serde_json::{Map, Value, json};

/// Defaults of a new object; `key` is group and plural.
pub(super) fn for_create(key: (&str, &str), object: &mut Value) {
    match key {
        ("", "pods") => {
            object["status"] = json!({"phase": "Pending", "qosClass": qos_class(&object["spec"])});
        }
        ("", "namespaces") => {
            object["status"] = json!({"phase": "Active"});
            let finalizers = object["spec"]["finalizers"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            if !finalizers.iter().any(|f| f == "kubernetes") {
                object["spec"]["finalizers"] =
                    [finalizers, vec![json!("kubernetes")]].concat().into();
            }
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        ("", "services") => object["status"] = json!({"loadBalancer": {}}),
        ("networking.k8s.io", "ingresses") => object["status"] = json!({"loadBalancer": {}}),
        ("", "persistentvolumes" | "persistentvolumeclaims") => {
            object["status"] = json!({"phase": "Pending"})
        }
        ("apps", "deployments") | ("batch", "cronjobs") | ("", "resourcequotas") => {
            object["status"] = json!({})
        }
        ("batch", "jobs") => {
            object["status"] = json!({});
            job_selector(object);
        }
        ("apps", "replicasets" | "statefulsets") | ("", "replicationcontrollers") => {
            object["status"] = json!({"replicas": 0});
        }
        ("apps", "daemonsets") => {
            object["status"] = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0,
                "desiredNumberScheduled": 0, "numberReady": 0});
        }
        ("policy", "poddisruptionbudgets") => {
            object["status"] = json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
        }
        ("autoscaling", "horizontalpodautoscalers") => {
            object["status"] = json!({"desiredReplicas": 0});
        }
        _ => {}
    }
    for_any(key, object);
    admit(key, object);
}

/// Defaults of new and of changed objects.
pub(super) fn for_any(key: (&str, &str), object: &mut Value) {
    match key {
        ("", "pods") => pod(object),
        ("", "podtemplates") => pod_template(&mut object["template"]),
        ("", "replicationcontrollers") => {
            let labels = object["spec"]["template"]["metadata"]["labels"].clone();
            if labels.is_object() {
                set(&mut object["spec"], "selector", labels.clone());
                set(&mut object["metadata"], "labels", labels);
            }
            set(&mut object["spec"], "replicas", json!(1));
            pod_template(&mut object["spec"]["template"]);
        }
        ("", "services") => service(object),
        ("", "secrets") => {
            set(object, "type", json!("Opaque"));
            fold_string_data(object);
        }
        ("", "endpoints") => {
            each(&mut object["subsets"], |s| {
                each(&mut s["ports"], |p| set(p, "protocol", json!("TCP")))
            });
        }
        ("", "persistentvolumes") => {
            set(
                &mut object["spec"],
                "persistentVolumeReclaimPolicy",
                json!("Retain"),
            );
            set(&mut object["spec"], "volumeMode", json!("Filesystem"));
        }
        ("", "persistentvolumeclaims") => {
            set(&mut object["spec"], "volumeMode", json!("Filesystem"))
        }
        ("", "nodes") if object["status"]["capacity"].is_object() => {
            let capacity = object["status"]["capacity"].clone();
            set(&mut object["status"], "allocatable", capacity);
        }
        ("apps", _) => workload(key.1, &mut object["spec"]),
        ("batch", "jobs") => job(object),
        ("batch", "cronjobs") => {
            let spec = &mut object["spec"];
            set(spec, "concurrencyPolicy", json!("Allow"));
            set(spec, "suspend", json!(false));
            set(spec, "successfulJobsHistoryLimit", json!(3));
            set(spec, "failedJobsHistoryLimit", json!(1));
            set(
                &mut spec["jobTemplate"]["spec"]["template"],
                "metadata",
                json!({}),
            );
            set(&mut spec["jobTemplate"], "metadata", json!({}));
            pod_template(&mut spec["jobTemplate"]["spec"]["template"]);
        }
        ("networking.k8s.io", "networkpolicies") => network_policy(&mut object["spec"]),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            set(
                &mut object["roleRef"],
                "apiGroup",
                json!("rbac.authorization.k8s.io"),
            );
            each(&mut object["subjects"], |subject| {
                if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
                    set(subject, "apiGroup", json!("rbac.authorization.k8s.io"));
                }
            });
        }
        ("autoscaling", "horizontalpodautoscalers") => {
            let spec = &mut object["spec"];
            set(spec, "minReplicas", json!(1));
            if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
                spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80}}}]);
            }
        }
        ("storage.k8s.io", "storageclasses") => {
            set(object, "reclaimPolicy", json!("Delete"));
            set(object, "volumeBindingMode", json!("Immediate"));
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            set(object, "preemptionPolicy", json!("PreemptLowerPriority"))
        }
        ("discovery.k8s.io", "endpointslices") => {
            each(&mut object["ports"], |port| {
                set(port, "name", json!(""));
                set(port, "protocol", json!("TCP"));
            });
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            custom_definition(&mut object["spec"])
        }
        _ => {}
    }
}

/// What kube-apiserver's admission plugins add (Priority, DefaultTolerationSeconds): fields
/// that no manager owns.
pub(super) fn admit(key: (&str, &str), object: &mut Value) {
    if key != ("", "pods") {
        return;
    }
    let spec = &mut object["spec"];
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    set(spec, "priority", json!(0));
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let list = spec["tolerations"].as_array().cloned().unwrap_or_default();
        let tolerated = |t: &Value| {
            (t["key"] == key || t["key"].is_null())
                && (t["effect"] == "NoExecute" || t["effect"].is_null())
        };
        if !list.iter().any(tolerated) {
            let added = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            spec["tolerations"] = [list, vec![added]].concat().into();
        }
    }
}

/// Moves `stringData` into `data`, as a Secret's strategy does.
fn fold_string_data(object: &mut Value) {
    use base64::Engine as _;
    let Some(Value::Object(strings)) = object.as_object_mut().and_then(|o| o.remove("stringData"))
    else {
        return;
    };
    for (key, value) in strings {
        let text = value.as_str().unwrap_or_default();
        object["data"][key] = base64::engine::general_purpose::STANDARD
            .encode(text)
            .into();
    }
}

fn workload(plural: &str, spec: &mut Value) {
    match plural {
        "deployments" => {
            set(spec, "replicas", json!(1));
            set(&mut spec["strategy"], "type", json!("RollingUpdate"));
            if spec["strategy"]["type"] == "RollingUpdate" {
                set(
                    &mut spec["strategy"]["rollingUpdate"],
                    "maxUnavailable",
                    json!("25%"),
                );
                set(
                    &mut spec["strategy"]["rollingUpdate"],
                    "maxSurge",
                    json!("25%"),
                );
            }
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "progressDeadlineSeconds", json!(600));
        }
        "replicasets" => set(spec, "replicas", json!(1)),
        "statefulsets" => {
            set(spec, "replicas", json!(1));
            set(spec, "podManagementPolicy", json!("OrderedReady"));
            set(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set(
                    &mut spec["updateStrategy"]["rollingUpdate"],
                    "partition",
                    json!(0),
                );
            }
            let policy = &mut spec["persistentVolumeClaimRetentionPolicy"];
            set(policy, "whenDeleted", json!("Retain"));
            set(policy, "whenScaled", json!("Retain"));
            set(spec, "revisionHistoryLimit", json!(10));
            each(&mut spec["volumeClaimTemplates"], |claim| {
                set(claim, "kind", json!("PersistentVolumeClaim"));
                set(claim, "apiVersion", json!("v1"));
                set(&mut claim["spec"], "volumeMode", json!("Filesystem"));
                set(&mut claim["status"], "phase", json!("Pending"));
            });
        }
        "daemonsets" => {
            set(&mut spec["updateStrategy"], "type", json!("RollingUpdate"));
            if spec["updateStrategy"]["type"] == "RollingUpdate" {
                set(
                    &mut spec["updateStrategy"]["rollingUpdate"],
                    "maxUnavailable",
                    json!(1),
                );
                set(
                    &mut spec["updateStrategy"]["rollingUpdate"],
                    "maxSurge",
                    json!(0),
                );
            }
            set(spec, "revisionHistoryLimit", json!(10));
        }
        _ => return,
    }
    pod_template(&mut spec["template"]);
}

fn job(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if labels.as_object().is_some_and(|l| !l.is_empty()) {
        set(&mut object["metadata"], "labels", labels);
    }
    let spec = &mut object["spec"];
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        spec["completions"] = json!(1);
    }
    set(spec, "parallelism", json!(1));
    let limit = if spec["backoffLimitPerIndex"].is_null() {
        6
    } else {
        i32::MAX
    };
    set(spec, "backoffLimit", json!(limit));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    let replacement = if spec["podFailurePolicy"].is_null() {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    set(spec, "podReplacementPolicy", json!(replacement));
    set(spec, "manualSelector", json!(false));
    pod_template(&mut spec["template"]);
}

/// The selector and labels a Job gets unless it manages them itself.
fn job_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (
        object["metadata"]["uid"].clone(),
        object["metadata"]["name"].clone(),
    );
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels[key] = value.clone();
    }
    if object["spec"]["selector"].is_null() {
        object["spec"]["selector"] =
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }
}

fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == "ClientIP" {
        set(
            &mut spec["sessionAffinityConfig"]["clientIP"],
            "timeoutSeconds",
            json!(10_800),
        );
    }
    set(spec, "type", json!("ClusterIP"));
    each(&mut spec["ports"], |port| {
        set(port, "protocol", json!("TCP"));
        if port["targetPort"].is_null() || port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = port["port"].clone();
        }
    });
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", json!("Cluster"));
        set(spec, "ipFamilies", json!(["IPv4"]));
        set(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

fn network_policy(spec: &mut Value) {
    let types = if spec["egress"].is_array() {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    set(spec, "policyTypes", types);
    for direction in ["ingress", "egress"] {
        if spec[direction].is_array() {
            each(&mut spec[direction], |rule| {
                each(&mut rule["ports"], |port| {
                    set(port, "protocol", json!("TCP"))
                })
            });
        }
    }
}

fn custom_definition(spec: &mut Value) {
    let kind = spec["names"]["kind"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    set(&mut spec["names"], "singular", json!(kind.to_lowercase()));
    set(&mut spec["names"], "listKind", json!(format!("{kind}List")));
    set(&mut spec["conversion"], "strategy", json!("None"));
}

fn pod(object: &mut Value) {
    let spec = &mut object["spec"];
    for list in ["containers", "initContainers"] {
        each(&mut spec[list], |container| {
            let limits = container["resources"]["limits"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            for (resource, limit) in limits {
                set(&mut container["resources"]["requests"], &resource, limit);
            }
        });
    }
    set(spec, "enableServiceLinks", json!(true));
    pod_spec(spec);
    if spec["hostNetwork"] == true {
        for list in ["containers", "initContainers"] {
            each(&mut spec[list], |c| {
                each(&mut c["ports"], |port| {
                    let number = port["containerPort"].clone();
                    set(port, "hostPort", number);
                });
            });
        }
    }
}

fn pod_template(template: &mut Value) {
    if !template.is_object() {
        return;
    }
    set(template, "metadata", json!({}));
    pod_spec(&mut template["spec"]);
}

fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "schedulerName", json!("default-scheduler"));
    if let Some(account) = spec["serviceAccountName"].as_str().map(str::to_owned) {
        set(spec, "serviceAccount", json!(account));
    } else if let Some(account) = spec["serviceAccount"].as_str().map(str::to_owned) {
        set(spec, "serviceAccountName", json!(account));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        each(&mut spec[list], container);
    }
    each(&mut spec["volumes"], volume);
}

fn container(container: &mut Value) {
    let policy = match container["image"].as_str().map(image_tag) {
        Some("latest") => "Always",
        _ => "IfNotPresent",
    };
    set(container, "imagePullPolicy", json!(policy));
    set(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    set(container, "terminationMessagePolicy", json!("File"));
    set(container, "resources", json!({}));
    each(&mut container["ports"], |port| {
        set(port, "protocol", json!("TCP"))
    });
    each(&mut container["env"], |env| {
        if env["valueFrom"]["fieldRef"].is_object() {
            set(&mut env["valueFrom"]["fieldRef"], "apiVersion", json!("v1"));
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &mut container[probe];
        if probe.is_object() {
            for (key, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                if probe[key].is_null() || probe[key] == 0 {
                    probe[key] = value.into();
                }
            }
            http_get(&mut probe["httpGet"]);
            if probe["grpc"].is_object() {
                set(&mut probe["grpc"], "service", json!(""));
            }
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(action) = container.pointer_mut(&format!("/lifecycle/{hook}/httpGet")) {
            http_get(action);
        }
    }
    drop_nulls(container);
}

fn http_get(action: &mut Value) {
    if action.is_object() {
        set(action, "path", json!("/"));
        set(action, "scheme", json!("HTTP"));
    }
}

fn volume(volume: &mut Value) {
    if volume
        .as_object()
        .is_some_and(|v| v.keys().all(|k| k == "name"))
    {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume[source].is_object() {
            set(&mut volume[source], "defaultMode", json!(0o644));
        }
    }
    if volume["hostPath"].is_object() {
        set(&mut volume["hostPath"], "type", json!(""));
    }
    for items in [&["downwardAPI", "items"][..], &["projected", "sources"]] {
        if volume[items[0]].is_object() {
            each(&mut volume[items[0]][items[1]], |item| {
                if item["fieldRef"].is_object() {
                    set(&mut item["fieldRef"], "apiVersion", json!("v1"));
                }
                if item["serviceAccountToken"].is_object() {
                    set(
                        &mut item["serviceAccountToken"],
                        "expirationSeconds",
                        json!(3600),
                    );
                }
                if item["downwardAPI"].is_object() {
                    each(&mut item["downwardAPI"]["items"], |item| {
                        if item["fieldRef"].is_object() {
                            set(&mut item["fieldRef"], "apiVersion", json!("v1"));
                        }
                    });
                }
            });
        }
    }
    drop_nulls(volume);
}

/// The tag of an image reference; `latest` without one, nothing for a digest.
fn image_tag(image: &str) -> &str {
    if image.contains('@') {
        return "";
    }
    match image
        .rsplit('/')
        .next()
        .and_then(|last| last.split_once(':'))
    {
        Some((_, tag)) => tag,
        None => "latest",
    }
}

fn qos_class(spec: &Value) -> &'static str {
    let containers = || {
        ["containers", "initContainers"]
            .into_iter()
            .flat_map(|l| spec[l].as_array().into_iter().flatten())
    };
    let (mut any, mut guaranteed) = (false, true);
    for container in containers() {
        for resource in ["cpu", "memory"] {
            let (limit, request) = (
                &container["resources"]["limits"][resource],
                &container["resources"]["requests"][resource],
            );
            any |= limit.is_string() || request.is_string();
            guaranteed &= limit.is_string() && (request.is_null() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if object.is_null() {
        *object = Value::Object(Map::new());
    }
    if let Some(map) = object.as_object_mut() {
        let absent = match map.get(key) {
            None | Some(Value::Null) => true,
            // What Go leaves out when it is empty.
            Some(Value::String(text)) => {
                text.is_empty() && value.as_str().is_some_and(|v| !v.is_empty())
            }
            Some(Value::Object(empty)) => {
                empty.is_empty() && value.as_object().is_some_and(|v| !v.is_empty())
            }
            Some(_) => false,
        };
        if absent {
            map.insert(key.to_owned(), value);
        }
    }
}

fn each(list: &mut Value, change: impl FnMut(&mut Value)) {
    if let Some(list) = list.as_array_mut() {
        list.iter_mut()
            .filter(|item| item.is_object())
            .for_each(change);
    }
}

/// Takes out the nulls that looking for absent fields has left.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_nulls);
            map.retain(|_, value| !value.is_null());
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaulting_twice_changes_nothing() {
        let template = json!({"spec": {"containers": [{"name": "a", "image": "a:1", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}}}], "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}]}});
        for (key, object) in [
            (
                ("", "pods"),
                json!({"metadata": {"name": "x"}, "spec": template["spec"]}),
            ),
            (
                ("apps", "deployments"),
                json!({"metadata": {}, "spec": {"template": template}}),
            ),
            (
                ("apps", "statefulsets"),
                json!({"metadata": {}, "spec": {"template": template}}),
            ),
            (
                ("batch", "jobs"),
                json!({"metadata": {"uid": "u", "name": "x"}, "spec": {"template": template}}),
            ),
            (
                ("batch", "cronjobs"),
                json!({"metadata": {}, "spec": {"jobTemplate": {"spec": {"template": template}}}}),
            ),
            (
                ("", "services"),
                json!({"spec": {"ports": [{"port": 80}], "type": "NodePort"}}),
            ),
        ] {
            let mut once = object;
            for_create(key, &mut once);
            drop_nulls(&mut once);
            let mut twice = once.clone();
            for_any(key, &mut twice);
            admit(key, &mut twice);
            drop_nulls(&mut twice);
            assert_eq!(once, twice, "{key:?}");
        }
    }

    #[test]
    fn images_without_a_tag_are_always_pulled() {
        for (image, tag) in [
            ("nginx", "latest"),
            ("nginx:1.2", "1.2"),
            ("host:5000/nginx", "latest"),
            ("a@sha256:0", ""),
        ] {
            assert_eq!(image_tag(image), tag);
        }
    }

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({"stringData": {"a": "b"}});
        for_any(("", "secrets"), &mut secret);
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "Yg=="}}));
    }
}
