//! The contract alone: decide, evolve and encode typical requests. Without signatures, and with each caller's
//! signature verified in batches, beside what the signature library alone needs for the same batches.

#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ed25519_consensus::{SigningKey, VerificationKeyBytes, batch};
use k3s_daas::contract::Call;
use k3s_daas::crypto::{BatchVerifier, Ed25519Signer, PublicKey, Signature, sha256};
use k3s_daas::wire::to_bcs;
use k3s_daas_benches::{World, machine, median, save};
use rand_core::OsRng;
use serde_json::json;

fn main() -> Result<()> {
    let mut rounds = Vec::new();
    for senders in [COUNT, 1].repeat(ROUNDS) {
        let calls = Calls::new(senders)?;
        let [unsigned, verified, library] = rates([
            &|| calls.applied(),
            &|| calls.verified_and_applied(),
            &|| calls.verified_by_the_library(),
        ])?;
        let ratio = verified / library;
        println!(
            "apply + BCS: {unsigned:.0}/s; with signatures of {senders}, {BATCH} a batch: {verified:.0}/s; ed25519-consensus alone: \
             {library:.0}/s; ratio {ratio:.2}"
        );
        rounds.push(json!({
            "senders": senders,
            "unsigned": unsigned,
            "with_signatures": verified,
            "signatures_alone": library,
            "ratio": ratio,
        }));
    }
    let report = json!({"machine": machine(), "batch": BATCH, "rounds": rounds});
    println!("raw results: {}", save("contract-bench.json", &report)?);
    Ok(())
}

/// Typical requests, each with the signature of its sender.
struct Calls {
    calls: Vec<Call>,
    signed: Vec<Signed>,
}

struct Signed {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

impl Calls {
    /// Of so many senders in turns; of one, its key counts once in a batch.
    fn new(senders: usize) -> Result<Self> {
        let world = World::new();
        let calls: Vec<_> = (0..COUNT).map(|_| world.typical_request()).collect();
        let sign = |(index, call): (usize, &Call)| {
            let seed = sha256(&[&(index % senders).to_be_bytes()]);
            let signer = Ed25519Signer::from_seed(seed);
            let message = to_bcs(call);
            // Deterministic in both, so the library verifies what ours has signed.
            let same = SigningKey::from(seed).sign(&message).to_bytes();
            let signature = signer.sign_now(&message);
            ensure!(signature.as_bytes() == &same, "other signatures");
            Ok(Signed {
                key: signer.public_key(),
                message,
                signature,
            })
        };
        let signed = calls.iter().enumerate().map(sign).collect::<Result<_>>()?;
        Ok(Self { calls, signed })
    }

    /// How long all of them take, and so below.
    fn applied(&self) -> Result<Duration> {
        let mut world = World::new();
        let begin = Instant::now();
        let bytes: usize = self
            .calls
            .iter()
            .map(|call| encoded(&mut world, call))
            .sum();
        let took = begin.elapsed();
        ensure!(bytes > 0, "nothing was encoded");
        Ok(took)
    }

    fn verified_and_applied(&self) -> Result<Duration> {
        let mut world = World::new();
        let begin = Instant::now();
        let mut bytes = 0;
        for (calls, signed) in self.calls.chunks(BATCH).zip(self.signed.chunks(BATCH)) {
            let mut signatures = BatchVerifier::new();
            for Signed {
                key,
                message,
                signature,
            } in signed
            {
                signatures.push(key, message, signature);
            }
            signatures.verify()?;
            bytes += calls
                .iter()
                .map(|call| encoded(&mut world, call))
                .sum::<usize>();
        }
        let took = begin.elapsed();
        ensure!(bytes > 0, "nothing was encoded");
        Ok(took)
    }

    fn verified_by_the_library(&self) -> Result<Duration> {
        let begin = Instant::now();
        for signed in self.signed.chunks(BATCH) {
            let mut signatures = batch::Verifier::new();
            for Signed {
                key,
                message,
                signature,
            } in signed
            {
                let key = VerificationKeyBytes::from(*key.as_bytes());
                signatures.queue((key, (*signature.as_bytes()).into(), message));
            }
            signatures.verify(OsRng)?;
        }
        Ok(begin.elapsed())
    }
}

/// Applies a call; the length of the event that came of it.
fn encoded(world: &mut World, call: &Call) -> usize {
    to_bcs(&world.apply(call)).len()
}

/// Calls a second, of the median of several runs of each, in turns.
fn rates<const N: usize>(runs: [&dyn Fn() -> Result<Duration>; N]) -> Result<[f64; N]> {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..RUNS {
        for (run, times) in runs.iter().zip(&mut times) {
            times.push(run()?);
        }
    }
    let mut rates = [0.0; N];
    for (times, rate) in times.into_iter().zip(&mut rates) {
        *rate = COUNT as f64 / median(times)?.as_secs_f64();
    }
    Ok(rates)
}

/// As many as one token may have unanswered.
const COUNT: usize = 1_000;
const BATCH: usize = 256;
const RUNS: usize = 31;
const ROUNDS: usize = 3;
