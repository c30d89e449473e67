/// Which version of the contract this package is.
///
/// Shared objects carry the version that wrote them. A new package raises this number, and objects of the old one are refused
/// until they are migrated, so that two packages never write the same object.
module k3s_daas::version;

/// The contract version of this package.
const VERSION: u64 = 1;

/// The contract version of this package.
public(package) fun current(): u64 { VERSION }
