//! One type per kind of identifier, so that they cannot be swapped.

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// A fresh id; version 7, so it sorts by time of creation.
            #[expect(clippy::new_without_default, reason = "a random default would surprise")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }

            /// The 16 bytes that digests and signatures cover.
            pub fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for uuid::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    )+};
}

typed_ids! {
    /// Whoever owns tasks, files and keys; every user has a personal one.
    OrganizationId,
    /// A person with an e-mail address.
    UserId,
    /// A login of a user, until it ends.
    SessionId,
    /// A login at another issuer, as which somebody is known.
    IdentityId,
    /// An invitation to an organisation.
    InvitationId,
    /// A key of the REST API.
    ApiKeyId,
    /// A key of a neuron.
    NeuronKeyId,
    /// One piece of work handed to the subnet.
    TaskId,
    /// A file in object storage.
    FileId,
    /// A voice that speech can be asked in.
    VoiceId,
    /// Records that were committed and signed together.
    BatchId,
}
