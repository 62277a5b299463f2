-- The audit trail (DESIGN D4): log, message tracker and outbox in one. docs/audit-format.md says
-- what the bytes mean. Rows are only ever added; what is erased is erased by the functions at the
-- end, and each erasure is an entry of the trail itself.

-- Nobody logs in as this role. It owns the erasing functions, and the append-only triggers let
-- nobody else change a row.
do $$
begin
    begin
        if not exists (select from pg_roles where rolname = 'quaestor_eraser') then
            create role quaestor_eraser nologin nobypassrls;
        end if;
    exception when duplicate_object or unique_violation then
        null;  -- another database of this cluster is being set up at the same moment
    end;
    execute format('grant quaestor_eraser to %I', current_user);
end
$$;
grant usage on schema quaestor to quaestor_eraser;

-- Row-level security for what belongs to the deployment: visible to every role of ours, because
-- hashes and checkpoints tell nothing about a document and whoever verifies needs them all.
create procedure quaestor.guard_shared(guarded regclass)
    language plpgsql
    as $$ begin
        execute format('alter table %s enable row level security', guarded);
        execute format('alter table %s force row level security', guarded);
        execute format('create policy everybody_sees on %s using (true) with check (true)',
                       guarded);
    end $$;

create procedure quaestor.guard_erasable(guarded regclass)
    language plpgsql
    as $$ begin
        call quaestor.guard_rows(guarded);
        execute format('create policy eraser_sees_all on %s to quaestor_eraser '
                       'using (true) with check (true)', guarded);
    end $$;

-- As `refuse_change`, but what the eraser may update by its column privileges passes.
create function quaestor.refuse_unless_erasing() returns trigger
    language plpgsql
    as $$ begin
        if tg_op = 'UPDATE' and current_user = 'quaestor_eraser' then
            return null;
        end if;
        raise exception 'quaestor.% is append-only: % refused', tg_table_name, tg_op
            using errcode = 'restrict_violation';
    end $$;

-- --- entries -------------------------------------------------------------------------------------

-- A block of ids per call (hi-lo); up to the largest integer that every JSON reader keeps exact.
create sequence quaestor.audit_id as bigint increment by 1000 minvalue 1 maxvalue 9007199254740991;

-- `canonical` is the entry; the columns beside it repeat what queries need, and `audit verify`
-- holds them against it. Nobody states `txid`: it decides the order of the leaves.
create table quaestor.audit (
    id             bigint not null,
    txid           xid8 not null default pg_current_xact_id(),
    at             timestamptz not null,
    entity         text not null,
    document_id    bigint,
    correlation_id text not null,
    canonical      bytea,
    salt           bytea,
    commitment     bytea not null check (octet_length(commitment) = 32),
    primary key (id, at),
    check ((canonical is null) = (salt is null)),
    check (octet_length(salt) = 16)
) partition by range (at);
create index audit_order on quaestor.audit (txid, id);
create index audit_correlation on quaestor.audit (correlation_id);
create trigger append_only before update or delete or truncate on quaestor.audit
    for each statement execute function quaestor.refuse_unless_erasing();
call quaestor.guard_erasable('quaestor.audit');

-- A partition is reached through its parent only: no policy and no grant lets anybody in directly.
create procedure quaestor.guard_partition(guarded regclass)
    language plpgsql
    as $$ begin
        execute format('create trigger append_only before update or delete or truncate on %s '
                       'for each statement execute function quaestor.refuse_unless_erasing()',
                       guarded);
        execute format('alter table %s enable row level security', guarded);
        execute format('alter table %s force row level security', guarded);
    end $$;

create table quaestor.audit_other partition of quaestor.audit default;
call quaestor.guard_partition('quaestor.audit_other');

-- Make the partitions of this month and of the next `months_ahead`. Returns how many were made. A
-- month that already has rows in the default partition stays there.
create function quaestor.audit_partitions(months_ahead integer) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        -- Without a time zone, so that a month is added in UTC.
        first timestamp := date_trunc('month', quaestor.clock() at time zone 'UTC');
        lower_bound timestamptz;
        upper_bound timestamptz;
        name text;
        made integer := 0;
    begin
        perform pg_advisory_xact_lock(hashtextextended('quaestor.audit_partitions', 0));
        for ahead in 0 .. least(months_ahead, 120) loop
            lower_bound := (first + make_interval(months => ahead)) at time zone 'UTC';
            upper_bound := (first + make_interval(months => ahead + 1)) at time zone 'UTC';
            name := 'audit_' || to_char(lower_bound at time zone 'UTC', 'YYYY_MM');
            continue when to_regclass('quaestor.' || name) is not null
                or exists (select from quaestor.audit where at >= lower_bound and at < upper_bound);
            execute format('create table quaestor.%I (like quaestor.audit including all)', name);
            execute format('alter table quaestor.audit attach partition quaestor.%I '
                           'for values from (%L) to (%L)', name, lower_bound, upper_bound);
            call quaestor.guard_partition(format('quaestor.%I', name)::regclass);
            made := made + 1;
        end loop;
        return made;
    end $$;
revoke execute on function quaestor.audit_partitions from public;
grant execute on function quaestor.audit_partitions to quaestor_worker;
select quaestor.audit_partitions(3);

-- --- payloads and subjects: erasable, beside the entries -----------------------------------------

-- `hash` is SHA-256 of the plain bytes, or HMAC-SHA-256 under the subject's key where there is a
-- subject. `content` is zlib (encoding 1), or AES-256-GCM over zlib under the subject's key (2).
create table quaestor.audit_payload (
    entity     text not null,
    retention  text not null check (retention ~ '^[a-z][a-z_]{0,31}$'),
    hash       bytea not null check (octet_length(hash) = 32),
    subject    text,
    encoding   smallint not null check (encoding in (1, 2)),
    size       integer not null,
    content    bytea,
    created_at timestamptz not null,
    erased_at  timestamptz,
    erased_by  bigint,
    primary key (entity, retention, hash),
    check ((subject is null) = (encoding = 1)),
    check ((content is null) = (erased_at is not null)),
    check ((content is null) = (erased_by is not null))
);
create index audit_payload_subject on quaestor.audit_payload (subject) where subject is not null;
create index audit_payload_created on quaestor.audit_payload using brin (created_at);
create trigger append_only before update or delete or truncate on quaestor.audit_payload
    for each statement execute function quaestor.refuse_unless_erasing();
call quaestor.guard_erasable('quaestor.audit_payload');

-- A person as one legal entity knows him. `lookup` is a keyed hash of his identity; `sealed` is
-- the identity under his key; `wrapped_key` is his key under the deployment's key.
create table quaestor.subject (
    subject     text primary key check (subject ~ '^sub:[a-z2-7]{16}$'),
    entity      text not null,
    lookup      bytea,
    sealed      bytea,
    wrapped_key bytea,
    created_at  timestamptz not null,
    erased_at   timestamptz,
    erased_by   bigint,
    unique (entity, lookup),
    check ((wrapped_key is null) = (erased_at is not null)),
    check ((wrapped_key is null) = (sealed is null)),
    check ((wrapped_key is null) = (lookup is null)),
    check ((wrapped_key is null) = (erased_by is not null))
);
create trigger append_only before update or delete or truncate on quaestor.subject
    for each statement execute function quaestor.refuse_unless_erasing();
call quaestor.guard_erasable('quaestor.subject');

-- --- leaves, tree, checkpoints -------------------------------------------------------------------

create table quaestor.audit_leaf (
    leaf      bigint primary key check (leaf >= 0),
    audit_id  bigint not null unique,
    at        timestamptz not null,
    leaf_hash bytea not null check (octet_length(leaf_hash) = 32)
);

-- Roots of complete subtrees of 2^level leaves, for every eighth level: each stands for a tile of
-- 256 children, so a proof reads a few tiles and never all leaves.
create table quaestor.audit_node (
    level smallint not null check (level > 0 and level % 8 = 0),
    index bigint not null check (index >= 0),
    hash  bytea not null check (octet_length(hash) = 32),
    primary key (level, index)
);

-- Where the sequencer stands: every committed row up to this transaction and id has its leaf, and
-- no row can appear there any more. The fence belongs to whoever took the lock last.
create table quaestor.audit_sequencer (
    only_row          boolean primary key default true check (only_row),
    fence             bigint not null,
    next_leaf         bigint not null,
    last_txid         xid8 not null,
    last_id           bigint not null,
    system_identifier text not null
);
insert into quaestor.audit_sequencer (fence, next_leaf, last_txid, last_id, system_identifier)
    select 0, 0, '0', 0, system_identifier::text from pg_control_system();

-- Transaction ids start again when the database was dumped into a new cluster; from `first_leaf`
-- on they are those of the new one.
create table quaestor.audit_epoch (
    first_leaf        bigint primary key,
    system_identifier text not null,
    began_at          timestamptz not null
);

create table quaestor.checkpoint (
    size    bigint primary key check (size >= 0),
    root    bytea not null check (octet_length(root) = 32),
    note    text not null,
    made_at timestamptz not null
);

do $$
declare
    shared text;
begin
    foreach shared in array array['audit_leaf', 'audit_node', 'audit_epoch', 'checkpoint'] loop
        execute format('create trigger append_only before update or delete or truncate '
                       'on quaestor.%I for each statement '
                       'execute function quaestor.refuse_change()', shared);
        call quaestor.guard_shared(format('quaestor.%I', shared)::regclass);
    end loop;
    call quaestor.guard_shared('quaestor.audit_sequencer');
end
$$;

-- Inserts wait until this ends, so that what a new cluster inherited can be told from what it
-- adds. The worker does not own the table, hence a function.
create function quaestor.audit_hold_writers() returns void
    language sql security definer set search_path = pg_catalog, pg_temp
    as $$ lock table quaestor.audit in share mode $$;
revoke execute on function quaestor.audit_hold_writers from public;
grant execute on function quaestor.audit_hold_writers to quaestor_worker;

-- --- erasure -------------------------------------------------------------------------------------

-- Canonical JSON (RFC 8785 over objects, texts and integers), as `audit/entry.py` makes it.
create function quaestor.audit_canonical(value jsonb) returns text
    language sql immutable strict
    as $$
    select case jsonb_typeof(value)
        when 'object' then
            (select '{' || coalesce(string_agg(
                to_json(normalize(m.key, nfc))::text || ':' || quaestor.audit_canonical(m.value),
                ',' order by m.key collate "C"), '') || '}'
             from jsonb_each(value) as m)
        when 'string' then to_json(normalize(value #>> '{}', nfc))::text
        else value::text
    end $$;

-- The entry that an erasure leaves. `stated` holds actor, effect and details.
create function quaestor.audit_erasure(owning_entity text, stated jsonb) returns bigint
    language plpgsql
    as $$
    declare
        entry_id bigint := nextval('quaestor.audit_id');
        entry_at timestamptz := quaestor.clock();
        correlation text := 'erasure-' || entry_id;
        body bytea;
        -- 244 random bits, hashed down to 128.
        salted bytea := substring(sha256(uuid_send(gen_random_uuid())
                                         || uuid_send(gen_random_uuid())) from 1 for 16);
    begin
        if stated ->> 'actor' !~ '^(sub:[a-z2-7]{16}|system:[a-z0-9_.-]{1,64})$' then
            raise exception 'An actor is a pseudonym or a system.'
                using errcode = 'check_violation';
        end if;
        body := convert_to(quaestor.audit_canonical(stated || jsonb_build_object(
            'format', 1,
            'id', entry_id,
            'at', to_char(entry_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'entity', owning_entity,
            'correlation_id', correlation,
            'outcome', 'erased')), 'UTF8');
        insert into quaestor.audit (id, at, entity, correlation_id, canonical, salt, commitment)
            values (entry_id, entry_at, owning_entity, correlation, body, salted,
                    sha256(salted || body));
        return entry_id;
    end $$;

-- Make a subject unreadable for ever: his identity, his key, and every payload under it. False
-- when there is no such subject or it is erased already.
create function quaestor.erase_subject(erased text, actor text, reason text) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        owning text;
        entry_id bigint;
    begin
        select s.entity into owning from quaestor.subject s
            where s.subject = erased and s.erased_at is null for update;
        if not found then
            return false;
        end if;
        entry_id := quaestor.audit_erasure(owning, jsonb_build_object(
            'actor', actor, 'effect', 'erase_subject',
            'details', jsonb_build_object('subject', erased, 'reason', reason)));
        update quaestor.audit_payload
            set content = null, erased_at = quaestor.clock(), erased_by = entry_id
            where subject = erased and content is not null;
        update quaestor.subject
            set lookup = null, sealed = null, wrapped_key = null,
                erased_at = quaestor.clock(), erased_by = entry_id
            where subject = erased;
        return true;
    end $$;

-- Erase payloads of one entity and retention class that are older than `before`, at most
-- `at_most` of them. Returns how many; nothing to erase leaves no entry.
create function quaestor.erase_payloads(
    owning text, class text, before timestamptz, at_most integer, actor text, reason text
) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        doomed bytea[];
        entry_id bigint;
    begin
        select array_agg(p.hash) into doomed from (
            select hash from quaestor.audit_payload
            where entity = owning and retention = class and created_at < before
                and content is not null
            order by created_at limit at_most for update) as p;
        if doomed is null then
            return 0;
        end if;
        entry_id := quaestor.audit_erasure(owning, jsonb_build_object(
            'actor', actor, 'effect', 'erase_payloads',
            'details', jsonb_build_object('retention', class, 'reason', reason,
                'before', to_char(before at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'payloads', cardinality(doomed)::text)));
        update quaestor.audit_payload
            set content = null, erased_at = quaestor.clock(), erased_by = entry_id
            where entity = owning and retention = class and hash = any (doomed);
        return cardinality(doomed);
    end $$;

-- For the day when something got into an entry that must not be there: its bytes and salt go,
-- commitment, leaf and proofs stay. False when there is no such entry or it is erased already.
create function quaestor.erase_entry(erased bigint, actor text, reason text) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        owning text;
    begin
        select a.entity into owning from quaestor.audit a
            where a.id = erased and a.canonical is not null for update;
        if not found then
            return false;
        end if;
        perform quaestor.audit_erasure(owning, jsonb_build_object(
            'actor', actor, 'effect', 'erase_entry',
            'details', jsonb_build_object('entry', erased::text, 'reason', reason)));
        update quaestor.audit set canonical = null, salt = null where id = erased;
        return true;
    end $$;

-- --- grants --------------------------------------------------------------------------------------

-- So that the alarm of the horizon can say how old the blocking transaction is. Where the server's
-- owner does not let us grant this, the alarm names the session without its age.
do $$
begin
    grant pg_read_all_stats to quaestor_worker;
exception when insufficient_privilege then
    null;
end
$$;

grant usage on sequence quaestor.audit_id to quaestor_worker, quaestor_gateway, quaestor_eraser;
grant insert (id, at, entity, document_id, correlation_id, canonical, salt, commitment)
    on quaestor.audit to quaestor_worker, quaestor_gateway, quaestor_eraser;
grant insert (entity, retention, hash, subject, encoding, size, content, created_at)
    on quaestor.audit_payload to quaestor_worker, quaestor_gateway;
grant insert (subject, entity, lookup, sealed, wrapped_key, created_at)
    on quaestor.subject to quaestor_worker, quaestor_gateway;
grant insert on quaestor.audit_leaf, quaestor.audit_node, quaestor.audit_epoch, quaestor.checkpoint
    to quaestor_worker;
grant update on quaestor.audit_sequencer to quaestor_worker;
grant select on
    quaestor.audit, quaestor.audit_payload, quaestor.subject, quaestor.audit_leaf,
    quaestor.audit_node, quaestor.audit_sequencer, quaestor.audit_epoch, quaestor.checkpoint
    to quaestor_worker, quaestor_gateway, quaestor_reader;

grant select on quaestor.audit, quaestor.audit_payload, quaestor.subject to quaestor_eraser;
grant update (canonical, salt) on quaestor.audit to quaestor_eraser;
grant update (content, erased_at, erased_by) on quaestor.audit_payload to quaestor_eraser;
grant update (lookup, sealed, wrapped_key, erased_at, erased_by) on quaestor.subject
    to quaestor_eraser;
grant select on quaestor.clock_offset to quaestor_eraser;

-- Handing a function over needs `create` on its schema, for that moment.
grant create on schema quaestor to quaestor_eraser;
alter function quaestor.erase_subject owner to quaestor_eraser;
alter function quaestor.erase_payloads owner to quaestor_eraser;
alter function quaestor.erase_entry owner to quaestor_eraser;
revoke create on schema quaestor from quaestor_eraser;

revoke execute on function quaestor.audit_erasure from public;
grant execute on function quaestor.audit_erasure to quaestor_eraser;
do $$
declare
    erasing regprocedure;
begin
    for erasing in select oid::regprocedure from pg_proc
        where pronamespace = 'quaestor'::regnamespace
            and proname in ('erase_subject', 'erase_payloads', 'erase_entry')
    loop
        execute format('revoke execute on function %s from public', erasing);
        execute format('grant execute on function %s to quaestor_worker', erasing);
    end loop;
end
$$;
