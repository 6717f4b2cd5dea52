-- An assignment is updated at most once before it is removed, so that its page needs less room for new versions.
alter table task_assignments set (fillfactor = 85);
