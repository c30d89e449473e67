//! What is taken out of two outputs before they are compared, and how much of them that was.

use regex::Regex;

/// The reviewed list, `normal.tsv`.
pub struct Rules(Vec<(String, String)>);

/// An output without what differs from run to run.
pub struct Normal {
    /// With a name in angle brackets for everything taken out.
    pub text: String,
    /// How many bytes were taken out, of how many.
    pub taken: usize,
    pub of: usize,
}

impl Rules {
    /// The list as it is reviewed.
    pub fn load() -> Self {
        let lines = include_str!("normal.tsv").lines();
        let rules = lines.filter(|line| !line.starts_with('#')).map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let (name, pattern, why) = (fields.next(), fields.next(), fields.next());
            assert!(why.is_some(), "a rule without a reason: {line}");
            (name.unwrap(), pattern.unwrap())
        });
        Self(rules.collect())
    }

    /// Takes out of what a run in `namespace` said.
    pub fn apply(&self, namespace: &str, text: &str) -> Normal {
        let (mut normal, mut taken) = (text.to_owned(), 0);
        for (name, pattern) in &self.0 {
            let pattern = Regex::new(&pattern.replace("{ns}", namespace)).unwrap();
            let (mut next, mut at) = (String::new(), 0);
            while let Some(found) = pattern.captures_at(&normal, at) {
                let whole = found.get(0).unwrap();
                let part = found.get(1).unwrap_or(whole);
                next.push_str(&normal[at..part.start()]);
                // What fills the rest of a column is kept, as wide as it was with the name in place.
                let taking = part.as_str().trim_end_matches(' ');
                let name = format!("<{name}>");
                match part.len() - taking.len() {
                    0 => next.push_str(&name),
                    _ => next.push_str(&format!("{name:width$}", width = part.len())),
                }
                taken += taking.len();
                at = part.end();
            }
            next.push_str(&normal[at..]);
            normal = next;
        }
        Normal {
            text: normal,
            taken,
            of: text.len(),
        }
    }
}

impl Normal {
    /// Whether so much was taken that being equal would mean little.
    pub fn is_hollow(&self) -> bool {
        self.taken * 20 > self.of
    }
}

#[test]
fn what_differs_is_taken_and_counted() {
    let rules = Rules::load();
    for (said, but) in [
        ("a   0s    b", "a   <AGE> b"),
        ("a   10s   b", "a   <AGE> b"),
    ] {
        assert_eq!(rules.apply("ns01", said).text, but);
    }
    let said = "NAME   AGE\nkept   12s\nuid: 0198aaaa-0000-7000-8000-000000000000 in ns01\n";
    let normal = rules.apply("ns01", said);
    assert_eq!(
        normal.text,
        "NAME   AGE\nkept   <AGE>\nuid: <UID> in <NS>\n"
    );
    assert_eq!((normal.taken, normal.of), (3 + 36 + 4, said.len()));
    assert!(normal.is_hollow());
    assert!(
        !rules
            .apply("ns01", "what differs stays: 12 34s ns011\n")
            .is_hollow()
    );
    let same = "replicas: 3\n";
    assert_eq!(rules.apply("ns01", same).text, same);
}
