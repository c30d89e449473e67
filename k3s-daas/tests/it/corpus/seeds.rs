//! The inputs that every corpus begins with.

use k3s_daas::contract::Call;
use k3s_daas::types::{ClusterId, Method, TokenId};
use k3s_daas::wire::{Event, to_bcs};
use serde_json::Value;

use super::targets::credential;

const GOLDEN: &str = include_str!("../../fixtures/golden.json");
const DERIVATION: &str = include_str!("../../fixtures/derivation.tsv");

/// For each target, in the order of their numbers.
pub(super) fn all() -> [(&'static str, Vec<Vec<u8>>); 5] {
    let golden = serde_json::from_str(GOLDEN).unwrap();
    [
        ("wire", wire(&golden)),
        ("credential", credential::examples()),
        ("path", paths(DERIVATION)),
        ("http", requests()),
        ("contract", calls()),
    ]
}

/// The golden bytes, each with the number of its type in front.
fn wire(golden: &Value) -> Vec<Vec<u8>> {
    let bytes = |name: &str| {
        let hex = golden[name]["hex"].as_str().unwrap();
        hex::decode(hex).unwrap()
    };
    let mut inputs: Vec<Vec<u8>> = [
        (2, "content/hashed"),
        (2, "content/plain"),
        (3, "struct/RequestMessage"),
        (9, "struct/ResponseEnvelope"),
        (10, "struct/AttestationNonce"),
        (11, "struct/AttestationUserData"),
        (13, "struct/SignedCredential"),
        (15, "struct/PolicyRule"),
        (16, "struct/ClusterPolicy"),
    ]
    .into_iter()
    .map(|(kind, name)| [vec![kind], bytes(name)].concat())
    .collect();
    for name in golden.as_object().expect("an object").keys() {
        let Some(event) = name.strip_prefix("event/") else {
            continue;
        };
        let event = Event::from_move_bcs(event, &bytes(name)).expect("its name is known");
        let event = event.expect("golden bytes");
        inputs.push([vec![18], to_bcs(&event)].concat());
    }
    let request = bcs::from_bytes(&bytes("struct/RequestMessage")).expect("golden bytes");
    let (cluster, token) = (ClusterId::ZERO, TokenId::ZERO);
    for call in [
        Call::ExecuteKubectlCommandWithId {
            cluster,
            token,
            request,
        },
        Call::DepositStake { token, amount: 7 },
    ] {
        inputs.push([vec![19], to_bcs(&call)].concat());
    }
    inputs
}

/// Some of the corpus that kube-apiserver itself was asked about.
fn paths(derivation: &str) -> Vec<Vec<u8>> {
    let rows = derivation.lines().filter(|line| !line.starts_with('#'));
    let plain = rows.filter(|line| !line.contains('\\'));
    let inputs = plain.step_by(173).filter_map(|row| {
        let mut columns = row.split('\t');
        let method: Method = columns.next()?.parse().ok()?;
        let number = Method::ALL.iter().position(|known| *known == method)?;
        let path = columns.next()?;
        let query = columns.next()?.strip_prefix('=').unwrap_or_default();
        let text = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        Some([vec![u8::try_from(number).ok()?], text.into_bytes()].concat())
    });
    let own = [
        "/api/v1/namespaces/a%20b/pods/%C3%A9",
        "/api/v1/pods?fieldSelector=metadata.name%3Dweb&watch",
    ];
    let own = own.map(|text| [&[0], text.as_bytes()].concat());
    inputs.chain(own).collect()
}

fn requests() -> Vec<Vec<u8>> {
    [
        "GET /api/v1/namespaces/a/pods?limit=500\naccept: application/json",
        "GET /api/v1/namespaces/a/pods/web/log?tailLines=3",
        "POST /api/v1/namespaces/a/configmaps\ncontent-type: application/json\n\n{\"data\":{}}",
        "PUT /apis/apps/v1/namespaces/a/deployments/web\nif-match: \"7\"\ncontent-type: application/json\n\n{}",
        "PATCH /api/v1/namespaces/a/pods/web/status\ncontent-type: application/merge-patch+json\nuser-agent: kubectl\n\n{}",
        "DELETE /api/v1/namespaces/a/pods/web?propagationPolicy=Background",
        "GET /api/v1/namespaces/a/pods?watch=true&resourceVersion=5",
        "GET /api/v1/namespaces/b/secrets/key",
        "GET /apis\naccept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "GET /version",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews\ncontent-type: application/json\n\n{\"spec\":{\"resourceAttributes\":{\"namespace\":\"a\",\"verb\":\"get\",\"resource\":\"pods\"}}}",
        "GET /api/v1/namespaces/a/pods/web/proxy/x?y=z",
        "POST /api/v1/namespaces/a/pods/web/exec?command=sh\nconnection: upgrade\nupgrade: SPDY/3.1",
        "GET /api/v1/namespaces/a/pods\nauthorization: Bearer seal_AAAA",
        "GET /api/v1/namespaces/a/pods\nimpersonate-user: admin",
        "GET http://other/api/v1/namespaces/a/pods\nhost: other\ndaas-request-id: 01a0b1c2-d3e4-7f05-8000-000000000001",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// See the target for what the bytes are.
fn calls() -> Vec<Vec<u8>> {
    let write = [8, 0, 0, 0, 1, 1, 0, 0, 1, 0, 4, 0];
    let read = [8, 2, 0, 0, 2, 0, 1, 0, 0, 0, 5, 1];
    let answer = |id, status| [12, 4, 0, 0, id, 0, status, 0, 0];
    let time = |index| [0, 0, 0, 0, index];
    vec![
        [&write[..], &answer(1, 0), &time(8), &[14, 4, 0, 0, 1, 1]].concat(),
        [
            &read[..],
            &time(3),
            &[10, 4, 0, 1, 2, 11, 4, 0, 1, 2, 0],
            &answer(2, 1),
        ]
        .concat(),
        [
            &write[..],
            &time(4),
            &[10, 4, 0, 1, 1],
            &answer(1, 1),
            &answer(1, 1),
        ]
        .concat(),
        [&[2, 0, 0, 0, 3][..], &time(7), &[3, 0, 0, 0, 1, 0, 1, 0, 5]].concat(),
        [&[20, 0, 0, 0, 6][..], &[8, 4, 0, 0, 3, 0, 1, 0, 0, 0, 4, 2]].concat(),
        [
            &[8, 0, 0, 0, 4, 1, 3, 0, 0, 0, 4, 3][..],
            &[29, 4, 0, 0, 4, 0, 0],
        ]
        .concat(),
        [&write[..], &[27, 4, 0, 0, 1, 0, 0, 0, 0, 1, 0]].concat(),
        vec![
            28, 4, 0, 0, 0, 25, 1, 0, 0, 26, 1, 0, 0, 23, 1, 0, 0, 2, 24, 1, 0, 1,
        ],
        vec![
            15, 1, 0, 0, 0, 1, 6, 3, 22, 1, 0, 0, 1, 0, 0, 17, 1, 1, 0, 16, 1, 0, 0, 6,
        ],
    ]
}
