//! The columns and cells of each built-in kind.

use serde_json::{Value, json};

use super::format::*;
use crate::memory_cluster::clock;
use crate::memory_cluster::kinds::Resource;

/// One column of a kind.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// `s`tring, `i`nteger, `b`oolean or `d`ate.
    pub(super) kind: char,
    /// 1 for columns of `-o wide`.
    pub(super) priority: u8,
}

/// The columns of a kind, in order.
pub(super) fn columns(resource: &Resource) -> Vec<Column> {
    let text = match key(resource) {
        (_, "pods") => "Name,Ready,Status,Restarts,Age,+IP,+Node,+Nominated Node,+Readiness Gates",
        (_, "podtemplates") => "Name,Containers,Images,Pod Labels",
        (_, "poddisruptionbudgets") => {
            "Name,Min Available,Max Unavailable,#Allowed Disruptions,Age"
        }
        (_, "replicationcontrollers" | "replicasets") => {
            "Name,#Desired,#Current,#Ready,Age,+Containers,+Images,+Selector"
        }
        (_, "daemonsets") => {
            "Name,#Desired,#Current,#Ready,#Up-to-date,#Available,Node Selector,Age,+Containers,+Images,+Selector"
        }
        (_, "jobs") => "Name,Status,Completions,Duration,Age,+Containers,+Images,+Selector",
        (_, "cronjobs") => {
            "Name,Schedule,Timezone,?Suspend,#Active,Last Schedule,Age,+Containers,+Images,+Selector"
        }
        (_, "services") => "Name,Type,Cluster-IP,External-IP,Port(s),Age,+Selector",
        (_, "ingresses") => "Name,Class,Hosts,Address,Ports,Age",
        (_, "ingressclasses") => "Name,Controller,Parameters,Age",
        (_, "statefulsets") => "Name,Ready,Age,+Containers,+Images",
        (_, "endpoints") => "Name,Endpoints,Age",
        (_, "nodes") => {
            "Name,Status,Roles,Age,Version,+Internal-IP,+External-IP,+OS-Image,+Kernel-Version,+Container-Runtime"
        }
        (_, "events") => {
            "Last Seen,Type,Reason,Object,+Subobject,+Source,Message,+First Seen,+Count,+Name"
        }
        (_, "namespaces") => "Name,Status,Age",
        (_, "secrets") => "Name,Type,Data,Age",
        (_, "serviceaccounts") => "Name,Age",
        (_, "persistentvolumes") => {
            "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age,+VolumeMode"
        }
        (_, "persistentvolumeclaims") => {
            "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,+VolumeMode"
        }
        (_, "deployments") => "Name,Ready,Up-to-date,Available,Age,+Containers,+Images,+Selector",
        (_, "horizontalpodautoscalers") => "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age",
        (_, "configmaps") => "Name,Data,Age",
        (_, "rolebindings" | "clusterrolebindings") => {
            "Name,Role,Age,+Users,+Groups,+ServiceAccounts"
        }
        (_, "leases") => "Name,Holder,Age",
        (_, "storageclasses") => {
            "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age"
        }
        (_, "resourcequotas") => "Name,Request,Limit,Age",
        (_, "priorityclasses") => "Name,#Value,?Global-Default,Age,+PreemptionPolicy",
        (_, "endpointslices") => "Name,AddressType,Ports,Endpoints,Age",
        (_, "networkpolicies") => "Name,Pod-Selector,Age",
        (_, "controllerrevisions") => "Name,Controller,#Revision,Age",
        _ => "Name,@Created At",
    };
    text.split(',').map(parse_column).collect()
}

/// The cells of one object, one per column.
pub(super) fn cells(resource: &Resource, object: &Value) -> Vec<Value> {
    let name = text(&object["metadata"]["name"]);
    let age = clock::age(object["metadata"]["creationTimestamp"].as_str());
    let (spec, status) = (&object["spec"], &object["status"]);
    match key(resource) {
        (_, "pods") => pod(object, name, age),
        (_, "podtemplates") => {
            let (names, images) = containers(&object["template"]);
            vec![
                json!(name),
                json!(names),
                json!(images),
                json!(labels(&object["template"]["metadata"]["labels"])),
            ]
        }
        (_, "poddisruptionbudgets") => vec![
            json!(name),
            json!(shown_or(&spec["minAvailable"], "N/A")),
            json!(shown_or(&spec["maxUnavailable"], "N/A")),
            number(&status["disruptionsAllowed"]),
            json!(age),
        ],
        (_, kind @ ("replicationcontrollers" | "replicasets")) => {
            let (names, images) = containers(&spec["template"]);
            let selector = if kind == "replicasets" {
                selector(&spec["selector"])
            } else {
                labels(&spec["selector"])
            };
            vec![
                json!(name),
                number(&spec["replicas"]),
                number(&status["replicas"]),
                number(&status["readyReplicas"]),
                json!(age),
                json!(names),
                json!(images),
                json!(selector),
            ]
        }
        (_, "daemonsets") => {
            let (names, images) = containers(&spec["template"]);
            vec![
                json!(name),
                number(&status["desiredNumberScheduled"]),
                number(&status["currentNumberScheduled"]),
                number(&status["numberReady"]),
                number(&status["updatedNumberScheduled"]),
                number(&status["numberAvailable"]),
                json!(labels(&spec["template"]["spec"]["nodeSelector"])),
                json!(age),
                json!(names),
                json!(images),
                json!(selector(&spec["selector"])),
            ]
        }
        (_, "deployments") => {
            let (names, images) = containers(&spec["template"]);
            vec![
                json!(name),
                json!(format!(
                    "{}/{}",
                    number(&status["readyReplicas"]),
                    number(&spec["replicas"])
                )),
                number(&status["updatedReplicas"]),
                number(&status["availableReplicas"]),
                json!(age),
                json!(names),
                json!(images),
                json!(selector(&spec["selector"])),
            ]
        }
        (_, "statefulsets") => {
            let (names, images) = containers(&spec["template"]);
            let ready = format!(
                "{}/{}",
                number(&status["readyReplicas"]),
                number(&spec["replicas"])
            );
            vec![
                json!(name),
                json!(ready),
                json!(age),
                json!(names),
                json!(images),
            ]
        }
        (_, "jobs") => job(object, name, age),
        (_, "cronjobs") => {
            let (names, images) = containers(&spec["jobTemplate"]["spec"]["template"]);
            let last = status["lastScheduleTime"]
                .as_str()
                .map_or("<none>".into(), |t| clock::age(Some(t)));
            vec![
                json!(name),
                json!(text(&spec["schedule"])),
                json!(or(text(&spec["timeZone"]), "<none>")),
                json!(if spec["suspend"] == true {
                    "True"
                } else {
                    "False"
                }),
                json!(status["active"].as_array().map_or(0, Vec::len)),
                json!(last),
                json!(age),
                json!(names),
                json!(images),
                json!(selector(&spec["jobTemplate"]["spec"]["selector"])),
            ]
        }
        (_, "services") => vec![
            json!(name),
            json!(text(&spec["type"])),
            json!(or(text(&spec["clusterIPs"][0]), "<none>")),
            json!(external_address(spec, status)),
            json!(or(&service_ports(spec), "<none>")),
            json!(age),
            json!(labels(&spec["selector"])),
        ],
        (_, "ingresses") => vec![
            json!(name),
            json!(or(text(&spec["ingressClassName"]), "<none>")),
            json!(hosts(&spec["rules"])),
            json!(addresses(&status["loadBalancer"])),
            json!(if items(&spec["tls"]).next().is_some() {
                "80, 443"
            } else {
                "80"
            }),
            json!(age),
        ],
        (_, "ingressclasses") => {
            let parameters = match spec["parameters"].is_object() {
                true => format!(
                    "{}/{}",
                    join_dot(
                        text(&spec["parameters"]["kind"]),
                        text(&spec["parameters"]["apiGroup"])
                    ),
                    text(&spec["parameters"]["name"])
                ),
                false => "<none>".into(),
            };
            vec![
                json!(name),
                json!(text(&spec["controller"])),
                json!(parameters),
                json!(age),
            ]
        }
        (_, "endpoints") => vec![
            json!(name),
            json!(endpoints(&object["subsets"])),
            json!(age),
        ],
        (_, "nodes") => node(object, name, age),
        (_, "events") => event(object),
        (_, "namespaces") => vec![json!(name), json!(text(&status["phase"])), json!(age)],
        (_, "secrets") => vec![
            json!(name),
            json!(text(&object["type"])),
            json!(count(&object["data"])),
            json!(age),
        ],
        (_, "configmaps") => {
            vec![
                json!(name),
                json!(count(&object["data"]) + count(&object["binaryData"])),
                json!(age),
            ]
        }
        (_, "serviceaccounts") => vec![json!(name), json!(age)],
        (_, "persistentvolumes") => volume(object, name, age),
        (_, "persistentvolumeclaims") => claim(object, name, age),
        (_, "horizontalpodautoscalers") => autoscaler(object, name, age),
        (_, "rolebindings" | "clusterrolebindings") => {
            let reference = &object["roleRef"];
            let subjects = |kind: &str| {
                let of_kind = items(&object["subjects"]).filter(|s| s["kind"] == kind);
                of_kind
                    .map(|s| match (kind, s["namespace"].as_str()) {
                        ("ServiceAccount", Some(namespace)) => {
                            format!("{namespace}/{}", text(&s["name"]))
                        }
                        _ => text(&s["name"]).to_owned(),
                    })
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            vec![
                json!(name),
                json!(format!(
                    "{}/{}",
                    text(&reference["kind"]),
                    text(&reference["name"])
                )),
                json!(age),
                json!(subjects("User")),
                json!(subjects("Group")),
                json!(subjects("ServiceAccount")),
            ]
        }
        (_, "leases") => vec![
            json!(name),
            json!(text(&spec["holderIdentity"])),
            json!(age),
        ],
        (_, "storageclasses") => {
            let default = object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
                == "true";
            let shown = if default {
                format!("{name} (default)")
            } else {
                name.to_owned()
            };
            vec![
                json!(shown),
                json!(text(&object["provisioner"])),
                json!(or(text(&object["reclaimPolicy"]), "Delete")),
                json!(or(text(&object["volumeBindingMode"]), "Immediate")),
                json!(object["allowVolumeExpansion"].as_bool().unwrap_or(false)),
                json!(age),
            ]
        }
        (_, "resourcequotas") => {
            let column = |limits: bool| {
                let hard = status["hard"].as_object().into_iter().flatten();
                hard.filter(|(resource, _)| resource.starts_with("limits.") == limits)
                    .map(|(resource, hard)| {
                        format!(
                            "{resource}: {}/{}",
                            shown_or(&status["used"][resource], "0"),
                            shown_or(hard, "")
                        )
                    })
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            vec![
                json!(name),
                json!(column(false)),
                json!(column(true)),
                json!(age),
            ]
        }
        (_, "priorityclasses") => vec![
            json!(name),
            number(&object["value"]),
            json!(object["globalDefault"].as_bool().unwrap_or(false)),
            json!(age),
            json!(text(&object["preemptionPolicy"])),
        ],
        (_, "endpointslices") => {
            let ports = some(
                items(&object["ports"]).map(|p| shown_or(&p["port"], "*")),
                "<unset>",
            );
            let found = items(&object["endpoints"]).flat_map(|e| items(&e["addresses"]));
            let addresses = some(found.map(|a| text(a).to_owned()), "<unset>");
            vec![
                json!(name),
                json!(text(&object["addressType"])),
                json!(ports),
                json!(addresses),
                json!(age),
            ]
        }
        (_, "networkpolicies") => vec![
            json!(name),
            json!(selector(&spec["podSelector"])),
            json!(age),
        ],
        (_, "controllerrevisions") => {
            let owner =
                items(&object["metadata"]["ownerReferences"]).find(|o| o["controller"] == true);
            let controller = owner.map_or("<none>".into(), |o| {
                let group = text(&o["apiVersion"])
                    .split_once('/')
                    .map_or("", |(group, _)| group);
                format!(
                    "{}/{}",
                    join_dot(&text(&o["kind"]).to_lowercase(), group),
                    text(&o["name"])
                )
            });
            vec![
                json!(name),
                json!(controller),
                number(&object["revision"]),
                json!(age),
            ]
        }
        _ => vec![json!(name), object["metadata"]["creationTimestamp"].clone()],
    }
}

fn key(resource: &Resource) -> (&str, &str) {
    (&resource.group, &resource.plural)
}

fn parse_column(text: &'static str) -> Column {
    let (text, priority) = match text.strip_prefix('+') {
        Some(rest) => (rest, 1),
        None => (text, 0),
    };
    let (name, kind) = match text.as_bytes().first() {
        Some(b'#') => (&text[1..], 'i'),
        Some(b'?') => (&text[1..], 'b'),
        Some(b'@') => (&text[1..], 'd'),
        _ => (text, 's'),
    };
    Column {
        name,
        kind,
        priority,
    }
}

fn pod(object: &Value, name: &str, age: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = text(&status["phase"]);
    let mut reason = or(text(&status["reason"]), phase).to_owned();
    if items(&status["conditions"])
        .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated")
    {
        reason = "SchedulingGated".into();
    }
    let sidecar = |name: &Value| {
        items(&spec["initContainers"]).any(|c| c["name"] == *name && c["restartPolicy"] == "Always")
    };
    let sidecars = items(&spec["initContainers"])
        .filter(|c| c["restartPolicy"] == "Always")
        .count();
    let total = items(&spec["containers"]).count() + sidecars;
    let (mut ready, mut restarts, mut initializing) = (0, 0, false);
    for (index, container) in items(&status["initContainerStatuses"]).enumerate() {
        restarts += container["restartCount"].as_i64().unwrap_or(0);
        let (terminated, waiting) = (
            &container["state"]["terminated"],
            text(&container["state"]["waiting"]["reason"]),
        );
        if terminated["exitCode"] == 0 {
            continue;
        }
        if sidecar(&container["name"]) && container["started"] == true {
            ready += usize::from(container["ready"] == true);
            continue;
        }
        reason = if terminated.is_object() {
            format!("Init:{}", ended(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", items(&spec["initContainers"]).count())
        };
        initializing = true;
        break;
    }
    if !initializing {
        let (mut running, mut failed) = (false, None);
        for container in items(&status["containerStatuses"]).rev() {
            restarts += container["restartCount"].as_i64().unwrap_or(0);
            let (terminated, waiting) = (
                &container["state"]["terminated"],
                text(&container["state"]["waiting"]["reason"]),
            );
            if !waiting.is_empty() {
                reason = waiting.to_owned();
            } else if terminated.is_object() {
                reason = ended(terminated);
                if terminated["exitCode"] != 0 {
                    failed = Some(reason.clone());
                }
            } else if container["ready"] == true && container["state"]["running"].is_object() {
                running = true;
                ready += 1;
            }
        }
        if reason == "Completed" {
            let is_ready =
                items(&status["conditions"]).any(|c| c["type"] == "Ready" && c["status"] == "True");
            match (running, failed) {
                (true, _) if is_ready => reason = "Running".into(),
                (_, Some(failed)) => reason = failed,
                (true, None) => reason = "NotReady".into(),
                (false, None) => {}
            }
        }
    }
    if object["metadata"]["deletionTimestamp"].is_string()
        && !matches!(phase, "Succeeded" | "Failed")
    {
        reason = if status["reason"] == "NodeLost" {
            "Unknown".into()
        } else {
            "Terminating".into()
        };
    }
    let gates = match items(&spec["readinessGates"]).count() {
        0 => "<none>".to_owned(),
        gates => {
            let open = items(&spec["readinessGates"]).filter(|gate| {
                items(&status["conditions"])
                    .any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
            });
            format!("{}/{gates}", open.count())
        }
    };
    vec![
        json!(name),
        json!(format!("{ready}/{total}")),
        json!(reason),
        json!(restarts.to_string()),
        json!(age),
        json!(or(text(&status["podIPs"][0]["ip"]), "<none>")),
        json!(or(text(&spec["nodeName"]), "<none>")),
        json!(or(text(&status["nominatedNodeName"]), "<none>")),
        json!(gates),
    ]
}

fn ended(terminated: &Value) -> String {
    match (
        text(&terminated["reason"]),
        terminated["signal"].as_i64().unwrap_or(0),
    ) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn job(object: &Value, name: &str, age: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let succeeded = number(&status["succeeded"]);
    let completions = match (
        spec["completions"].as_i64(),
        spec["parallelism"].as_i64().unwrap_or(0),
    ) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let start = status["startTime"].as_str().and_then(clock::parse);
    let end = status["completionTime"].as_str().and_then(clock::parse);
    let duration = start.map_or(String::new(), |start| {
        clock::human_duration(end.unwrap_or_else(clock::now_seconds) - start)
    });
    let has = |kind: &str| {
        items(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
    };
    let state = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if object["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    let (names, images) = containers(&spec["template"]);
    vec![
        json!(name),
        json!(state),
        json!(completions),
        json!(duration),
        json!(age),
        json!(names),
        json!(images),
        json!(selector(&spec["selector"])),
    ]
}

fn node(object: &Value, name: &str, age: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let mut state = match items(&status["conditions"]).find(|c| c["type"] == "Ready") {
        Some(ready) if ready["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if spec["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = Vec::new();
    for (label, value) in object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if let Some(role) = label
            .strip_prefix("node-role.kubernetes.io/")
            .filter(|r| !r.is_empty())
        {
            roles.push(role);
        } else if label == "kubernetes.io/role" && value != "" {
            roles.push(text(value));
        }
    }
    roles.sort_unstable();
    let address = |kind: &str| {
        let found = items(&status["addresses"]).find(|a| a["type"] == kind);
        found.map_or("<none>", |a| text(&a["address"])).to_owned()
    };
    let info = |key: &str| or(text(&status["nodeInfo"][key]), "<unknown>").to_owned();
    vec![
        json!(name),
        json!(state),
        json!(or(&roles.join(","), "<none>")),
        json!(age),
        json!(text(&status["nodeInfo"]["kubeletVersion"])),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(info("osImage")),
        json!(info("kernelVersion")),
        json!(info("containerRuntimeVersion")),
    ]
}

fn event(object: &Value) -> Vec<Value> {
    let first = object["firstTimestamp"]
        .as_str()
        .or_else(|| object["eventTime"].as_str());
    let last = object["series"]["lastObservedTime"]
        .as_str()
        .or_else(|| object["lastTimestamp"].as_str())
        .or(first);
    let count = object["series"]["count"]
        .as_i64()
        .or_else(|| object["count"].as_i64())
        .unwrap_or(1);
    let involved = &object["involvedObject"];
    let target = format!(
        "{}/{}",
        text(&involved["kind"]).to_lowercase(),
        text(&involved["name"])
    );
    let component = or(
        text(&object["source"]["component"]),
        text(&object["reportingComponent"]),
    );
    let host = or(
        text(&object["source"]["host"]),
        text(&object["reportingInstance"]),
    );
    let source = [component, host]
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    vec![
        json!(clock::age(last)),
        json!(text(&object["type"])),
        json!(text(&object["reason"])),
        json!(target),
        json!(text(&involved["fieldPath"])),
        json!(source),
        json!(text(&object["message"]).trim()),
        json!(clock::age(first)),
        json!(count.to_string()),
        json!(text(&object["metadata"]["name"])),
    ]
}

fn volume(object: &Value, name: &str, age: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let claim = match spec["claimRef"].is_object() {
        true => format!(
            "{}/{}",
            text(&spec["claimRef"]["namespace"]),
            text(&spec["claimRef"]["name"])
        ),
        false => String::new(),
    };
    vec![
        json!(name),
        json!(shown_or(&spec["capacity"]["storage"], "0")),
        json!(access_modes(&spec["accessModes"])),
        json!(text(&spec["persistentVolumeReclaimPolicy"])),
        json!(phase(object)),
        json!(claim),
        json!(text(&spec["storageClassName"])),
        json!(or(text(&spec["volumeAttributesClassName"]), "<unset>")),
        json!(text(&status["reason"])),
        json!(age),
        json!(or(text(&spec["volumeMode"]), "<unset>")),
    ]
}

fn claim(object: &Value, name: &str, age: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = !text(&spec["volumeName"]).is_empty();
    vec![
        json!(name),
        json!(phase(object)),
        json!(text(&spec["volumeName"])),
        json!(if bound {
            shown_or(&status["capacity"]["storage"], "0")
        } else {
            String::new()
        }),
        json!(if bound {
            access_modes(&status["accessModes"])
        } else {
            String::new()
        }),
        json!(text(&spec["storageClassName"])),
        json!(or(text(&spec["volumeAttributesClassName"]), "<unset>")),
        json!(age),
        json!(or(text(&spec["volumeMode"]), "<unset>")),
    ]
}

fn autoscaler(object: &Value, name: &str, age: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let reference = format!(
        "{}/{}",
        text(&spec["scaleTargetRef"]["kind"]),
        text(&spec["scaleTargetRef"]["name"])
    );
    let targets: Vec<String> = items(&spec["metrics"])
        .map(|metric| {
            let kind = text(&metric["type"]);
            let source = &metric[lower_first(kind)];
            let target = &source["target"];
            let wanted = match target["averageUtilization"].as_i64() {
                Some(percent) => format!("{percent}%"),
                None => shown_or(
                    &target["averageValue"],
                    &shown_or(&target["value"], "<auto>"),
                ),
            };
            match kind {
                "Resource" | "ContainerResource" => {
                    format!("{}: <unknown>/{wanted}", text(&source["name"]))
                }
                _ => format!("<unknown>/{wanted}"),
            }
        })
        .collect();
    let shown = match targets.len() {
        0 => "<none>".to_owned(),
        1 | 2 => targets.join(", "),
        more => format!("{} + {} more...", targets[..2].join(", "), more - 2),
    };
    vec![
        json!(name),
        json!(reference),
        json!(shown),
        json!(shown_or(&spec["minReplicas"], "<unset>")),
        json!(number(&spec["maxReplicas"]).to_string()),
        json!(number(&status["currentReplicas"]).to_string()),
        json!(age),
    ]
}
