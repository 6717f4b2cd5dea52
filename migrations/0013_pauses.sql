-- The time in which no server ran counts against nobody.

-- When a server last ran, to some seconds.
create table service_life
(
    netuid   integer primary key,
    alive_at timestamptz not null
) with (fillfactor = 50);

-- How long no server ran while the task was open; null for none.
alter table task_open add column paused interval;
