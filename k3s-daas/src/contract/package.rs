//! The compiled Move package, so that publishing it needs no Move toolchain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use crate::crypto::blake2b256;
use crate::types::{Address, Digest};

/// What a publish transaction carries: the package `k3s_daas` as Sui's compiler makes it of `move/`.
///
/// Its own address is zero in the bytecode, as publishing wants it.
///
/// ```
/// let package = k3s_daas::contract::MovePackage::shipped();
/// assert!(package.is_genuine());
/// assert!(package.modules.iter().map(Vec::len).sum::<usize>() < 102_400);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct MovePackage {
    /// Bytecode of each module, in an order in which each stands after those that it uses.
    #[serde(deserialize_with = "base64_each")]
    pub modules: Vec<Vec<u8>>,
    /// The packages that it is linked against: the Move standard library and Sui's framework.
    pub dependencies: Vec<Address>,
    /// Sui's digest of a package; the ticket of an upgrade names it.
    pub digest: Digest,
    /// What Sui counts towards its limit of 102,400, in bytes.
    pub size: u64,
}

impl MovePackage {
    /// The package of this version of the crate.
    ///
    /// # Panics
    /// Never: the file is part of the crate and its tests read it.
    #[must_use]
    pub fn shipped() -> Self {
        serde_json::from_str(include_str!("package.json"))
            .expect("the crate's own file is of this form")
    }

    /// Whether the digest is that of modules and dependencies, in whichever order they stand.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        let modules = self
            .modules
            .iter()
            .map(|module| *blake2b256(&[module]).as_bytes());
        let dependencies = self.dependencies.iter().map(|package| *package.as_bytes());
        let mut parts: Vec<[u8; 32]> = modules.chain(dependencies).collect();
        parts.sort_unstable();
        let parts: Vec<&[u8]> = parts.iter().map(<[u8; 32]>::as_slice).collect();
        blake2b256(&parts) == self.digest
    }
}

fn base64_each<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let bytes = texts.iter().map(|text| STANDARD.decode(text));
    bytes
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_of_each_byte_and_of_no_order() {
        let package = MovePackage::shipped();
        assert!(package.is_genuine());

        let mut turned = package.clone();
        turned.modules.reverse();
        turned.dependencies.reverse();
        assert!(turned.is_genuine());

        let mut other = package.clone();
        other.modules[3][100] ^= 1;
        assert!(!other.is_genuine(), "a byte of a module");
        let mut other = package.clone();
        other.dependencies[1] = "0x3".parse().unwrap_or_default();
        assert!(!other.is_genuine(), "a dependency");
        let mut other = package;
        other.modules.pop();
        assert!(!other.is_genuine(), "a module less");
    }

    #[test]
    fn it_is_a_package_that_sui_takes() {
        let package = MovePackage::shipped();
        assert!(package.size < MAX_PACKAGE_BYTES, "{}", package.size);
        assert_eq!(package.modules.len(), MODULES);
        for module in &package.modules {
            assert_eq!(module[..4], MAGIC);
        }
        let framework = ["0x1", "0x2"].map(|id| id.parse::<Address>().unwrap_or_default());
        assert_eq!(package.dependencies, framework);
    }

    // Sui's limit of `max_move_package_size`.
    const MAX_PACKAGE_BYTES: u64 = 102_400;
    const MODULES: usize = 23;
    // How each compiled Move module begins.
    const MAGIC: [u8; 4] = [0xa1, 0x1c, 0xeb, 0x0b];
}
