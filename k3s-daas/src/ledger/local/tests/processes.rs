//! Several processes at once, some of which are killed.
//!
//! The processes are this test binary again, running [`child`] alone.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::*;
use crate::audit;
use crate::ledger::Cursor;
use crate::types::Digest;

/// What a child does, how it is told, and nothing if it was not.
#[tokio::test]
async fn child() {
    let Ok(role) = env::var(ROLE) else {
        return;
    };
    let told = |name: &str| env::var(name).unwrap();
    let seed: [u8; 32] = hex::decode(told(SEED)).unwrap().try_into().unwrap();
    let key = Ed25519Signer::from_seed(seed);
    let token: TokenId = told(TOKEN).parse().unwrap();
    let ledger = LocalLedger::open(told(DIR), signer(&key)).unwrap();
    let path = told(OUTPUT);
    let mut output = open_output(&path);
    let work = async {
        match role.as_str() {
            "writer" => write_for_ever(&ledger, token, &mut output).await,
            "follower" => follow_for_ever(&ledger, &path, &mut output).await,
            other => panic!("no role `{other}`"),
        }
    };
    // Nobody waits so long: whoever started it is gone.
    let _ = tokio::time::timeout(Duration::from_secs(60), work).await;
}

/// A process that does not outlive the test, also when that fails.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A child's output without the line that the last kill has cut short.
fn open_output(path: &str) -> File {
    let output = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    let whole = whole_lines(path).len() as u64;
    output.set_len(whole).unwrap();
    output
}

/// What a child has written, up to the end of its last whole line: a kill may come between a
/// write's pages, and one that was cut was not acknowledged to anybody.
fn whole_lines(path: impl AsRef<Path>) -> String {
    let mut text = fs::read_to_string(path).unwrap();
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

/// Writes down each call after it was acknowledged.
async fn write_for_ever(ledger: &LocalLedger, token: TokenId, output: &mut File) {
    for round in 0_u64.. {
        let calls = (0..8).map(|index| {
            let call = match (round + index) % 3 {
                0 => Call::RecordRefusals {
                    cluster: ledger.view(|snapshot| snapshot.state.token(token).unwrap().cluster),
                    token,
                    code: 6,
                    count: 1,
                    from_ms: 0,
                    to_ms: 1,
                },
                _ => deposit(token),
            };
            ledger.call(call)
        });
        for receipt in futures_util::future::join_all(calls).await {
            let receipt = receipt.unwrap();
            let cursor = receipt.events[0].cursor;
            let line = format!("{} {cursor}\n", receipt.call);
            output.write_all(line.as_bytes()).unwrap();
        }
        if round % 16 == 0 {
            ledger.sign_head().await.unwrap();
        }
    }
}

/// Writes down each event, and goes on after the last that it wrote down when it is started again.
async fn follow_for_ever(ledger: &LocalLedger, path: &str, output: &mut File) {
    let seen = whole_lines(path);
    let cursor = seen.lines().last().map_or(Cursor::START, |line| {
        line.split_once(' ').unwrap().1.parse().unwrap()
    });
    let mut events = ledger.events(cursor);
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        let line = format!("{} {}\n", event.call, event.cursor);
        output.write_all(line.as_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_processes_are_killed() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let outputs = tempfile::tempdir().unwrap();
    let start = |role: &str, index: usize| -> (Killed, PathBuf) {
        let output = outputs.path().join(format!("{role}-{index}"));
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture"])
            .env(ROLE, role)
            .env(SEED, hex::encode(*key.seed()))
            .env(TOKEN, token.to_string())
            .env(DIR, dir.path())
            .env(OUTPUT, &output)
            .stdout(Stdio::null())
            .stderr(File::create(outputs.path().join(format!("{role}-{index}.err"))).unwrap())
            .spawn()
            .unwrap();
        (Killed(child), output)
    };
    let roles = ["writer", "writer", "writer", "follower", "follower"];
    let mut children: Vec<_> = (0..roles.len())
        .map(|index| start(roles[index], index))
        .collect();
    let mut own = ledger.events(Cursor::START);
    let until = Instant::now() + Duration::from_secs(6);
    let mut kills = 0_usize;
    let mut of_own = 0;
    while Instant::now() < until {
        let pause = tokio::time::sleep(Duration::from_millis(150 + 37 * (kills as u64 % 5)));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                event = own.next() => {
                    of_own += 1;
                    assert_eq!(event.unwrap().unwrap().cursor.major, of_own);
                }
            }
        }
        let victim = kills * 7 % roles.len();
        let (child, _) = &mut children[victim];
        assert_eq!(
            child.0.try_wait().unwrap(),
            None,
            "{} died by itself: {}",
            roles[victim],
            fs::read_to_string(
                outputs
                    .path()
                    .join(format!("{}-{victim}.err", roles[victim]))
            )
            .unwrap()
        );
        child.kill();
        children[victim] = start(roles[victim], victim);
        kills += 1;
    }
    for (index, (child, _)) in children.iter_mut().enumerate() {
        if roles[index] == "writer" {
            child.kill();
        }
    }
    let end = ledger.sync().await.unwrap().major;
    // The followers get what is left, without anybody writing any more.
    let patience = Instant::now() + Duration::from_secs(10);
    let seen = |index: usize| whole_lines(&children[index].1);
    while [3, 4]
        .iter()
        .any(|index| (seen(*index).lines().count() as u64) < end)
    {
        assert!(Instant::now() < patience, "a follower is behind");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for index in [3, 4] {
        let seen = seen(index);
        for (expected, line) in (1..).zip(seen.lines()) {
            let cursor: u64 = line.split_once(' ').unwrap().1.parse().unwrap();
            assert_eq!(cursor, expected, "follower {index}");
        }
    }
    for (child, _) in &mut children[3..] {
        child.kill();
    }

    let mut acknowledged = HashSet::new();
    for (_, output) in &children[..3] {
        for line in whole_lines(output).lines() {
            let (digest, cursor) = line.split_once(' ').unwrap();
            let digest: Digest = digest.parse().unwrap();
            assert!(acknowledged.insert(digest), "one call, one place");
            let receipt = ledger.receipt(digest).await.unwrap().unwrap();
            assert_eq!(receipt.events[0].cursor.to_string(), cursor);
        }
    }
    assert!(
        kills > 10 && acknowledged.len() > 100,
        "{kills} kills, {} calls",
        acknowledged.len()
    );
    let report = audit::verify(dir.path(), &audit::Options::default()).unwrap();
    assert_eq!(report.broken, None);
    assert_eq!(report.events, end);
    let bonded = ledger.view(|snapshot| snapshot.state.token(token).unwrap().bonded);
    let balance = ledger.balance(ledger.account()).await.unwrap();
    assert_eq!(bonded + balance, 10 * MIST_PER_SUI);
    drop(ledger);
    LocalLedger::open(dir.path(), signer(&key)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_are_woken() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let other = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    let mut events = other.events(other.sync().await.unwrap());
    let mut delays = Vec::new();
    for _ in 0..21 {
        ledger.call(deposit(token)).await.unwrap();
        let called = Instant::now();
        events.next().await.unwrap().unwrap();
        delays.push(called.elapsed());
    }
    delays.sort();
    assert!(delays[10] < Duration::from_millis(50), "{:?}", delays[10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_is_lost_is_made_up_for() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let other = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    let mut events = other.events(other.sync().await.unwrap());
    for socket in fs::read_dir(dir.path().join("followers")).unwrap() {
        fs::remove_file(socket.unwrap().path()).unwrap();
    }
    ledger.call(deposit(token)).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(3), events.next()).await;
    event.expect("the re-check finds it").unwrap().unwrap();
}

#[tokio::test]
async fn sockets_of_the_dead_are_removed() {
    let (ledger, _, dir) = new_ledger().await;
    let followers = dir.path().join("followers");
    let dead = followers.join("1-dead");
    drop(std::os::unix::net::UnixDatagram::bind(&dead).unwrap());
    assert!(dead.exists());
    new_token(&ledger).await;
    let patience = Instant::now() + Duration::from_secs(3);
    while dead.exists() {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fs::read_dir(&followers).unwrap().count(), 1, "its own");
    drop(ledger);
    while fs::read_dir(&followers).unwrap().count() > 0 {
        assert!(Instant::now() < patience, "its thread ends with it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_path_may_be_longer_than_a_sockets_address() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("d".repeat(60)).join("e".repeat(60));
    let key = Ed25519Signer::generate();
    let ledger = LocalLedger::create(&dir, Genesis::new(Vec::new()), signer(&key))
        .await
        .unwrap();
    assert_eq!(fs::read_dir(dir.join("followers")).unwrap().count(), 1);
    new_token(&ledger).await;
}

const CHILD: &str = "ledger::local::tests::processes::child";
const ROLE: &str = "DAAS_TEST_ROLE";
const SEED: &str = "DAAS_TEST_SEED";
const TOKEN: &str = "DAAS_TEST_TOKEN";
const DIR: &str = "DAAS_TEST_DIR";
const OUTPUT: &str = "DAAS_TEST_OUTPUT";
