/// Which version of the contract this package is.
///
/// Clusters and tokens carry the version that they were made or migrated by. A new package raises this number; objects of another
/// version are refused until they are migrated, so that the checks of two packages never apply to one of them.
///
/// What nobody may be kept from looks at no version: leaving with one's stake, and pruning. A package that was replaced stays
/// callable, so its `unstake`, `withdraw_stake`, `prune_responses` and their like also work on objects of later versions, by
/// its own rules. A later package must still be sound beside them.
module k3s_daas::version;

/// The contract version of this package.
const VERSION: u64 = 1;

/// The contract version of this package.
public(package) fun current(): u64 { VERSION }
