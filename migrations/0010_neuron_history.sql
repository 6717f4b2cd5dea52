-- Who the neurons of a subnet are, and what changed from one snapshot to the next.

-- The last snapshot whose changes were recorded, by whichever server. Its row is locked while that is done, so each
-- snapshot is compared with the one before it, and once.
create table neuron_heads
(
    netuid     integer     primary key,
    -- The hash of block 0, which names the chain.
    genesis    bytea       not null,
    block      bigint      not null,
    block_hash bytea       not null,
    -- The block's own time: the order of snapshots. At genesis, which has none, that of 1970.
    block_at   timestamptz not null
);

-- The neurons of that snapshot. A server writes them before it draws with the snapshot.
create table neurons
(
    netuid           integer not null,
    uid              integer not null,
    hotkey           bytea   not null,
    coldkey          bytea   not null,
    -- Block of its registration.
    registered_at    bigint  not null,
    validator_permit boolean not null,
    -- Address and port that it published.
    axon             text,
    primary key (netuid, uid)
) with (fillfactor = 70);

create type neuron_change as enum
    ('registered', 'deregistered', 'hotkey_swapped', 'coldkey_swapped', 'permit_gained', 'permit_lost', 'axon_changed');

create table neuron_history
(
    -- Rises with the blocks of a chain.
    change_id      bigint        generated always as identity primary key,
    netuid         integer       not null,
    genesis        bytea         not null,
    uid            integer       not null,
    change         neuron_change not null,
    -- Whom it is about, as it is afterwards; one that is gone, as it was.
    hotkey         bytea         not null,
    coldkey        bytea         not null,
    -- registered: whose the uid was; deregistered: whose it is now; hotkey_swapped: what it was before.
    other_hotkey   bytea,
    -- coldkey_swapped: what it was before.
    former_coldkey bytea,
    -- axon_changed: before and after.
    former_axon    text,
    axon           text,
    -- It came about after this block (which has no time if it is block 0)
    from_block     bigint        not null,
    from_at        timestamptz,
    -- and not after this one.
    block          bigint        not null,
    block_hash     bytea         not null,
    block_at       timestamptz   not null,
    -- Among the changes of the block.
    place          integer       not null,

    constraint neuron_change_is_recorded_once unique (netuid, block_hash, place)
);
create index neuron_history_by_uid on neuron_history (netuid, uid, change_id);

-- An assignment ends when its miner is no longer at its uid.
alter type assignment_outcome add value 'deregistered';
