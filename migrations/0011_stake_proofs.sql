-- Proofs of the stakes at the blocks of some bases, once per tempo: by them anybody can check candidate sets without
-- the server and without a node.

create table stake_proofs
(
    netuid     integer     not null,
    block_hash bytea       not null,
    -- As violet-chain writes it, with its version: header and trie nodes. It proves itself to who knows the hash.
    proof      bytea       not null,
    proved_at  timestamptz not null default now(),
    primary key (netuid, block_hash),
    foreign key (netuid, block_hash) references bases on delete cascade
);
-- Hashes do not get smaller.
alter table stake_proofs alter column proof set storage external;
