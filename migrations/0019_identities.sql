-- Logins at other issuers (OIDC). A user is known by issuer and subject, never by its address.

-- Who came by an issuer has no password until it chooses one by mail.
alter table users alter column password_hash drop not null;

create table user_identities
(
    identity_id   uuid primary key,
    user_id       uuid        not null references users,
    -- Exactly as in the tokens.
    issuer        text        not null,
    subject       text        not null,
    -- What the issuer said when it was linked, for its user to recognise it by.
    email         text,
    created_at    timestamptz not null,
    -- What the tokens act in; another one follows when it has ended and a newer token comes.
    session_id    uuid references sessions,
    -- When the newest token that was seen was issued,
    newest_token  timestamptz,
    -- and up to when none counts any more: sessions ended then.
    refused_until timestamptz,

    constraint identity_is_unique unique (issuer, subject)
);

create index user_identities_by_user on user_identities (user_id);
create index user_identities_by_session on user_identities (session_id);
