-- What accepting writes less for.

-- Rows of mail are updated once, open rows a few times: pages need less room for that than they had, and a page that is
-- not begun is one that is not written.
alter table task_assignments set (fillfactor = 90);
alter table task_open set (fillfactor = 80);

-- Ids rise, so a rising index grows at its end, and is read backwards as well.
create index tasks_of_organization on tasks (organization_id, task_id);
drop index tasks_by_organization;
