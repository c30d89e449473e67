//! RFC 6902.

use http::StatusCode;
use serde_json::Value;

use super::bad_patch;
use crate::memory_cluster::status::Refusal;

pub(super) fn parse(body: &[u8]) -> Result<json_patch::Patch, Refusal> {
    let operations: json_patch::Patch = serde_json::from_slice(body).map_err(|e| bad_patch(&e))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                operations.len()
            ),
        ));
    }
    Ok(operations)
}

pub(super) fn patch(live: &Value, operations: &json_patch::Patch) -> Result<Value, Refusal> {
    let mut patched = live.clone();
    json_patch::patch(&mut patched, operations).map_err(|error| {
        // kube-apiserver says the same of a failed test and of a path that is not there.
        Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("the server rejected our request due to an error in our request: {error}"),
        )
    })?;
    Ok(patched)
}

/// kube-apiserver's limit.
const MAX_OPERATIONS: usize = 10_000;
