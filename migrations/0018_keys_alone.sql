-- Neurons that have a key and sign nothing.

-- None when it came with a key: then its author is the server's statement, and there is nothing that others could check.
alter table miner_responses alter column signature drop not null;
alter table evaluations alter column signature drop not null;

-- What the miner said of itself when it enrolled: its polls count as heartbeats that say this. Null when it said nothing;
-- then heartbeats alone make it eligible.
alter table neuron_keys add column capacity integer, add column engines jsonb,
    add constraint all_or_nothing_is_declared check ((capacity is null) = (engines is null));

-- The last heartbeat. Later than that is `last_seen` when the miner polled with a key. What a heartbeat said goes before
-- what was said when enrolling, for as long as it counts.
alter table miner_status add column beat_at timestamptz;
update miner_status set beat_at = last_seen;
