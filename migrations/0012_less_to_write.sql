-- What accepting a task writes less, once more: indexes and bytes that only receipts would need.

-- A slot has one miner at a time, so its number names an assignment as well as 32 bytes of a hotkey do.
alter table task_assignments drop constraint task_assignments_pkey;
alter table task_assignments add primary key (task_id, slot);

-- Records of a batch are written together and batches in the order of their ids: a summary of each range of pages finds
-- them. Only receipts ask.
alter table routing_records drop constraint routing_records_pkey;
create index routing_records_by_batch on routing_records using brin (batch_id)
    with (pages_per_range = 16, autosummarize = on);

-- Records of a task are found by the task; only what is named by its content needs its digest beside it.
alter table routing_records alter column digest drop not null;
alter table routing_records add constraint routing_record_is_found
    check (task_id is not null or digest is not null);
