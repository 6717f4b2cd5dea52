-- What anybody can check. Records are immutable and signed in batches: all that are committed together share one
-- signature of the server's hotkey over their Merkle root.

create type record_kind as enum ('rule', 'base', 'candidate_set', 'draw', 'settlement');

create table record_batches
(
    batch_id  uuid primary key,
    -- RFC 6962 root over the records, in order.
    root      bytea       not null,
    size      integer     not null,
    server    bytea       not null,
    signature bytea       not null,
    signed_at timestamptz not null default now()
);

create table routing_records
(
    -- Of record_batches, written in the same statement; a foreign key would look each record's up again.
    batch_id   uuid        not null,
    leaf_index integer     not null,
    kind       record_kind not null,
    -- BLAKE2b-256 of the body: how records name each other.
    digest     bytea       not null,
    -- The task that it is about.
    task_id    uuid,
    body       bytea       not null,
    primary key (batch_id, leaf_index)
);
create index routing_records_by_task on routing_records (task_id) where task_id is not null;
-- Rules, bases and candidate sets are named by their content and recorded once.
create unique index routing_records_by_digest on routing_records (digest) where task_id is null;

-- The randomness of a snapshot: made once, used by every replica, published two snapshots later.
create table bases
(
    netuid     integer not null,
    block      bigint  not null,
    block_hash bytea   not null,
    preout     bytea   not null,
    proof      bytea   not null,
    output     bytea   not null,
    -- Digest of its record.
    record     bytea   not null,
    made_at    timestamptz not null default now(),
    -- A block's number is not enough: a local chain may start again.
    primary key (netuid, block_hash)
);
create unique index bases_by_record on bases (record);
create index bases_by_time on bases (netuid, made_at desc);

-- Snapshot blocks that were not taken, with the reason.
create table missed_snapshots
(
    netuid    integer     not null,
    block     bigint      not null,
    reason    text        not null,
    missed_at timestamptz not null default now(),
    primary key (netuid, block)
);
