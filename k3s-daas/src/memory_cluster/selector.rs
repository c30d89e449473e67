//! Label and field selectors.

use serde_json::Value;

use super::kinds::Resource;
use super::status::Refusal;

/// A conjunction of requirements on labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Greater,
    Less,
}

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),h,!i,j>1`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        parse_labels(text)
            .map(Self)
            .map_err(|why| Refusal::bad_request(format!("unable to parse requirement: {why}")))
    }

    /// Reads the object form: `matchLabels` and `matchExpressions`.
    pub(super) fn from_object(selector: &Value) -> Self {
        let mut all = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let values = vec![value.as_str().unwrap_or_default().to_owned()];
            all.push(Requirement {
                key: key.clone(),
                operator: Operator::In,
                values,
            });
        }
        for expression in selector["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let operator = match expression["operator"].as_str() {
                Some("In") => Operator::In,
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                _ => Operator::Absent,
            };
            let values = expression["values"].as_array().into_iter().flatten();
            all.push(Requirement {
                key: expression["key"].as_str().unwrap_or_default().to_owned(),
                operator,
                values: values
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            });
        }
        Self(all)
    }

    pub(super) fn matches(&self, labels: &Value) -> bool {
        self.0
            .iter()
            .all(|r| r.matches(labels.get(&r.key).and_then(Value::as_str)))
    }
}

impl Requirement {
    fn matches(&self, label: Option<&str>) -> bool {
        let compare = |order: std::cmp::Ordering| {
            let number = |text: &str| text.parse::<i64>().ok();
            match (
                label.and_then(number),
                self.values.first().and_then(|v| number(v)),
            ) {
                (Some(label), Some(value)) => label.cmp(&value) == order,
                _ => false,
            }
        };
        match self.operator {
            Operator::In => label.is_some_and(|l| self.values.iter().any(|v| v == l)),
            Operator::NotIn => label.is_none_or(|l| !self.values.iter().any(|v| v == l)),
            Operator::Exists => label.is_some(),
            Operator::Absent => label.is_none(),
            Operator::Greater => compare(std::cmp::Ordering::Greater),
            Operator::Less => compare(std::cmp::Ordering::Less),
        }
    }
}

/// A conjunction of field equalities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSelector(Vec<(String, String, bool)>);

impl FieldSelector {
    /// Reads `metadata.name=x,status.phase!=Running`; the fields must be ones `resource` has.
    pub(super) fn parse(text: &str, resource: &Resource) -> Result<Self, Refusal> {
        let mut terms = Vec::new();
        for term in split_unescaped(text, ',')
            .into_iter()
            .filter(|t| !t.is_empty())
        {
            let (field, value, equal) = if let Some((field, value)) = term.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = term.split_once("==") {
                (field, value, true)
            } else if let Some((field, value)) = term.split_once('=') {
                (field, value, true)
            } else {
                return Err(Refusal::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            if !supports(resource, field) {
                return Err(Refusal::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
            terms.push((field.to_owned(), unescape(value), equal));
        }
        Ok(Self(terms))
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|(field, value, equal)| (field_text(object, field) == *value) == *equal)
    }
}

fn supports(resource: &Resource, field: &str) -> bool {
    if field == "metadata.name"
        || (field == "metadata.namespace" && (resource.namespaced || resource.group.is_empty()))
    {
        return true;
    }
    let known: &[&str] = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") => &["status.replicas"],
        ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        _ => &[],
    };
    known.contains(&field)
}

/// The value of a selectable field of a stored object.
fn field_text(object: &Value, field: &str) -> String {
    let path = match field {
        "status.successful" => "status.succeeded".to_owned(),
        "source" => "source.component".to_owned(),
        "reportingController" => "reportingComponent".to_owned(),
        field => field.replacen("regarding.", "involvedObject.", 1),
    };
    let mut current = object;
    for part in path.split('.') {
        current = current.get(part).unwrap_or(&Value::Null);
    }
    match current {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ if matches!(field, "spec.unschedulable" | "spec.hostNetwork") => "false".into(),
        _ if matches!(field, "status.replicas" | "status.successful") => "0".into(),
        _ => String::new(),
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    let mut requirements = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (term, after) = split_term(rest);
        requirements.push(parse_term(term.trim())?);
        rest = after.trim_start();
        if rest.is_empty() && after.len() != rest.len() && term.is_empty() {
            break;
        }
    }
    Ok(requirements)
}

/// Splits at the first comma outside of parentheses.
fn split_term(text: &str) -> (&str, &str) {
    let mut depth = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn parse_term(term: &str) -> Result<Requirement, String> {
    if let Some(key) = term.strip_prefix('!') {
        return requirement(key, Operator::Absent, Vec::new());
    }
    if let Some(open) = term.find('(') {
        let values = term[open + 1..]
            .strip_suffix(')')
            .ok_or_else(|| format!("found '{term}', expected: ')'"))?
            .split(',')
            .map(|v| v.trim().to_owned())
            .collect();
        let words: Vec<&str> = term[..open].split_whitespace().collect();
        return match words.as_slice() {
            [key, "in"] => requirement(key, Operator::In, values),
            [key, "notin"] => requirement(key, Operator::NotIn, values),
            _ => Err(format!(
                "found '{term}', expected: in, notin, =, ==, !=, gt, lt"
            )),
        };
    }
    for (sign, operator) in [
        ("!=", Operator::NotIn),
        ("==", Operator::In),
        ("=", Operator::In),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ] {
        if let Some((key, value)) = term.split_once(sign) {
            return requirement(key, operator, vec![value.trim().to_owned()]);
        }
    }
    requirement(term, Operator::Exists, Vec::new())
}

fn requirement(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
    let key = key.trim();
    if let Some(why) = super::validation::qualified_name_problem(key) {
        return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
    }
    for value in &values {
        if matches!(operator, Operator::Greater | Operator::Less) {
            if value.parse::<i64>().is_err() {
                return Err(format!(
                    "values[0][{key}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                ));
            }
        } else if let Some(why) = super::validation::label_value_problem(value) {
            return Err(format!("values[0][{key}]: Invalid value: {value:?}: {why}"));
        }
    }
    Ok(Requirement {
        key: key.to_owned(),
        operator,
        values,
    })
}

fn split_unescaped(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == at && !escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    plain
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::super::kinds::Registry;
    use super::*;

    #[test]
    fn labels_match_by_every_operator() {
        let labels = json!({"app": "web", "tier": "front", "n": "5"});
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("absent!=x", true),
            ("app in (web, api)", true),
            ("app notin (web)", false),
            ("absent notin (web)", true),
            ("app,!absent", true),
            ("!app", false),
            ("n>4,n<6", true),
            ("n>5", false),
            ("app in (api),tier", false),
        ] {
            assert_eq!(
                LabelSelector::parse(selector).unwrap().matches(&labels),
                expected,
                "{selector}"
            );
        }
        for bad in [
            "=x",
            "a b",
            "app in web",
            "app in (web",
            "a=b c",
            "n>x",
            "-a=b",
        ] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_are_those_of_the_kind() {
        let registry = Registry::with_custom(Vec::new());
        let pods = registry.find("", "v1", "pods").unwrap();
        let pod = json!({"metadata": {"name": "x"}, "status": {"phase": "Pending"}});
        let selects = |text: &str| FieldSelector::parse(text, pods).unwrap().matches(&pod);
        assert!(selects(
            "metadata.name=x,status.phase!=Running,spec.nodeName="
        ));
        assert!(!selects("status.phase=Running"));
        assert!(FieldSelector::parse("spec.bogus=1", pods).is_err());
        assert!(FieldSelector::parse("metadata.name", pods).is_err());
    }
}
