//! What a chain starts with, read from TOML and checked before anything is built.
//!
//! Every error names the field and, in a list, which entry it is. Nothing here touches state.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::LazyLock;

use serde::Deserialize;
use sp_core::crypto::{DEV_PHRASE, ExposeSecret as _, SecretUri, Ss58Codec as _};
use sp_core::{Pair as _, sr25519};

use crate::runtime::AccountId;
pub use crate::runtime::fees::Fees;

/// The development network.
const DEFAULT: &str = include_str!("../genesis.toml");

/// The least balance an account may have, in rao.
const EXISTENTIAL_DEPOSIT: u64 = 500;

/// What a chain starts with. The default is the development network of `genesis.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Milliseconds between blocks; 0 makes a block only when asked.
    pub block_time_ms: u64,
    /// The account that may call `Sudo.sudo`.
    pub sudo: [u8; 32],
    /// The weight of root TAO, a part of `u64::MAX`.
    pub tao_weight: u64,
    /// The stake weight in rao below which a validator does not count.
    pub stake_threshold: u64,
    /// Whether epochs run by themselves. If not, permits and what epochs write stay as they are set.
    pub epochs: bool,
    /// What calls cost.
    pub fees: Fees,
    pub accounts: Vec<Account>,
    pub subnets: Vec<Subnet>,
    /// Uids of a subnet are given in this order.
    pub neurons: Vec<Neuron>,
}

/// An account with a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub account: [u8; 32],
    /// Rao.
    pub balance: u64,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Not 0, which is root.
    pub netuid: u16,
    /// Blocks per epoch.
    pub tempo: u16,
    pub owner_coldkey: [u8; 32],
    pub owner_hotkey: [u8; 32],
}

/// A neuron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neuron {
    pub netuid: u16,
    pub hotkey: [u8; 32],
    pub coldkey: [u8; 32],
    /// Alpha rao staked on the hotkey.
    pub alpha: u64,
    /// Root TAO rao staked on the hotkey.
    pub root: u64,
    pub validator_permit: bool,
    /// Where it serves. Unlike `serve_axon`, a genesis may name the loopback address.
    pub axon: Option<SocketAddr>,
}

/// Why a genesis was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not TOML, or not of the right shape.
    #[error("the genesis is not readable")]
    Toml(#[from] toml::de::Error),
    /// Neither a secret URI nor an ss58 address.
    #[error("{field} is neither a secret URI nor an ss58 address: {value:?}")]
    Key { field: String, value: String },
    /// A value that cannot be.
    #[error("{field} {reason}")]
    Value { field: String, reason: String },
}

impl Default for Genesis {
    fn default() -> Self {
        DEFAULT.parse().expect("a test reads the embedded genesis")
    }
}

impl std::str::FromStr for Genesis {
    type Err = GenesisError;

    /// Reads and checks a genesis in TOML.
    fn from_str(text: &str) -> Result<Self, GenesisError> {
        let file: GenesisFile = toml::from_str(text)?;
        let genesis = file.resolve()?;
        genesis.check()?;
        Ok(genesis)
    }
}

/// The public key of a secret URI (`//Alice`) or an ss58 address. `None` if it is neither.
///
/// Bare hex is refused, because a URI takes it for a secret and a reader takes it for a public key.
pub fn public_key(text: &str) -> Option<[u8; 32]> {
    if text.is_empty() || text.starts_with("0x") {
        return None;
    }
    if let Ok(account) = AccountId::from_ss58check(text) {
        return Some(account.into());
    }
    let uri: SecretUri = text.parse().ok()?;
    let pair = if uri.password.is_none() && uri.phrase.expose_secret() == DEV_PHRASE {
        DEV_ROOT.derive(uri.junctions.into_iter(), None).ok()?.0
    } else {
        sr25519::Pair::from_string(text, None).ok()?
    };
    Some(pair.public().0)
}

/// The root of all dev keys. To make it from its phrase takes thousands of hashes, so that is done once.
static DEV_ROOT: LazyLock<sr25519::Pair> = LazyLock::new(|| {
    let (pair, _) = sr25519::Pair::from_phrase(DEV_PHRASE, None).expect("the dev phrase is a mnemonic");
    pair
});

impl Genesis {
    /// Refuses what the chain could not hold.
    pub(crate) fn check(&self) -> Result<(), GenesisError> {
        let mut accounts = HashSet::new();
        let mut issued: u64 = 0;
        for (i, account) in self.accounts.iter().enumerate() {
            if !accounts.insert(account.account) {
                return Err(refused(format!("accounts[{i}].account"), "is listed before"));
            }
            if account.balance < EXISTENTIAL_DEPOSIT {
                let reason = format!("is below the existential deposit of {EXISTENTIAL_DEPOSIT} rao");
                return Err(refused(format!("accounts[{i}].balance"), reason));
            }
            issued = issued.checked_add(account.balance).ok_or_else(|| {
                refused(
                    format!("accounts[{i}].balance"),
                    "makes all balances together exceed 2^64 - 1 rao",
                )
            })?;
        }
        let mut subnets = HashSet::new();
        for (i, subnet) in self.subnets.iter().enumerate() {
            if subnet.netuid == 0 {
                return Err(refused(format!("subnets[{i}].netuid"), "is 0, which is root"));
            }
            if !subnets.insert(subnet.netuid) {
                return Err(refused(format!("subnets[{i}].netuid"), "is listed before"));
            }
        }
        let mut hotkeys = HashSet::new();
        let mut uids = HashMap::new();
        for (i, neuron) in self.neurons.iter().enumerate() {
            if !subnets.contains(&neuron.netuid) {
                let reason = format!("names subnet {}, which is not listed", neuron.netuid);
                return Err(refused(format!("neurons[{i}].netuid"), reason));
            }
            if !hotkeys.insert((neuron.netuid, neuron.hotkey)) {
                return Err(refused(
                    format!("neurons[{i}].hotkey"),
                    "is registered on the subnet before",
                ));
            }
            let registered = uids.entry(neuron.netuid).or_insert(0);
            *registered += 1;
            if *registered > 256 {
                return Err(refused(
                    format!("neurons[{i}]"),
                    "is the 257th of its subnet, which has 256 uids",
                ));
            }
        }
        Ok(())
    }
}

fn refused(field: String, reason: impl Into<String>) -> GenesisError {
    GenesisError::Value {
        field,
        reason: reason.into(),
    }
}

fn key(field: impl Into<String>, value: String) -> Result<[u8; 32], GenesisError> {
    match public_key(&value) {
        Some(key) => Ok(key),
        None => Err(GenesisError::Key {
            field: field.into(),
            value,
        }),
    }
}

/// The file as written: keys are text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisFile {
    block_time_ms: u64,
    sudo: String,
    tao_weight: u64,
    stake_threshold: u64,
    #[serde(default)]
    epochs: bool,
    #[serde(default)]
    fees: Fees,
    #[serde(default)]
    accounts: Vec<AccountEntry>,
    #[serde(default)]
    subnets: Vec<SubnetEntry>,
    #[serde(default)]
    neurons: Vec<NeuronEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountEntry {
    account: String,
    balance: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubnetEntry {
    netuid: u16,
    tempo: u16,
    owner_coldkey: String,
    owner_hotkey: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NeuronEntry {
    netuid: u16,
    hotkey: String,
    coldkey: String,
    #[serde(default)]
    alpha: u64,
    #[serde(default)]
    root: u64,
    #[serde(default)]
    validator_permit: bool,
    axon: Option<SocketAddr>,
}

impl GenesisFile {
    fn resolve(self) -> Result<Genesis, GenesisError> {
        let accounts = self.accounts.into_iter().enumerate().map(|(i, entry)| {
            Ok(Account {
                account: key(format!("accounts[{i}].account"), entry.account)?,
                balance: entry.balance,
            })
        });
        let subnets = self.subnets.into_iter().enumerate().map(|(i, entry)| {
            Ok(Subnet {
                netuid: entry.netuid,
                tempo: entry.tempo,
                owner_coldkey: key(format!("subnets[{i}].owner_coldkey"), entry.owner_coldkey)?,
                owner_hotkey: key(format!("subnets[{i}].owner_hotkey"), entry.owner_hotkey)?,
            })
        });
        let neurons = self.neurons.into_iter().enumerate().map(|(i, entry)| {
            Ok(Neuron {
                netuid: entry.netuid,
                hotkey: key(format!("neurons[{i}].hotkey"), entry.hotkey)?,
                coldkey: key(format!("neurons[{i}].coldkey"), entry.coldkey)?,
                alpha: entry.alpha,
                root: entry.root,
                validator_permit: entry.validator_permit,
                axon: entry.axon,
            })
        });
        Ok(Genesis {
            block_time_ms: self.block_time_ms,
            sudo: key("sudo", self.sudo)?,
            tao_weight: self.tao_weight,
            stake_threshold: self.stake_threshold,
            epochs: self.epochs,
            fees: self.fees,
            accounts: accounts.collect::<Result<_, GenesisError>>()?,
            subnets: subnets.collect::<Result<_, GenesisError>>()?,
            neurons: neurons.collect::<Result<_, GenesisError>>()?,
        })
    }
}
