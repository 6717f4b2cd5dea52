//! What a neuron signs to be given a key.
use violet_chain::{Coldkey, Hotkey};

/// Whose operations a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "neuron_kind", rename_all = "snake_case")]
pub enum NeuronKind {
    /// Those of miners.
    Miner,
    /// Those of validators.
    Validator,
}

impl NeuronKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Miner, Self::Validator];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Miner => "miner",
            Self::Validator => "validator",
        }
    }
}

/// Who wants a key, for what, and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// For whose operations.
    pub kind: NeuronKind,
    /// The subnet.
    pub netuid: u16,
    /// The server that shall give it.
    pub server: Hotkey,
    /// Who signs.
    pub hotkey: Hotkey,
    /// Its owner.
    pub coldkey: Coldkey,
    /// Its place.
    pub uid: u16,
    /// What it calls the chain.
    pub network: String,
}

/// A wish at one time, told from every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What it is about.
    pub wish: Wish,
    /// 32 hex digits.
    pub random: String,
    /// Unix time in seconds.
    pub expires: u64,
}

const LONGEST_NETWORK: usize = 64;
const SEPARATOR: &str = "; ";

impl Challenge {
    /// Whether this can be the name of a network: it is a part of a text with separators.
    pub fn is_network(name: &str) -> bool {
        (1..=LONGEST_NETWORK).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte))
    }

    /// A sentence for whoever is asked to sign it. It begins with no `0x`, which Python's wallets would take for hex.
    pub fn text(&self) -> String {
        let Self {
            wish,
            random,
            expires,
        } = self;
        let Wish {
            kind,
            netuid,
            server,
            hotkey,
            coldkey,
            uid,
            network,
        } = wish;
        let kind = kind.name();
        format!(
            "violet enrolment: give a {kind} key to hotkey {hotkey} of coldkey {coldkey}, uid {uid} on subnet {netuid} \
             of {network}, at server {server}{SEPARATOR}{random}{SEPARATOR}expires {expires}"
        )
    }

    /// The same with its seal, as it is sent and signed.
    pub fn sealed(&self, seal: [u8; 32]) -> String {
        format!("{}{SEPARATOR}{}", self.text(), hex::encode(seal))
    }

    /// Reads what [`Self::sealed`] wrote, if it is about this wish; the seal is still to be compared.
    pub fn read(text: &str, wish: Wish) -> Option<(Self, [u8; 32])> {
        let mut parts = text.rsplit(SEPARATOR);
        let seal: [u8; 32] = hex::decode(parts.next()?).ok()?.try_into().ok()?;
        let expires = parts.next()?.strip_prefix("expires ")?.parse().ok()?;
        let random = parts.next()?.to_owned();
        let challenge = Self {
            wish,
            random,
            expires,
        };
        (challenge.sealed(seal) == text).then_some((challenge, seal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            kind: NeuronKind::Miner,
            netuid: 1,
            server: Hotkey([1; 32]),
            hotkey: Hotkey([2; 32]),
            coldkey: Coldkey([3; 32]),
            uid: 4,
            network: "finney".into(),
        }
    }

    #[test]
    fn a_challenge_is_read_back_for_its_own_wish_only() {
        let challenge = Challenge {
            wish: wish(),
            random: "ab".repeat(16),
            expires: 1_800_000_000,
        };
        let text = challenge.sealed([7; 32]);
        assert!(!text.starts_with("0x"));
        assert_eq!(Challenge::read(&text, wish()), Some((challenge, [7; 32])));
        let others: [fn(&mut Wish); 7] = [
            |wish| wish.kind = NeuronKind::Validator,
            |wish| wish.netuid = 2,
            |wish| wish.server = Hotkey([9; 32]),
            |wish| wish.hotkey = Hotkey([9; 32]),
            |wish| wish.coldkey = Coldkey([9; 32]),
            |wish| wish.uid = 5,
            |wish| wish.network = "test".into(),
        ];
        for change in others {
            let mut other = wish();
            change(&mut other);
            assert_eq!(Challenge::read(&text, other), None);
        }
        for wrong in [
            text.replace("expires 18", "expires 018"),
            format!("{text} "),
            text.to_uppercase(),
            String::new(),
            "; ; ; ".into(),
        ] {
            assert_eq!(Challenge::read(&wrong, wish()), None, "{wrong}");
        }
    }

    #[test]
    fn a_network_is_a_short_word() {
        for good in ["finney", "test", "ws://127.0.0.1:9944", &"a".repeat(64)] {
            assert!(Challenge::is_network(good), "{good}");
        }
        for bad in ["", "a; b", "a b", "é", &"a".repeat(65)] {
            assert!(!Challenge::is_network(bad), "{bad}");
        }
    }
}
