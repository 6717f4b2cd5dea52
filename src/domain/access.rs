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

const ALL: &[OrganizationRole] = &[Owner, Admin, Developer, Viewer];
const WORKERS: &[OrganizationRole] = &[Owner, Admin, Developer];
const ADMINS: &[OrganizationRole] = &[Owner, Admin];

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
    /// Read what is known of miners and validators.
    ReadNetwork = "network:read", ALL;
    /// Read what the organisation uses, and what it may use.
    ReadUsage = "usage:read", ALL;
    /// Make, rotate and revoke API keys.
    ManageKeys = "keys:manage", ADMINS;
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
