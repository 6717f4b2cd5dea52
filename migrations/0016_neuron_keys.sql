-- Keys of neurons that sign nothing themselves. Each was minted for a signature of its hotkey over a challenge.

create type neuron_kind as enum ('miner', 'validator');

create table neuron_keys
(
    neuron_key_id uuid primary key,
    -- Whose operations it opens.
    kind          neuron_kind not null,
    netuid        integer     not null,
    uid           integer     not null,
    hotkey        bytea       not null,
    -- The scheme of the hotkey, as proven when the key was minted.
    crypto        text        not null,
    -- The block of the registration: a hotkey that left and came back, even to this uid, is not the one meant here.
    registered_at bigint      not null,
    -- What the neuron calls the chain. Kept to be compared, as clients of old expect.
    network       text        not null,
    -- The first characters, to recognise a key by.
    prefix        text        not null,
    -- SHA-256: a key has 256 bits of entropy, so a slow hash would buy nothing.
    hash          bytea       not null,
    created_at    timestamptz not null,
    expires_at    timestamptz not null,
    revoked_at    timestamptz,

    constraint neuron_key_is_unique unique (hash)
);

create index neuron_keys_by_hotkey on neuron_keys (hotkey);
