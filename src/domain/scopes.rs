//! Scopes of API keys: permissions by name, and bundles of them.
use super::access::{Grant, Permission};

/// Bundles with a name of their own, beside the first parts of the permissions' names.
const BUNDLES: &[(&str, &[&str])] = &[
    ("read", &[":read"]),
    // As the platform that sells speech alone calls them.
    (
        "stt",
        &[
            "tasks:transcription",
            "tasks:video_transcription",
            "tasks:cancel",
            ":read",
        ],
    ),
    ("tts", &["tasks:tts", "tasks:cancel", ":read"]),
];

impl Permission {
    /// Whether a key has it only when it was asked for by its own name: whoever manages can make more of itself.
    pub fn is_explicit(self) -> bool {
        self.name().ends_with(":manage")
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.name() == name)
    }
}

impl Grant {
    /// What a key may do at most that names no scopes.
    pub fn without_scopes() -> Self {
        Self::only(
            Permission::ALL
                .iter()
                .copied()
                .filter(|permission| !permission.is_explicit()),
        )
    }

    /// What stored scopes allow. One that is no permission any more allows nothing.
    pub fn of_stored(scopes: &[String]) -> Self {
        Self::only(scopes.iter().filter_map(|scope| Permission::by_name(scope)))
    }

    /// What a scope names: a permission, or a bundle.
    pub fn of_scope(scope: &str) -> Option<Self> {
        if let Some(permission) = Permission::by_name(scope) {
            return Some(Self::only([permission]));
        }
        let parts = BUNDLES
            .iter()
            .find(|(name, _)| *name == scope)
            .map(|(_, parts)| *parts);
        let within = |permission: &Permission| match parts {
            Some(parts) => parts.iter().any(|part| permission.name().ends_with(part)),
            None => permission.name().split(':').next() == Some(scope),
        };
        let bundle = Permission::ALL
            .iter()
            .copied()
            .filter(|permission| !permission.is_explicit() && within(permission));
        Some(Self::only(bundle)).filter(|grant| grant.permissions().next().is_some())
    }

    /// The permissions in it, in the order of the table.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| self.allows(*permission))
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        self.permissions().map(Permission::name).collect()
    }

    /// What this allows and `other` does not.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self::only(self.permissions().filter(|permission| !other.allows(*permission)))
    }
}

/// Every scope that a key may be given: bundles first.
pub fn all() -> Vec<&'static str> {
    let mut all: Vec<&str> = BUNDLES.iter().map(|(name, _)| *name).collect();
    for permission in Permission::ALL {
        let first = permission.name().split(':').next().unwrap_or_default();
        if !all.contains(&first) && Grant::of_scope(first).is_some() {
            all.push(first);
        }
    }
    all.extend(Permission::ALL.iter().map(|permission| permission.name()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_scope_means_something_and_bundles_hold_no_managing() {
        for scope in all() {
            let grant = Grant::of_scope(scope).unwrap_or_else(|| panic!("{scope}"));
            let by_name = Permission::by_name(scope);
            for permission in grant.permissions() {
                assert!(
                    !permission.is_explicit() || by_name == Some(permission),
                    "{scope}"
                );
            }
        }
        for unknown in ["", "keys", "task", "tasks:", ":read", "tasks:fly", "TASKS"] {
            assert_eq!(Grant::of_scope(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn bundles_hold_what_their_names_say() {
        let names = |scope| Grant::of_scope(scope).unwrap().names();
        assert!(names("tasks").iter().all(|name| name.starts_with("tasks:")));
        assert!(names("tasks").contains(&"tasks:cancel"));
        assert!(names("read").iter().all(|name| name.ends_with(":read")));
        assert!(names("tts").contains(&"tasks:tts") && !names("tts").contains(&"tasks:transcription"));
        assert_eq!(names("keys:manage"), ["keys:manage"]);
    }

    #[test]
    fn stored_scopes_that_are_gone_allow_nothing() {
        let stored = ["tasks:read", "tasks:fly", "tasks"].map(str::to_owned);
        assert_eq!(Grant::of_stored(&stored).names(), ["tasks:read"]);
        let (read, all) = (Grant::of_stored(&stored), Grant::without_scopes());
        assert_eq!(read.beyond(all).names(), [""; 0]);
        assert!(all.beyond(read).names().contains(&"tasks:tts"));
        assert!(!all.allows(Permission::ManageKeys));
    }
}
