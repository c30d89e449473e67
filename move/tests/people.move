/// Who sends what in tests.
#[test_only]
module k3s_daas::people;

use sui::tx_context;

public fun admin(): address { @0xad }

public fun owner(): address { @0x0e }

public fun delegate(): address { @0xde }

public fun operator(): address { @0x09 }

public fun stranger(): address { @0x51 }

/// A transaction of this sender.
public fun ctx(sender: address): TxContext { ctx_of(sender, 99) }

/// A transaction of this sender whose new objects have IDs of their own.
public fun ctx_of(sender: address, transaction: u64): TxContext {
    tx_context::new_from_hint(sender, transaction, 0, 0, 0)
}
