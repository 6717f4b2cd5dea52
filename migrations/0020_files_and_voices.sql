-- Kinds of files, what they take of storage, what is to be removed from it; and voices with their samples.

create type file_kind as enum ('audio', 'video_transcription', 'document_translation', 'tts', 'tts_speaker');

alter table files
    add column kind file_kind,
    -- The sample of a voice belongs to no task.
    alter column task_id drop not null;
update files f
set kind = case t.task_type
    when 'transcription' then 'audio'
    when 'video_transcription' then 'video_transcription'
    when 'tts' then 'tts'
    else 'document_translation'
end::file_kind
from tasks t where t.task_id = f.task_id;
-- Of a task that is not there any more.
update files set kind = 'audio' where kind is null;
alter table files alter column kind set not null;
create index files_by_organization on files (organization_id, kind, file_id desc);

-- Bytes of all files of an organisation. What is stored is added in the transaction that stores it; a quota that would be
-- exceeded violates the constraint.
create table organization_storage
(
    organization_id uuid primary key references organizations,
    bytes           bigint not null,
    -- The quota as it was when the organisation last stored something itself.
    byte_limit      bigint not null,

    constraint bytes_within_quota check (bytes <= byte_limit)
) with (fillfactor = 50);
insert into organization_storage (organization_id, bytes, byte_limit)
select organization_id, sum(size), 9223372036854775807 from files group by organization_id;

-- The same by kind, for statistics: nobody counts files.
create table organization_files
(
    organization_id uuid      not null references organizations,
    kind            file_kind not null,
    files           bigint    not null,
    bytes           bigint    not null,
    primary key (organization_id, kind)
) with (fillfactor = 50);
insert into organization_files (organization_id, kind, files, bytes)
select organization_id, kind, count(*), sum(size) from files group by organization_id, kind;

-- Null: the setting.
alter table organization_quotas add column stored_bytes bigint check (stored_bytes >= 0);

-- Objects whose files were deleted, until their bytes are gone.
create table file_removals
(
    file_id    uuid primary key,
    object_key text        not null,
    due_at     timestamptz not null default now()
);
create index file_removals_by_time on file_removals (due_at);

-- How far storage was looked through for objects without a row. Whoever has the row looks.
create table storage_sweeps
(
    storage  text primary key,
    after    text        not null,
    swept_at timestamptz not null default now()
);

-- Voices that speech can be asked in.
create table voices
(
    voice_id        uuid primary key,
    -- Null: for everybody.
    organization_id uuid references organizations,
    voice_name      text        not null,
    display_name    text        not null,
    language        text        not null,
    -- Its sample. Null: engines have it themselves.
    file_id         uuid,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),

    constraint voice_name_of_organization unique (organization_id, voice_name)
);
create unique index voice_name_of_everybody on voices (voice_name) where organization_id is null;
insert into voices (voice_id, voice_name, display_name, language)
values ('0192f0c1-0000-7000-8000-0000000a11ce', 'english_alice', 'Alice', 'en');

-- The sample that a task was submitted with: it stays for the task, whatever becomes of the voice.
create table task_voices
(
    task_id uuid not null,
    file_id uuid not null,
    primary key (task_id)
) partition by range (task_id);
create table task_voices_default partition of task_voices default;
create index task_voices_by_file on task_voices (file_id);
