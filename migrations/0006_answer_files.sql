-- Files of one answer are counted before another is taken.
create index files_of_answers on files (task_id, hotkey) where hotkey is not null;
