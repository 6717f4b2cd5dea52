//! What happened to the neurons of a subnet between two snapshots.
use std::collections::{BTreeMap, BTreeSet};

use violet_chain::{Coldkey, Hotkey};

/// What is followed of a neuron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its place in the subnet.
    pub uid: u16,
    /// Its identity.
    pub hotkey: Hotkey,
    /// Who owns it.
    pub coldkey: Coldkey,
    /// Block of its registration.
    pub registered_at: u64,
    /// Whether it may set weights on others.
    pub validator_permit: bool,
    /// Address and port that it published.
    pub axon: Option<String>,
}

/// What happened to a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A hotkey got the uid, which may have been another's (or its own, when it came back).
    Registered {
        /// Whose it was.
        instead_of: Option<Hotkey>,
    },
    /// The hotkey lost the uid, and with it permit and axon.
    Deregistered {
        /// Whose it is now.
        replaced_by: Option<Hotkey>,
    },
    /// The owner put another hotkey in the place of this neuron's. Permit, stake and bonds stay.
    HotkeySwapped {
        /// What it was before.
        from: Hotkey,
    },
    /// The neuron belongs to another coldkey.
    ColdkeySwapped {
        /// What it was before.
        from: Coldkey,
    },
    /// It may set weights.
    PermitGained,
    /// It may not any more.
    PermitLost,
    /// It serves elsewhere.
    AxonChanged {
        /// Before.
        from: Option<String>,
        /// Now.
        to: Option<String>,
    },
}

/// The kinds of [`Change`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type, serde::Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "neuron_change", rename_all = "snake_case")]
pub enum Kind {
    /// A hotkey got the uid.
    Registered,
    /// The hotkey lost the uid.
    Deregistered,
    /// Another hotkey of the same neuron.
    HotkeySwapped,
    /// Another owner of the same neuron.
    ColdkeySwapped,
    /// It may set weights.
    PermitGained,
    /// It may not any more.
    PermitLost,
    /// It serves elsewhere.
    AxonChanged,
}

impl Kind {
    /// All of them, in the order of the declaration.
    pub const ALL: &[Self] = &[
        Self::Registered,
        Self::Deregistered,
        Self::HotkeySwapped,
        Self::ColdkeySwapped,
        Self::PermitGained,
        Self::PermitLost,
        Self::AxonChanged,
    ];

    /// As it is on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Deregistered => "deregistered",
            Self::HotkeySwapped => "hotkey_swapped",
            Self::ColdkeySwapped => "coldkey_swapped",
            Self::PermitGained => "permit_gained",
            Self::PermitLost => "permit_lost",
            Self::AxonChanged => "axon_changed",
        }
    }
}

impl Change {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Registered { .. } => Kind::Registered,
            Self::Deregistered { .. } => Kind::Deregistered,
            Self::HotkeySwapped { .. } => Kind::HotkeySwapped,
            Self::ColdkeySwapped { .. } => Kind::ColdkeySwapped,
            Self::PermitGained => Kind::PermitGained,
            Self::PermitLost => Kind::PermitLost,
            Self::AxonChanged { .. } => Kind::AxonChanged,
        }
    }
}

/// A change, and whom it is about: as it is afterwards, or as it was when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The uid.
    pub uid: u16,
    /// Its hotkey.
    pub hotkey: Hotkey,
    /// Its coldkey.
    pub coldkey: Coldkey,
    /// What happened.
    pub change: Change,
}

impl Changed {
    fn of(state: &State, change: Change) -> Self {
        Self {
            uid: state.uid,
            hotkey: state.hotkey,
            coldkey: state.coldkey,
            change,
        }
    }
}

/// What happened between the snapshot of block `since` and a later one of the same chain, in uid order. At most four
/// changes for a uid.
///
/// Only what is left of it can be seen: a uid that was taken over twice was taken over once by the last. A hotkey was
/// swapped when the registration is the same one, the old hotkey is nowhere any more and the new one was nowhere
/// before. Whoever has the same uid and hotkey registered anew when the block of its registration is after `since`.
pub fn changes(before: &[State], since: u32, after: &[State]) -> Vec<Changed> {
    let were: BTreeSet<Hotkey> = before.iter().map(|state| state.hotkey).collect();
    let are: BTreeSet<Hotkey> = after.iter().map(|state| state.hotkey).collect();
    let is_swap = |old: &State, new: &State| {
        old.registered_at == new.registered_at && !are.contains(&old.hotkey) && !were.contains(&new.hotkey)
    };
    let by_uid = |states: &[State]| -> BTreeMap<u16, State> {
        states.iter().map(|state| (state.uid, state.clone())).collect()
    };
    let (before, after) = (by_uid(before), by_uid(after));
    let uids: BTreeSet<u16> = before.keys().chain(after.keys()).copied().collect();
    let mut changes = Vec::new();
    for uid in uids {
        match (before.get(&uid), after.get(&uid)) {
            (Some(old), Some(new)) => {
                let registered = new.registered_at > u64::from(since);
                let same = old.hotkey == new.hotkey && !registered;
                if same || is_swap(old, new) {
                    went_on(old, new, &mut changes);
                } else {
                    let replaced_by = Some(new.hotkey);
                    changes.push(Changed::of(old, Change::Deregistered { replaced_by }));
                    came(new, Some(old.hotkey), &mut changes);
                }
            }
            (Some(old), None) => {
                changes.push(Changed::of(old, Change::Deregistered { replaced_by: None }));
            }
            (None, Some(new)) => came(new, None, &mut changes),
            (None, None) => {}
        }
    }
    changes
}

/// A neuron that was not there before.
fn came(new: &State, instead_of: Option<Hotkey>, changes: &mut Vec<Changed>) {
    changes.push(Changed::of(new, Change::Registered { instead_of }));
    if new.validator_permit {
        changes.push(Changed::of(new, Change::PermitGained));
    }
    if new.axon.is_some() {
        let to = new.axon.clone();
        changes.push(Changed::of(new, Change::AxonChanged { from: None, to }));
    }
}

/// The same neuron, earlier and later.
fn went_on(old: &State, new: &State, changes: &mut Vec<Changed>) {
    if old.hotkey != new.hotkey {
        changes.push(Changed::of(new, Change::HotkeySwapped { from: old.hotkey }));
    }
    if old.coldkey != new.coldkey {
        changes.push(Changed::of(new, Change::ColdkeySwapped { from: old.coldkey }));
    }
    match (old.validator_permit, new.validator_permit) {
        (false, true) => changes.push(Changed::of(new, Change::PermitGained)),
        (true, false) => changes.push(Changed::of(new, Change::PermitLost)),
        _ => {}
    }
    if old.axon != new.axon {
        let (from, to) = (old.axon.clone(), new.axon.clone());
        changes.push(Changed::of(new, Change::AxonChanged { from, to }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A neuron whose keys are told by numbers, registered at block 5.
    fn neuron(uid: u16, hotkey: u8, coldkey: u8) -> State {
        State {
            uid,
            hotkey: Hotkey([hotkey; 32]),
            coldkey: Coldkey([coldkey; 32]),
            registered_at: 5,
            validator_permit: false,
            axon: None,
        }
    }

    fn registered(state: State, block: u64) -> State {
        State {
            registered_at: block,
            ..state
        }
    }

    /// The changes since block 10, each as (uid, hotkey, change).
    fn since_ten(before: &[State], after: &[State]) -> Vec<(u16, u8, Change)> {
        changes(before, 10, after)
            .into_iter()
            .map(|changed| (changed.uid, changed.hotkey.0[0], changed.change))
            .collect()
    }

    fn gone(by: Option<u8>) -> Change {
        Change::Deregistered {
            replaced_by: by.map(|key| Hotkey([key; 32])),
        }
    }

    fn new(instead_of: Option<u8>) -> Change {
        Change::Registered {
            instead_of: instead_of.map(|key| Hotkey([key; 32])),
        }
    }

    #[test]
    fn nothing_happened_to_who_is_the_same() {
        let subnet = [neuron(0, 1, 11), neuron(1, 2, 12)];
        assert_eq!(since_ten(&subnet, &subnet), []);
        assert_eq!(since_ten(&[], &[]), []);
    }

    #[test]
    fn a_uid_of_another_is_a_deregistration_and_a_registration() {
        let before = [neuron(0, 1, 11), neuron(1, 2, 12)];
        let after = [neuron(0, 1, 11), registered(neuron(1, 3, 13), 11)];
        let expected = [(1, 2, gone(Some(3))), (1, 3, new(Some(2)))];
        assert_eq!(since_ten(&before, &after), expected);
        // The same owner registered again with another hotkey: still not a swap.
        let after = [neuron(0, 1, 11), registered(neuron(1, 3, 12), 11)];
        assert_eq!(since_ten(&before, &after), expected);
    }

    #[test]
    fn permit_and_axon_go_with_who_is_gone_and_begin_anew() {
        let old = State {
            validator_permit: true,
            axon: Some("1.2.3.4:5".into()),
            ..neuron(0, 1, 11)
        };
        let to = Some("1.2.3.4:5".to_owned());
        let come = registered(
            State {
                axon: to.clone(),
                ..neuron(0, 2, 12)
            },
            12,
        );
        assert_eq!(
            since_ten(&[old], &[come]),
            [
                (0, 1, gone(Some(2))),
                (0, 2, new(Some(1))),
                (0, 2, Change::AxonChanged { from: None, to }),
            ]
        );
    }

    #[test]
    fn another_hotkey_of_the_same_registration_was_swapped() {
        let from = Hotkey([2; 32]);
        let before = [neuron(0, 1, 11), neuron(1, 2, 12)];
        let after = [neuron(0, 1, 11), neuron(1, 3, 12)];
        let swapped = (1, 3, Change::HotkeySwapped { from });
        assert_eq!(since_ten(&before, &after), std::slice::from_ref(&swapped));
        // And the coldkey in the same time.
        let after = [neuron(0, 1, 11), neuron(1, 3, 13)];
        let owner = Change::ColdkeySwapped {
            from: Coldkey([12; 32]),
        };
        assert_eq!(since_ten(&before, &after), [swapped, (1, 3, owner.clone())]);
        let after = [neuron(0, 1, 11), neuron(1, 2, 13)];
        assert_eq!(since_ten(&before, &after), [(1, 2, owner)]);
    }

    #[test]
    fn hotkeys_that_are_known_elsewhere_were_not_swapped() {
        // Two neurons of one registration block in each other's place: uids were given anew.
        let before = [neuron(0, 1, 11), neuron(1, 2, 11)];
        let after = [neuron(0, 2, 11), neuron(1, 1, 11)];
        assert_eq!(
            since_ten(&before, &after),
            [
                (0, 1, gone(Some(2))),
                (0, 2, new(Some(1))),
                (1, 2, gone(Some(1))),
                (1, 1, new(Some(2))),
            ]
        );
        // The first is gone and the others moved up.
        let before = [neuron(0, 1, 11), neuron(1, 2, 12), neuron(2, 3, 13)];
        let after = [neuron(0, 2, 12), neuron(1, 3, 13)];
        assert_eq!(
            since_ten(&before, &after),
            [
                (0, 1, gone(Some(2))),
                (0, 2, new(Some(1))),
                (1, 2, gone(Some(3))),
                (1, 3, new(Some(2))),
                (2, 3, gone(None)),
            ]
        );
    }

    #[test]
    fn who_came_back_to_its_uid_was_gone() {
        let before = [neuron(0, 1, 11)];
        let back = [registered(neuron(0, 1, 11), 11)];
        assert_eq!(
            since_ten(&before, &back),
            [(0, 1, gone(Some(1))), (0, 1, new(Some(1)))]
        );
        // A block of registration that could not be read, and can be again, is no registration.
        let unread = [registered(neuron(0, 1, 11), 0)];
        assert_eq!(since_ten(&before, &unread), []);
        assert_eq!(since_ten(&unread, &before), []);
    }

    #[test]
    fn a_subnet_grows_and_shrinks() {
        let small = [neuron(0, 1, 11)];
        let large = [
            neuron(0, 1, 11),
            registered(neuron(1, 2, 12), 11),
            State {
                validator_permit: true,
                axon: Some("[::1]:9".into()),
                ..registered(neuron(2, 3, 12), 11)
            },
        ];
        let axon = Change::AxonChanged {
            from: None,
            to: Some("[::1]:9".into()),
        };
        assert_eq!(
            since_ten(&small, &large),
            [
                (1, 2, new(None)),
                (2, 3, new(None)),
                (2, 3, Change::PermitGained),
                (2, 3, axon),
            ]
        );
        assert_eq!(
            since_ten(&large, &small),
            [(1, 2, gone(None)), (2, 3, gone(None))]
        );
        assert_eq!(since_ten(&large, &[]).len(), 3);
    }

    #[test]
    fn several_things_happen_in_one_snapshot() {
        let serving = |state: State, axon: &str| State {
            axon: Some(axon.into()),
            ..state
        };
        let permitted = |state: State| State {
            validator_permit: true,
            ..state
        };
        let before = [
            permitted(neuron(0, 1, 11)),
            serving(neuron(1, 2, 12), "1.1.1.1:1"),
            serving(neuron(2, 3, 13), "1.1.1.1:2"),
            neuron(3, 4, 14),
        ];
        let after = [
            neuron(0, 1, 11),
            permitted(serving(neuron(1, 9, 19), "1.1.1.1:3")),
            neuron(2, 3, 13),
            serving(neuron(3, 4, 14), "1.1.1.1:4"),
        ];
        let axon = |from: Option<&str>, to: Option<&str>| Change::AxonChanged {
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        assert_eq!(
            since_ten(&before, &after),
            [
                (0, 1, Change::PermitLost),
                (
                    1,
                    9,
                    Change::HotkeySwapped {
                        from: Hotkey([2; 32])
                    }
                ),
                (
                    1,
                    9,
                    Change::ColdkeySwapped {
                        from: Coldkey([12; 32])
                    }
                ),
                (1, 9, Change::PermitGained),
                (1, 9, axon(Some("1.1.1.1:1"), Some("1.1.1.1:3"))),
                (2, 3, axon(Some("1.1.1.1:2"), None)),
                (3, 4, axon(None, Some("1.1.1.1:4"))),
            ]
        );
    }
}
