-- A task's life. What happened is immutable and partitioned by the time in its UUIDv7; what is still to do is one
-- small open row per live task and one row of mail per outstanding assignment, removed when it ends.

create type task_type as enum
    ('transcription', 'tts', 'summarization', 'text_translation', 'document_translation', 'video_transcription');
create type task_priority as enum ('low', 'normal', 'high', 'urgent');
create type task_state as enum
    ('pending', 'assigned', 'in_progress', 'completed', 'done', 'approved', 'rejected', 'failed', 'cancelled');
create type task_reason as enum ('no_eligible_miner', 'no_answer', 'cancelled', 'quorum', 'abstained');

create table tasks
(
    task_id              uuid          not null,
    netuid               integer       not null,
    organization_id      uuid          not null,
    user_id              uuid          not null,
    task_type            task_type     not null,
    priority             task_priority not null,
    source_language      text          not null,
    target_language      text,
    requested_model      text,
    -- The requested model, or nothing.
    require_model        boolean       not null,
    required_miner_count smallint      not null,
    -- Characters of text or bytes of a file: what speed is compared with.
    input_size           bigint        not null,
    -- The file, for types whose input is one; otherwise the text is in text_content.
    input_file_id        uuid,
    -- The voice that speech was asked in.
    voice_name           text,
    input_digest         bytea         not null,
    request_digest       bytea         not null,
    -- The client's Idempotency-Key or Violet-Nonce; empty when it sent none.
    client_entropy       bytea         not null,
    accepted_at          timestamptz   not null default now(),
    primary key (task_id)
) partition by range (task_id);
create table tasks_default partition of tasks default;
create index tasks_by_organization on tasks (organization_id, task_id desc);

create table text_content
(
    task_id uuid not null,
    text    text not null,
    primary key (task_id)
) partition by range (task_id);
create table text_content_default partition of text_content default;
-- Texts are read whole and rarely: keep the row small.
alter table text_content_default alter column text set storage external;

-- Metadata of files; their bytes are in object storage, synced before the row is committed.
create table files
(
    file_id         uuid        not null,
    organization_id uuid        not null,
    -- The task that it belongs to.
    task_id         uuid        not null,
    -- The miner whose answer it is part of; null for an input.
    hotkey          bytea,
    -- As its owner named it; for display only.
    file_name       text        not null,
    -- What its content is, whatever its name says.
    media_type      text        not null,
    size            bigint      not null,
    sha256          bytea       not null,
    object_key      text        not null,
    created_at      timestamptz not null default now(),
    primary key (file_id)
) partition by range (file_id);
create table files_default partition of files default;

create table task_open
(
    task_id         uuid primary key,
    netuid          integer       not null,
    task_type       task_type     not null,
    priority        task_priority not null,
    source_language text          not null,
    target_language text,
    required_model  text,
    required        smallint      not null,
    input_size      bigint        not null,
    -- What engines compare their limit with.
    input_bytes     bigint        not null,
    request_digest  bytea         not null,
    client_entropy  boolean       not null,
    accepted_at     timestamptz   not null default now(),
    draws           integer       not null,
    outstanding     smallint      not null,
    answered        smallint      not null default 0,
    seen            boolean       not null default false,
    done_at         timestamptz,
    -- Whether the validators that may judge are frozen.
    judged_by       boolean       not null default false
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);

-- Assignments as addressed mail: the row names its miner, delivering it again is harmless, and the primary key of the
-- answer makes it count once. Removed when it is answered, refused or expired.
create table task_assignments
(
    task_id     uuid        not null,
    hotkey      bytea       not null,
    netuid      integer     not null,
    uid         integer     not null,
    slot        smallint    not null,
    -- Draws that this slot had, this one included.
    attempt     smallint    not null,
    assigned_at timestamptz not null default now(),
    deadline    timestamptz not null,
    -- Without a sign of life from the miner by then, the assignment ends sooner.
    silent_at   timestamptz not null,
    seen_at     timestamptz,
    primary key (task_id, hotkey)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
-- A uid is a tenth of a hotkey; whose it is now is compared when it is read.
create index task_assignments_by_miner on task_assignments (netuid, uid, task_id);

-- How assignments ended that brought no answer in time.
create type assignment_outcome as enum ('expired', 'silent', 'refused', 'withdrawn');
create table assignment_ends
(
    task_id  uuid               not null,
    hotkey   bytea              not null,
    uid      integer            not null,
    slot     smallint           not null,
    outcome  assignment_outcome not null,
    detail   text,
    ended_at timestamptz        not null default now(),
    primary key (task_id, hotkey)
) partition by range (task_id);
create table assignment_ends_default partition of assignment_ends default;

create table miner_responses
(
    task_id      uuid        not null,
    hotkey       bytea       not null,
    uid          integer     not null,
    output       jsonb       not null,
    engine       text        not null,
    model_id     text        not null,
    -- BLAKE2b-256 of the canonical JSON of engine, model and output.
    digest       bytea       not null,
    crypto       text        not null,
    signature    bytea       not null,
    -- What the miner says; stored, never used.
    claimed_seconds double precision,
    -- From the commit of the assignment to the arrival of the answer.
    millis       bigint      not null,
    -- Whether it came in time; late answers are kept and not used.
    used         boolean     not null,
    received_at  timestamptz not null default now(),
    primary key (task_id, hotkey)
) partition by range (task_id);
create table miner_responses_default partition of miner_responses default;

-- The validators that may judge a task, frozen when it is done. Open rows, like the assignments.
create table task_juries
(
    task_id   uuid    not null,
    validator bytea   not null,
    -- total_stake of the chain, in rao; all that exists is below 2^63.
    stake     bigint not null,
    evaluated boolean not null default false,
    primary key (task_id, validator)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
create index task_juries_by_validator on task_juries (validator, task_id) where not evaluated;

-- One per task and validator, replaceable until the end.
create table evaluations
(
    task_id     uuid        not null,
    validator   bytea       not null,
    -- [{"hotkey", "score" | null, "parts", "comment"}]
    scores      jsonb       not null,
    crypto      text        not null,
    signature   bytea       not null,
    received_at timestamptz not null default now(),
    primary key (task_id, validator)
) partition by range (task_id);
create table evaluations_default partition of evaluations default;

-- The consensus on each answer of a settled task.
create table miner_consensus
(
    task_id   uuid     not null,
    hotkey    bytea    not null,
    -- 0..65535; null when nobody with stake scored it.
    consensus integer,
    primary key (task_id, hotkey)
) partition by range (task_id);
create table miner_consensus_default partition of miner_consensus default;

-- How a task ended. A second end is a conflict of the primary key.
create table task_ends
(
    task_id        uuid        not null,
    state          task_state  not null,
    reason         task_reason,
    best           bytea,
    eligible_stake bigint not null default 0,
    permitted_stake bigint not null default 0,
    ended_at       timestamptz not null default now(),
    primary key (task_id)
) partition by range (task_id);
create table task_ends_default partition of task_ends default;

-- A repeated request with the same key finds its task; another body under the same key is refused.
create table idempotency_keys
(
    organization_id uuid        not null,
    key             text        not null,
    -- BLAKE2b-256 of what was asked.
    fingerprint     bytea       not null,
    task_id         uuid        not null,
    created_at      timestamptz not null default now(),
    primary key (organization_id, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
