-- Bases in the order of their blocks, whichever server was how late with one; and gaps as ranges, however long a server
-- was away.

alter table bases
    -- The hash of block 0, which names the chain.
    add column genesis  bytea       not null default '',
    -- The block's own time: the order of bases. Numbers begin again when a local chain does.
    add column block_at timestamptz;
update bases set block_at = made_at;
alter table bases
    alter column genesis drop default,
    alter column block_at set not null;
drop index bases_by_time;
create index bases_by_time on bases (netuid, block_at desc);

-- The multiples of the interval from `block` to `last_block`.
alter table missed_snapshots add column last_block bigint;
update missed_snapshots set last_block = block;
alter table missed_snapshots
    alter column last_block set not null,
    add check (last_block >= block);
