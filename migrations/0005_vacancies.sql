-- Slots whose miner expired or refused when nobody else was free: they are drawn for again while the task lives.
alter table task_open
    -- Counted in outstanding.
    add column vacant       smallint[] not null default '{}',
    add column vacant_since timestamptz;

-- What drawing looks for, among many tasks that wait for none.
create index task_open_waiting on task_open (accepted_at) where draws = 0 or vacant <> '{}';
