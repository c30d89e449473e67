//! The contract alone: decide, evolve and encode a typical request, without signatures.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use k3s_daas::wire::to_bcs;
use k3s_daas_benches::World;

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contract");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("apply + BCS of a typical request", |bencher| {
        bencher.iter_batched(
            || {
                let world = World::new();
                let calls: Vec<_> = (0..BATCH).map(|_| world.typical_request()).collect();
                (world, calls)
            },
            |(mut world, calls)| {
                calls
                    .iter()
                    .map(|call| to_bcs(&world.apply(call)).len())
                    .sum::<usize>()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// As many as one token may have unanswered.
const BATCH: u64 = 1_000;

criterion_group!(benches, apply);
criterion_main!(benches);
