-- What participation is measured against, as it was when the validators were frozen; and how well each validator agrees
-- with the consensus.

alter table task_open
    -- Stake of all with a validator permit, in rao. 0 until the validators are frozen.
    add column permitted_stake bigint not null default 0;

-- Exponentially weighted means in 2^32nds; see domain/performance.rs.
create table validator_agreement
(
    netuid integer not null,
    hotkey bytea   not null,
    fast   bigint  not null,
    slow   bigint  not null,
    -- Tasks with a verdict that it scored.
    tasks  bigint  not null,
    primary key (netuid, hotkey)
) with (fillfactor = 70);
