-- Sessions of users, organisations of several people, mails with links, and the log of security events.

create type organization_role as enum ('owner', 'admin', 'developer', 'viewer');

alter table users
    add column full_name         text,
    -- When somebody showed that mail to this address reaches them.
    add column email_verified_at timestamptz;

-- A short name for people and for `orgSlug`. The default is for servers of the version before, which know none.
alter table organizations
    add column slug text not null default 'o-' || replace(gen_random_uuid()::text, '-', ''),
    add constraint organization_slug_is_unique unique (slug);

-- Who may do what where. Everybody owns the personal organisation.
create table memberships
(
    organization_id uuid              not null references organizations,
    user_id         uuid              not null references users,
    role            organization_role not null,
    created_at      timestamptz       not null default now(),
    primary key (organization_id, user_id)
);

create index memberships_by_user on memberships (user_id);

insert into memberships (organization_id, user_id, role, created_at)
select organization_id, user_id, 'owner', created_at from users;

-- A login, until it ends. Access tokens name it, so that ending it ends them.
create table sessions
(
    session_id      uuid primary key,
    user_id         uuid        not null references users,
    -- For which it acts; switched by its user.
    organization_id uuid        not null references organizations,
    created_at      timestamptz not null,
    last_used_at    timestamptz not null,
    -- Moved on by each refresh.
    expires_at      timestamptz not null,
    ended_at        timestamptz,
    -- From where and with what it was opened, for its user to recognise it by.
    address         text        not null,
    user_agent      text        not null
);

create index sessions_by_user on sessions (user_id);
create index sessions_by_organization on sessions (organization_id);
create index sessions_by_expiry on sessions (expires_at);

-- The refresh tokens of a session: one that counts, and those before it, which tell when one was stolen.
create table refresh_tokens
(
    -- SHA-256: a token has 256 bits of entropy.
    hash       bytea primary key,
    session_id uuid        not null references sessions on delete cascade,
    created_at timestamptz not null,
    -- When it was exchanged for the next one,
    used_at    timestamptz,
    -- which is this.
    successor  bytea
);

create index refresh_tokens_by_session on refresh_tokens (session_id);

-- Secrets that all replicas share and no operator has to make.
create table server_secrets
(
    name  text primary key,
    value bytea not null
);

-- Failed attempts, by whom they were aimed at or where they came from. One is counted before a password is looked at,
-- so that many at once are no way around it.
create table login_attempts
(
    subject  text primary key,
    failures integer     not null,
    last_at  timestamptz not null,
    -- None before this.
    next_at  timestamptz not null
);

create index login_attempts_by_time on login_attempts (last_at);

create type mail_purpose as enum ('verify_email', 'reset_password', 'invitation', 'password_changed');

-- Mails to be sent. They hold no link and no secret: that is made when a mail is sent, and only its hash is kept. Whether
-- anybody has an address is found out then, so that asking for a mail tells nobody.
create table mails
(
    mail_id    uuid primary key,
    purpose    mail_purpose not null,
    recipient  text         not null,
    -- What it is about: an invitation; otherwise nothing.
    about      uuid,
    created_at timestamptz  not null,
    next_at    timestamptz  not null,
    attempts   integer      not null default 0
);

-- Asking again while one waits changes nothing.
create unique index one_mail_of_a_kind_waits
    on mails (purpose, recipient, coalesce(about, '00000000-0000-0000-0000-000000000000'));
create index mails_by_time on mails (next_at);

-- What the links in mails prove.
create table mail_tokens
(
    hash       bytea primary key,
    purpose    mail_purpose not null,
    user_id    uuid         not null references users,
    expires_at timestamptz  not null,
    used_at    timestamptz
);

create index mail_tokens_by_user on mail_tokens (user_id);
create index mail_tokens_by_expiry on mail_tokens (expires_at);

create table invitations
(
    invitation_id   uuid primary key,
    organization_id uuid              not null references organizations,
    invited_by      uuid              not null references users,
    email           text              not null,
    role            organization_role not null,
    -- SHA-256 of the token in the link; null until it was sent.
    hash            bytea,
    created_at      timestamptz       not null,
    expires_at      timestamptz       not null,
    accepted_at     timestamptz,
    withdrawn_at    timestamptz,

    constraint invitation_is_unique unique (hash)
);

create index invitations_by_organization on invitations (organization_id);
create index invitations_by_inviter on invitations (invited_by);

-- What happened around accounts: who, what, from where, and how it came out. It outlives whom it is about, so nothing
-- refers to other tables.
create table security_events
(
    event_id        bigint generated always as identity primary key,
    at              timestamptz not null,
    event           text        not null,
    outcome         text        not null check (outcome in ('ok', 'refused')),
    -- Who did it, if that is known.
    user_id         uuid,
    -- Whom it concerns, if an organisation.
    organization_id uuid,
    -- What it was done to: an address, a session, a member, a key.
    subject         text,
    address         text,
    request_id      text
);

create index security_events_by_organization on security_events (organization_id, event_id);
create index security_events_by_user on security_events (user_id, event_id);

-- A trigger and no privilege: the server's role usually owns its tables, and to an owner privileges mean nothing. It
-- keeps a server that was taken over by way of its queries from hiding what happened; not who administers the database.
create function refuse_to_change_history() returns trigger language plpgsql as
$$
begin
    raise exception 'rows of % are never changed', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

create trigger security_events_are_append_only
    before update or delete or truncate on security_events
    for each statement execute function refuse_to_change_history();

-- Wallet logins: challenges that were answered, so that none counts twice, and the sessions that came of them.
create table wallet_logins
(
    nonce      bytea primary key,
    expires_at timestamptz not null
);

create index wallet_logins_by_expiry on wallet_logins (expires_at);

create table wallet_sessions
(
    -- SHA-256 of the token.
    hash       bytea primary key,
    public_key bytea       not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create index wallet_sessions_by_expiry on wallet_sessions (expires_at);
