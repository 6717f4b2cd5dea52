-- What miners say of themselves and how they did.

create table miner_status
(
    netuid       integer     not null,
    hotkey       bytea       not null,
    -- Assignments that it takes at once, as declared.
    capacity     integer     not null,
    load         integer     not null,
    -- [{"engine", "model_id", "task_type", "languages", "pairs", "max_input_bytes"}]
    engines      jsonb       not null,
    version      text        not null,
    -- By the clock of the database.
    last_seen    timestamptz not null default now(),
    suspended_at timestamptz,
    primary key (netuid, hotkey)
) with (fillfactor = 70);

-- Exponentially weighted means in 2^32nds; see domain/performance.rs.
create table miner_performance
(
    netuid       integer   not null,
    hotkey       bytea     not null,
    task_type    task_type not null,
    success_fast bigint    not null,
    success_slow bigint    not null,
    speed_fast   bigint    not null,
    speed_slow   bigint    not null,
    quality_fast bigint    not null,
    quality_slow bigint    not null,
    primary key (netuid, hotkey, task_type)
) with (fillfactor = 70);

-- Validators that made an authenticated request, and when.
create table validator_seen
(
    netuid    integer     not null,
    hotkey    bytea       not null,
    last_seen timestamptz not null,
    primary key (netuid, hotkey)
) with (fillfactor = 70);
