//! Signed extrinsics (version 4), composed by name: calls, arguments and extensions as the live metadata lists them.
//! An extension that is unknown and carries data is refused by name; nothing is guessed.

use codec::{Compact, Encode as _};
use subxt::ext::scale_value::Value;
use subxt::ext::scale_value::scale::encode_as_type;

use crate::error::Error;
use crate::keys::Keypair;
use crate::runtime::Runtime;
use crate::shape::is_empty;
use crate::surface::{Kind, expect_listed, lists};
use crate::types::{BlockHash, BlockRef, CryptoType};

/// For how many blocks an extrinsic may be included: 13 minutes on a public chain. A power of two.
pub(crate) const LIFE: u32 = 64;
/// Signed, version 4.
const SIGNED_4: u8 = 0x84;
/// A payload that is longer is hashed before it is signed.
const LONGEST_PAYLOAD: usize = 256;

/// A call by name, its arguments by name.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) pallet: &'static str,
    pub(crate) name: &'static str,
    arguments: Vec<(&'static str, Value)>,
}

/// What is signed beside the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) transaction_version: u32,
    pub(crate) genesis: BlockHash,
    /// The block from which on it may be included.
    pub(crate) born: BlockRef,
    pub(crate) nonce: u32,
}

/// An extrinsic ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) bytes: Vec<u8>,
    /// What a node names it by.
    pub(crate) hash: [u8; 32],
}

impl Call {
    pub(crate) fn new<const N: usize>(
        pallet: &'static str,
        name: &'static str,
        arguments: [(&'static str, Value); N],
    ) -> Self {
        Self {
            pallet,
            name,
            arguments: arguments.into(),
        }
    }

    pub(crate) fn with(mut self, argument: &'static str, value: Value) -> Self {
        self.arguments.push((argument, value));
        self
    }

    /// Another call with the same arguments.
    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn item(&self) -> String {
        format!("{}.{}", self.pallet, self.name)
    }
}

/// A list of numbers.
pub(crate) fn numbers(values: impl IntoIterator<Item = u16>) -> Value {
    Value::unnamed_composite(values.into_iter().map(|value| Value::u128(value.into())))
}

impl Runtime {
    pub(crate) fn has_call(&self, pallet: &str, name: &str) -> bool {
        expect_listed(Kind::Call, || format!("{pallet}.{name}"));
        let pallet = self.metadata.pallet_by_name(pallet);
        pallet.is_some_and(|pallet| pallet.call_variant_by_name(name).is_some())
    }

    /// The call in SCALE. A runtime that asks for other arguments than there are is an error that names them.
    pub(crate) fn call_data(&self, call: &Call) -> Result<Vec<u8>, Error> {
        expect_listed(Kind::Call, || call.item());
        let missing = || self.missing(call.item());
        let pallet = self.metadata.pallet_by_name(call.pallet).ok_or_else(missing)?;
        let variant = pallet.call_variant_by_name(call.name).ok_or_else(missing)?;
        let asked: Vec<&str> = variant
            .fields
            .iter()
            .map(|field| field.name.as_deref().unwrap_or_default())
            .collect();
        let given = |name: &str| call.arguments.iter().find(|(given, _)| *given == name);
        if asked.len() != call.arguments.len() || !asked.iter().all(|name| given(name).is_some()) {
            let wrong = format!("its arguments are {}", asked.join(", "));
            return Err(self.decode_error(call.item(), wrong));
        }
        let mut bytes = vec![pallet.call_index(), variant.index];
        for (field, name) in variant.fields.iter().zip(asked) {
            if let Some((_, value)) = given(name) {
                encode_as_type(value, field.ty.id, self.metadata.types(), &mut bytes)
                    .map_err(|error| self.decode_error(format!("{}.{name}", call.item()), error))?;
            }
        }
        Ok(bytes)
    }

    /// Signs a call in SCALE.
    pub(crate) fn sign(&self, keypair: &Keypair, call: &[u8], terms: &Terms) -> Result<Signed, Error> {
        let (extra, implicit) = self.extensions(terms)?;
        let mut payload = [call, &extra, &implicit].concat();
        if payload.len() > LONGEST_PAYLOAD {
            payload = sp_core::blake2_256(&payload).into();
        }
        let signer = match keypair.crypto() {
            CryptoType::Ed25519 => 0,
            CryptoType::Sr25519 => 1,
        };
        // `MultiAddress::Id` and `MultiSignature`, whose variants are the same in every runtime.
        let mut body = vec![SIGNED_4, 0];
        body.extend(keypair.hotkey().0);
        body.push(signer);
        body.extend(keypair.sign(&payload));
        body.extend(extra);
        body.extend(call);
        let bytes = body.encode();
        let hash = sp_core::blake2_256(&bytes);
        Ok(Signed { bytes, hash })
    }

    /// What the extensions add to the extrinsic, and to what is signed.
    fn extensions(&self, terms: &Terms) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let missing = || self.missing("extrinsics of version 4".into());
        let extrinsic = self.metadata.extrinsic();
        if !extrinsic.supported_versions().contains(&4) {
            return Err(missing());
        }
        let listed = extrinsic
            .transaction_extensions_by_version(0)
            .ok_or_else(missing)?;
        let types = self.metadata.types();
        let (mut extra, mut implicit) = (Vec::new(), Vec::new());
        for extension in listed {
            let name = extension.identifier();
            if !lists(Kind::Extension, name) {
                if is_empty(types, extension.extra_ty()) && is_empty(types, extension.additional_ty()) {
                    continue;
                }
                return Err(self.unknown_extension(name));
            }
            match name {
                "CheckSpecVersion" => self.spec_version.encode_to(&mut implicit),
                "CheckTxVersion" => terms.transaction_version.encode_to(&mut implicit),
                "CheckGenesis" => terms.genesis.encode_to(&mut implicit),
                "CheckMortality" => {
                    mortal(terms.born.number).encode_to(&mut extra);
                    terms.born.hash.encode_to(&mut implicit);
                }
                "CheckNonce" => Compact(terms.nonce).encode_to(&mut extra),
                // No tip.
                "ChargeTransactionPayment" => Compact(0_u64).encode_to(&mut extra),
                // Disabled, hence no hash.
                "CheckMetadataHash" => {
                    extra.push(0);
                    implicit.push(0);
                }
                name => return Err(self.unknown_extension(name)),
            }
        }
        Ok((extra, implicit))
    }

    fn unknown_extension(&self, name: &str) -> Error {
        Error::Extension {
            name: name.to_owned(),
            spec_version: self.spec_version,
        }
    }
}

/// A mortal era from this block on, as SCALE has it: the period in the low 4 bits, the phase in the others.
fn mortal(born: u32) -> u16 {
    let phase = u16::try_from(born % LIFE).unwrap_or_default();
    let period = u16::try_from(LIFE.trailing_zeros() - 1).unwrap_or_default();
    period | phase << 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Era::mortal(64, 42)` is `[165, 2]` in the documentation of `sp_runtime::generic::Era`; the phase is what is
    /// left of the number.
    #[test]
    fn eras_are_encoded_as_the_chain_does() {
        assert_eq!(mortal(42).encode(), [165, 2]);
        assert_eq!(mortal(64 * 1_000 + 42).encode(), [165, 2]);
        assert_eq!(mortal(0).encode(), [5, 0]);
        assert_eq!(mortal(63).encode(), [0xf5, 3]);
    }
}
