//! Addresses and ports that the server gives to Services.

use serde_json::{Value, json};

use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::store::Transaction;

/// Gives a Service its addresses and node ports.
pub(super) fn allocate(t: &Transaction<'_>, resource: &Resource, object: &mut Value) {
    if !resource.is("", "services") {
        return;
    }
    let kind = object["spec"]["type"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let services = t.list("services", None);
    if kind == "ExternalName" {
        for key in ["clusterIP", "clusterIPs"] {
            object["spec"].as_object_mut().map(|s| s.remove(key));
        }
        return;
    }
    if object["spec"]["clusterIP"]
        .as_str()
        .is_none_or(str::is_empty)
    {
        let taken = |ip: &str| services.iter().any(|s| s.value["spec"]["clusterIP"] == ip);
        // 10.96.0.0/12, as kubeadm has it; its first addresses stay for static use.
        let address = (256_u32..1 << 20)
            .map(|n| std::net::Ipv4Addr::from(0x0a60_0000 + n).to_string())
            .find(|ip| !taken(ip));
        if let Some(address) = address {
            object["spec"]["clusterIP"] = address.into();
        }
    }
    let address = object["spec"]["clusterIP"].clone();
    object["spec"]["clusterIPs"] = json!([address]);
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        let name = object["metadata"]["name"].clone();
        let others = services
            .iter()
            .filter(|s| s.value["metadata"]["name"] != name);
        let mut taken: Vec<i64> = others
            .flat_map(|s| {
                s.value["spec"]["ports"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            })
            .filter_map(|p| p["nodePort"].as_i64())
            .collect();
        for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
            if port["nodePort"].as_i64().unwrap_or(0) == 0
                && let Some(free) = (30_000..32_768).find(|n| !taken.contains(n))
            {
                port["nodePort"] = free.into();
            }
            taken.extend(port["nodePort"].as_i64());
        }
    } else {
        for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
            port.as_object_mut().map(|p| p.remove("nodePort"));
        }
    }
}

/// What the server allocated stays when a client leaves it out.
pub(super) fn keep_allocated(resource: &Resource, before: &Value, after: &mut Value) {
    if resource.is("", "services") {
        for key in ["clusterIP", "clusterIPs"] {
            if after["spec"][key].is_null()
                && before["spec"]["type"] != "ExternalName"
                && !before["spec"][key].is_null()
            {
                after["spec"][key] = before["spec"][key].clone();
            }
        }
        for port in after["spec"]["ports"].as_array_mut().into_iter().flatten() {
            let old = before["spec"]["ports"].as_array().into_iter().flatten();
            let same = old
                .into_iter()
                .find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"]);
            if let Some(number) = same.and_then(|o| o.get("nodePort"))
                && port["nodePort"].is_null()
            {
                port["nodePort"] = number.clone();
            }
        }
    }
    if resource.is("batch", "jobs") && after["spec"]["selector"].is_null() {
        after["spec"]["selector"] = before["spec"]["selector"].clone();
    }
}
