-- A pause moves what runs on: what began after it is not concerned.
update task_open
set accepted_at = least(accepted_at + paused, now()),
    done_at = case when done_at is not null then least(done_at + paused, now()) end
where paused is not null;
alter table task_open drop column paused;

-- Tasks that ended in a way that is rare are found without a look at all of their owner's. What is usual needs no index:
-- the newest page has it.
create index task_ends_by_rare_state on task_ends (state, task_id) where state in ('rejected', 'failed', 'cancelled');
