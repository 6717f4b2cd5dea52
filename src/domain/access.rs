//! Who may do what: one table, from which the checks, the documentation and the tests are made.
/// What a member may do in an organisation.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    sqlx::Type,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "organization_role", rename_all = "snake_case")]
pub enum OrganizationRole {
    /// Everything, and closing the organisation; there is always one.
    Owner,
    /// Members, keys and settings.
    Admin,
    /// Work: submits, reads, cancels.
    Developer,
    /// Reads.
    Viewer,
}

use OrganizationRole::{Admin, Developer, Owner, Viewer};

impl OrganizationRole {
    /// All of them, from the one with most to the one with least.
    pub const ROLES: &[Self] = &[Owner, Admin, Developer, Viewer];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Owner => "owner",
            Admin => "admin",
            Developer => "developer",
            Viewer => "viewer",
        }
    }

    /// Whether who has this role may make somebody `other`, or change what an `other` is.
    pub fn may_give(self, other: Self) -> bool {
        match self {
            Owner => true,
            Admin => other != Owner,
            Developer | Viewer => false,
        }
    }
}

const ALL: &[OrganizationRole] = &[Owner, Admin, Developer, Viewer];
const WORKERS: &[OrganizationRole] = &[Owner, Admin, Developer];
const MANAGERS: &[OrganizationRole] = &[Owner, Admin];

/// A permission as a type: a handler that takes a principal with it runs for nobody else.
pub trait Needs: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $roles:expr;)+) => {
        /// One thing that a member, or a key made by one, may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Permission {
            /// What it allows, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }

            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name on the wire, as scopes of keys spell it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Members who have it.
            pub const fn roles(self) -> &'static [OrganizationRole] {
                match self {
                    $(Self::$name => $roles,)+
                }
            }
        }

        /// The permissions as types.
        pub mod may {
            $($(#[doc = $doc])+ #[derive(Clone, Copy, Debug)] pub struct $name;
            impl super::Needs for $name {
                const PERMISSION: super::Permission = super::Permission::$name;
            })+
        }
    };
}

permissions! {
    /// Submit recordings to be transcribed.
    SubmitTranscription = "tasks:transcription", WORKERS;
    /// Submit texts to be spoken.
    SubmitTts = "tasks:tts", WORKERS;
    /// Submit texts to be summarized.
    SubmitSummarization = "tasks:summarization", WORKERS;
    /// Submit texts to be translated.
    SubmitTextTranslation = "tasks:text_translation", WORKERS;
    /// Submit documents to be translated.
    SubmitDocumentTranslation = "tasks:document_translation", WORKERS;
    /// Submit videos whose speech is to be transcribed.
    SubmitVideoTranscription = "tasks:video_transcription", WORKERS;
    /// Cancel tasks.
    CancelTasks = "tasks:cancel", WORKERS;
    /// Read tasks, their results and receipts.
    ReadTasks = "tasks:read", ALL;
    /// Download files.
    ReadFiles = "files:read", ALL;
    /// Delete files of tasks that have ended.
    DeleteFiles = "files:delete", WORKERS;
    /// Read voices and their samples.
    ReadVoices = "voices:read", ALL;
    /// Make, change and delete voices.
    WriteVoices = "voices:write", WORKERS;
    /// Read what is known of miners and validators.
    ReadNetwork = "network:read", ALL;
    /// Read what the organisation uses, and what it may use.
    ReadUsage = "usage:read", ALL;
    /// Make, rotate and revoke API keys.
    ManageKeys = "keys:manage", MANAGERS;
    /// Read who is in the organisation.
    ReadMembers = "members:read", ALL;
    /// Invite members, change their roles, and take them out.
    ManageMembers = "members:manage", MANAGERS;
    /// Rename the organisation.
    ManageOrganization = "organization:manage", MANAGERS;
    /// Read the organisation's security events.
    ReadSecurityEvents = "security:read", MANAGERS;
}

/// What a principal may do: what its role allows, less what its key leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant(u32);

impl Grant {
    /// All that a role allows.
    pub fn of(role: OrganizationRole) -> Self {
        Self::only(
            Permission::ALL
                .iter()
                .copied()
                .filter(|permission| permission.roles().contains(&role)),
        )
    }

    /// Just these.
    pub fn only(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |bits, permission| bits | 1 << permission as u32),
        )
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether this is allowed.
    pub fn allows(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }
}

/// The table, as the documents have it.
pub fn table() -> String {
    let mut lines = vec!["| permission | allows to | owner | admin | developer | viewer |".to_owned()];
    lines.push("| --- | --- | --- | --- | --- | --- |".to_owned());
    lines.extend(Permission::ALL.iter().map(|permission| {
        let meaning = permission.meaning().trim().trim_end_matches('.');
        let mut first = meaning.chars();
        let lower = first
            .next()
            .map(|c| c.to_lowercase().to_string())
            .unwrap_or_default();
        let has = |role| {
            if permission.roles().contains(role) {
                "yes"
            } else {
                ""
            }
        };
        let marks: Vec<&str> = OrganizationRole::ROLES.iter().map(has).collect();
        format!(
            "| `{}` | {lower}{} | {} |",
            permission.name(),
            first.as_str(),
            marks.join(" | ")
        )
    }));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_less_may_do_less() {
        let grants: Vec<Grant> = OrganizationRole::ROLES
            .iter()
            .map(|role| Grant::of(*role))
            .collect();
        for pair in grants.windows(2) {
            assert_eq!(pair[0].and(pair[1]), pair[1]);
            assert_ne!(pair[0], Grant::only([]));
        }
        assert!(
            Permission::ALL
                .iter()
                .all(|permission| grants[0].allows(*permission))
        );
        assert!(Permission::ALL.len() <= 32, "a grant has 32 bits");
        let reads = |permission: &Permission| permission.name().ends_with(":read");
        assert!(
            Permission::ALL
                .iter()
                .all(|one| !grants[3].allows(*one) || reads(one))
        );
    }

    #[test]
    fn owners_are_made_by_owners() {
        for role in OrganizationRole::ROLES {
            assert!(Owner.may_give(*role) && !Developer.may_give(*role) && !Viewer.may_give(*role));
            assert_eq!(Admin.may_give(*role), *role != Owner);
        }
    }

    #[test]
    fn names_are_those_on_the_wire() {
        for role in OrganizationRole::ROLES {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }
}
