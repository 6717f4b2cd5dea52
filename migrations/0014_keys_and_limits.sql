-- What keys may do and how long, what was asked lately, and what organisations used.

alter table api_keys
    -- Names of permissions. Null: all that its maker may do, but for managing; keys from before scopes, and first keys.
    add column scopes       text[],
    -- Without one it works until it is revoked.
    add column expires_at   timestamptz,
    -- Written behind, to the minute.
    add column last_used_at timestamptz;

-- Secrets that were replaced by a rotation, each for as long as it still works beside the new one.
create table api_keys_rotated
(
    hash        bytea primary key,
    api_key_id  uuid        not null references api_keys,
    valid_until timestamptz not null
);
create index api_keys_rotated_by_key on api_keys_rotated (api_key_id);

-- How much was asked in each stretch of time, by those who asked for much: what replicas tell each other. Unlogged: a
-- crash of the database empties it, and everybody may ask as if anew.
create unlogged table rates
(
    -- Who, as a keyed hash.
    subject bytea  not null,
    -- Number of the stretch since 1970.
    stretch bigint not null,
    used    bigint not null,
    primary key (subject, stretch)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
create index rates_by_age on rates (stretch);

-- Whose it is, so that an organisation's open tasks are counted without a look at all that there ever were.
alter table task_open add column organization_id uuid;
update task_open o set organization_id = t.organization_id from tasks t where t.task_id = o.task_id;

-- What organisations use. What is accepted together is added at once, in the transaction that stores it; a quota that
-- would be exceeded violates a constraint, and nothing of it is stored.
create table organization_open
(
    organization_id uuid primary key references organizations,
    -- At least as many as there are: those that ended are counted off when it matters.
    open_tasks      bigint not null,
    -- The quota as it was when tasks were last accepted.
    task_limit      bigint not null,

    constraint open_tasks_within_quota check (open_tasks <= task_limit)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);

create table organization_days
(
    organization_id uuid   not null references organizations,
    -- Of UTC.
    day             date   not null,
    tasks           bigint not null,
    characters      bigint not null,
    audio_millis    bigint not null,
    task_limit      bigint not null,
    character_limit bigint not null,
    audio_limit     bigint not null,
    primary key (organization_id, day),

    constraint tasks_within_quota check (tasks <= task_limit),
    constraint characters_within_quota check (characters <= character_limit),
    constraint audio_within_quota check (audio_millis <= audio_limit)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);

-- Quotas of single organisations. Null: the setting.
create table organization_quotas
(
    organization_id     uuid primary key references organizations,
    concurrent_tasks    bigint check (concurrent_tasks >= 0),
    daily_tasks         bigint check (daily_tasks >= 0),
    daily_characters    bigint check (daily_characters >= 0),
    daily_audio_seconds bigint check (daily_audio_seconds between 0 and 1000000000000)
);
