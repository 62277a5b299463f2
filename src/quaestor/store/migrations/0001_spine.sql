-- The spine: documents, their work, what came in, what goes out, budgets. One schema, `quaestor`.
--
-- Roles. The owner of the tables (who runs the migrations) is never the role that the application
-- works as: every connection does SET ROLE to one of these.
--   quaestor_worker    sees every entity; inserts, updates; deletes nothing
--   quaestor_gateway   sees only the entities named in the setting `quaestor.entities`
--   quaestor_reader    as the gateway, but reads only
do $$
declare
    wanted text;
begin
    foreach wanted in array array['quaestor_worker', 'quaestor_gateway', 'quaestor_reader'] loop
        begin
            if not exists (select from pg_roles where rolname = wanted) then
                execute format('create role %I nologin nobypassrls', wanted);
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this cluster is being set up at the same moment
        end;
        execute format('grant %I to %I', wanted, current_user);
    end loop;
end
$$;

grant usage on schema quaestor to quaestor_worker, quaestor_gateway, quaestor_reader;

-- All SQL time is database time plus an offset that only the owner of the schema can set (tests).
create table quaestor.clock_offset (
    only_row  boolean primary key default true check (only_row),
    offset_by interval not null
);
insert into quaestor.clock_offset (offset_by) values ('0');
grant select on quaestor.clock_offset to quaestor_worker, quaestor_gateway, quaestor_reader;

create function quaestor.clock() returns timestamptz
    language sql stable parallel safe
    as $$ select statement_timestamp() + (select offset_by from quaestor.clock_offset) $$;

-- Whether the caller's entities include this one; without a setting nobody sees anything.
create function quaestor.sees(row_entity text) returns boolean
    language sql stable parallel safe
    as $$
        select row_entity = any (string_to_array(current_setting('quaestor.entities', true), ','))
    $$;

create function quaestor.refuse_change() returns trigger
    language plpgsql
    as $$ begin
        raise exception 'quaestor.% is append-only: % refused', tg_table_name, tg_op
            using errcode = 'restrict_violation';
    end $$;

create procedure quaestor.guard_rows(guarded regclass)
    language plpgsql
    as $$ begin
        execute format('alter table %s enable row level security', guarded);
        execute format('alter table %s force row level security', guarded);
        execute format('create policy worker_sees_all on %s to quaestor_worker '
                       'using (true) with check (true)', guarded);
        execute format('create policy caller_sees_own on %s to quaestor_gateway, quaestor_reader '
                       'using (quaestor.sees(entity)) with check (quaestor.sees(entity))', guarded);
        -- Force makes the owner subject to policies as well; the owner administers, so it has one.
        execute format('create policy owner_administers on %s to %I using (true) with check (true)',
                       guarded, current_user);
    end $$;

-- --- documents -----------------------------------------------------------------------------------

create table quaestor.document (
    id             bigint generated always as identity primary key,
    entity         text not null,
    type           text not null,
    source_system  text not null,
    source_id      text not null,
    number         text not null,
    correlation_id text not null,
    version        integer not null,
    content_hash   text not null,
    -- When the source last changed it: after a restore, what changed before `recover` may already
    -- have been sent in the time that was lost.
    changed_at     timestamptz not null,
    created_at     timestamptz not null,
    unique (type, source_system, source_id)
);
create index document_correlation on quaestor.document (correlation_id);
create index document_number on quaestor.document (number);
call quaestor.guard_rows('quaestor.document');

-- Each version's body, compressed canonical JSON. A later version waits here until it is adopted.
create table quaestor.document_body (
    document_id  bigint not null references quaestor.document (id),
    version      integer not null,
    entity       text not null,
    schema_no    integer not null,
    content_hash text not null,
    body         bytea not null,
    received_at  timestamptz not null,
    primary key (document_id, version)
);
call quaestor.guard_rows('quaestor.document_body');

-- --- work: a document is its own queue entry -----------------------------------------------------

create table quaestor.work (
    document_id  bigint primary key references quaestor.document (id),
    entity       text not null,
    flow         text not null,
    flow_version integer not null,
    schema_no    integer not null,
    release      text not null,
    stage        text not null,
    state        bytea not null,
    -- '' needs no send slot; otherwise target system/entity.
    lane         text not null default '',
    lane_since   timestamptz,
    due_at       timestamptz,
    lease_until  timestamptz not null default '-infinity',
    fence        bigint not null default 0,
    -- Times a worker died with this document in its hands.
    deaths       smallint not null default 0,
    woken        bigint not null default 0,
    woken_seen   bigint not null default 0,
    woken_at     timestamptz,
    parked_owner text,
    parked_code  text,
    parked       bytea,
    parked_at    timestamptz,
    done_at      timestamptz,
    outcome      text
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index work_due on quaestor.work (lane, due_at) where due_at is not null;
create index work_woken on quaestor.work (woken_at) where woken <> woken_seen;
create index work_parked on quaestor.work (parked_owner, parked_at) where parked_at is not null;
create index work_deaths on quaestor.work (document_id) where deaths > 0;
call quaestor.guard_rows('quaestor.work');

-- --- inbox: each event once ----------------------------------------------------------------------

create table quaestor.inbox (
    id          bigint generated always as identity primary key,
    entity      text not null,
    source      text not null,
    event_id    text not null,
    document_id bigint not null references quaestor.document (id),
    kind        text not null,
    body        bytea not null,
    received_at timestamptz not null,
    consumed_at timestamptz,
    unique (source, event_id)
);
create index inbox_waiting on quaestor.inbox (document_id, id) where consumed_at is null;
call quaestor.guard_rows('quaestor.inbox');

-- --- streams that are asked for what changed, and what came that could not be understood ---------

-- One worker at a time asks a stream; the cursor moves in the transaction that took its items in.
create table quaestor.stream (
    system      text not null,
    name        text not null,
    cursor      text,
    due_at      timestamptz not null,
    lease_until timestamptz not null default '-infinity',
    fence       bigint not null default 0,
    asked_at    timestamptz,
    answered_at timestamptz,
    trouble     text not null default '',
    primary key (system, name)
);

-- Nothing that comes is lost: what no mapping understands stands here until a person clears it.
-- `entity` is empty where not even that could be read; only workers see such a row.
create table quaestor.inbound_refused (
    id          bigint generated always as identity primary key,
    entity      text not null,
    system      text not null,
    stream      text not null,
    event_id    text not null,
    source_id   text not null,
    owner       text not null,
    code        text not null,
    refusals    bytea not null,
    body        bytea not null,
    received_at timestamptz not null,
    times       integer not null default 1,
    cleared_at  timestamptz,
    unique (system, stream, event_id)
);
create index inbound_refused_open on quaestor.inbound_refused (received_at)
    where cleared_at is null;
call quaestor.guard_rows('quaestor.inbound_refused');

-- --- intents: what is sent, committed before the first byte leaves -------------------------------

create table quaestor.intent (
    key           text primary key,
    entity        text not null,
    document_id   bigint not null references quaestor.document (id),
    name          text not null,
    system        text not null,
    action        text not null,
    generation    integer not null,
    lane          text not null,
    state         text not null,
    core          bytea not null,
    command       bytea not null,
    payload       bytea not null,
    number        text,
    created_at    timestamptz not null,
    first_sent_at timestamptz,
    resolved_at   timestamptz,
    reconcile_at  timestamptz,
    unique (document_id, name)
) with (fillfactor = 70);
create index intent_reconcile on quaestor.intent (reconcile_at) where reconcile_at is not null;
call quaestor.guard_rows('quaestor.intent');

-- Answers that could not be recorded where they belong. Nothing here can refuse one.
create table quaestor.outcome_spool (
    at          timestamptz,
    document_id bigint,
    fence       bigint,
    key         text,
    answer      bytea,
    error       text
);

create table quaestor.crossref (
    system      text not null,
    kind        text not null,
    external_id text not null,
    entity      text not null,
    document_id bigint not null references quaestor.document (id),
    key         text,
    at          timestamptz not null,
    primary key (system, kind, external_id, entity, document_id)
);
create index crossref_document on quaestor.crossref (document_id);
create index crossref_external on quaestor.crossref (external_id);
call quaestor.guard_rows('quaestor.crossref');

create table quaestor.approval_request (
    document_id  bigint not null references quaestor.document (id),
    name         text not null,
    entity       text not null,
    decider      text not null,
    version      integer not null,
    content_hash text not null,
    amount       numeric not null,
    currency     text not null,
    state        text not null check (state in ('open', 'decided', 'withdrawn')),
    requested_at timestamptz not null,
    closed_at    timestamptz,
    primary key (document_id, name, version)
);
call quaestor.guard_rows('quaestor.approval_request');

-- --- budget --------------------------------------------------------------------------------------

create table quaestor.budget_balance (
    -- Amounts are in the base currency of the entity.
    node        text primary key,
    entity      text not null,
    parent      text references quaestor.budget_balance (node),
    control     text not null check (control in ('absolute', 'advisory')),
    tolerance_pct    numeric,
    tolerance_amount numeric,
    budget      numeric not null,
    pre         numeric not null default 0 check (pre >= 0),
    enc         numeric not null default 0 check (enc >= 0),
    act         numeric not null default 0
) with (fillfactor = 20);
call quaestor.guard_rows('quaestor.budget_balance');

create table quaestor.budget_entry (
    id          bigint generated always as identity primary key,
    at          timestamptz not null,
    entity      text not null,
    node        text not null references quaestor.budget_balance (node),
    document_id bigint,
    effect      text not null,
    kind        text not null,
    budget      numeric not null default 0,
    pre         numeric not null default 0,
    enc         numeric not null default 0,
    act         numeric not null default 0
);
create index budget_entry_document on quaestor.budget_entry (document_id);
create index budget_entry_node on quaestor.budget_entry (node);
create trigger append_only before update or delete or truncate on quaestor.budget_entry
    for each statement execute function quaestor.refuse_change();
call quaestor.guard_rows('quaestor.budget_entry');

-- --- releases, systems, workers, epoch (no entity: they belong to the deployment) ----------------

create table quaestor.release (
    hash         text primary key,
    body         bytea not null,
    published_at timestamptz not null,
    published_by text not null
);
create table quaestor.release_current (
    only_row boolean primary key default true check (only_row),
    hash     text not null references quaestor.release (hash),
    since    timestamptz not null
);

create table quaestor.system_state (
    -- As the worker that spoke last sees it; each worker decides on its own circuit.
    system    text primary key,
    open      boolean not null default false,
    reason    text not null default '',
    failures  integer not null default 0,
    opened_at timestamptz,
    seen_at   timestamptz not null
);

create table quaestor.worker (
    id         text primary key,
    started_at timestamptz not null,
    seen_at    timestamptz not null,
    -- Documents whose stages this worker is running at this moment: if it dies, they are suspects.
    batch      bigint[] not null default '{}'
);

create table quaestor.epoch (
    id                bigint generated always as identity primary key,
    system_identifier text not null,
    timeline          integer not null,
    accepted_at       timestamptz not null,
    accepted_by       text not null,
    recovery_point    timestamptz
);

-- --- grants --------------------------------------------------------------------------------------

grant select, insert, update on
    quaestor.document, quaestor.work, quaestor.inbox, quaestor.intent, quaestor.approval_request,
    quaestor.budget_balance, quaestor.release_current, quaestor.system_state, quaestor.worker
    to quaestor_worker;
grant select, insert on
    quaestor.document_body, quaestor.crossref, quaestor.budget_entry, quaestor.release,
    quaestor.epoch,
    quaestor.outcome_spool
    to quaestor_worker;
grant delete on quaestor.worker to quaestor_worker;
grant select, insert on quaestor.document, quaestor.document_body, quaestor.inbox
    to quaestor_gateway;
grant select, insert, update on quaestor.work to quaestor_gateway;
grant select on
    quaestor.document, quaestor.document_body, quaestor.work, quaestor.inbox, quaestor.intent,
    quaestor.crossref, quaestor.approval_request, quaestor.budget_balance, quaestor.budget_entry,
    quaestor.release, quaestor.release_current, quaestor.system_state, quaestor.epoch
    to quaestor_gateway, quaestor_reader;
grant select, insert, update on quaestor.stream, quaestor.inbound_refused to quaestor_worker;
grant select on quaestor.inbound_refused to quaestor_gateway, quaestor_reader;
