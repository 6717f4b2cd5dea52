-- Who uses the service. Every row that belongs to somebody carries its organisation.

create type user_role as enum ('client', 'admin');

create table organizations
(
    organization_id uuid primary key,
    name            text        not null,
    -- Everybody has one of their own; teams come on top.
    personal        boolean     not null,
    created_at      timestamptz not null default now()
);

create table users
(
    user_id         uuid primary key,
    organization_id uuid        not null references organizations,
    -- Lower-cased before it is stored.
    email           text        not null,
    -- argon2id in PHC form.
    password_hash   text        not null,
    role            user_role   not null,
    is_active       boolean     not null default true,
    created_at      timestamptz not null default now(),

    constraint user_email_is_unique unique (email)
);

create index users_by_organization on users (organization_id);

create table api_keys
(
    api_key_id      uuid primary key,
    organization_id uuid        not null references organizations,
    user_id         uuid        not null references users,
    -- The first characters, to recognise a key by.
    prefix          text        not null,
    -- SHA-256: a key has 256 bits of entropy, so a slow hash would buy nothing.
    hash            bytea       not null,
    name            text        not null,
    created_at      timestamptz not null default now(),
    revoked_at      timestamptz,

    constraint api_key_is_unique unique (hash)
);

create index api_keys_by_organization on api_keys (organization_id);
create index api_keys_by_user on api_keys (user_id);

-- Requests that were seen, so that none counts twice. Unlogged: a crash of the database empties it, and with it the
-- epoch below, so that whatever was signed before is refused. Rows are deleted by bucket (minutes since 1970).
create unlogged table auth_nonces
(
    bucket     bigint  not null,
    public_key bytea   not null,
    nonce      bigint  not null,
    primary key (bucket, public_key, nonce)
);

create unlogged table auth_nonce_epoch
(
    only_row boolean primary key default true check (only_row),
    -- Nanoseconds since 1970: signatures older than this are refused.
    began    bigint not null
);
