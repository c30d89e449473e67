//! The order of checks: of two that fail, the first decides.

use k3s_daas::contract::{Call, Code};
use k3s_daas::types::Address;

use super::world::{World, signature_of};

/// A call that would pass, until something is broken about it.
pub(super) struct Case {
    pub(super) world: World,
    pub(super) sender: Address,
    pub(super) call: Call,
    /// Whether the signature will be wrong.
    pub(super) forged: bool,
}

impl Case {
    pub(super) fn new(world: World, sender: Address, call: Call) -> Self {
        Self {
            world,
            sender,
            call,
            forged: false,
        }
    }

    /// Signs, forges if it shall, applies, and says what came of it.
    pub(super) fn run(mut self) -> (World, Option<Code>) {
        self.world.sign(&mut self.call);
        if let Some(signature) = signature_of(&mut self.call)
            && self.forged
        {
            signature.0[40] ^= 1;
        }
        let before = self.world.state.clone();
        let code = self.world.code(self.sender, &self.call);
        if code.is_some() {
            assert_eq!(self.world.state, before);
        }
        (self.world, code)
    }
}

/// One way to make a call fail a check.
pub(super) type Break = (Code, fn(&mut Case));

/// Holds each check alone, and every two of them together, against their order.
pub(super) fn assert_order(fresh: fn() -> Case, breaks: &[Break]) {
    let case = fresh();
    let name = case.call.name();
    assert_eq!(case.run().1, None, "{name} passes unbroken");
    for (i, (first, break_first)) in breaks.iter().enumerate() {
        let mut case = fresh();
        break_first(&mut case);
        assert_eq!(case.run().1, Some(*first), "{name}: break {i} alone");
        for (j, (second, break_second)) in breaks.iter().enumerate().skip(i + 1) {
            // In both orders of breaking, should one breaking touch what the other does.
            let mut case = fresh();
            break_first(&mut case);
            break_second(&mut case);
            let code = case.run().1;
            let mut case = fresh();
            break_second(&mut case);
            break_first(&mut case);
            let swapped = case.run().1;
            assert!(
                code == Some(*first) || swapped == Some(*first),
                "{name}: {first} ({i}) before {second} ({j}), got {code:?} and {swapped:?}"
            );
        }
    }
}
