-- Months that were written to a file and taken out of the trail. Leaves and proofs stay.

create table quaestor.audit_archive (
    month       text not null check (month ~ '^[0-9]{4}-[0-9]{2}$'),
    -- All leaves of the month lie in [first_leaf, end_leaf), some of its neighbours among them.
    first_leaf  bigint not null,
    end_leaf    bigint not null,
    entries     bigint not null,
    file        text not null,
    sha256      bytea not null check (octet_length(sha256) = 32),
    archived_at timestamptz not null,
    archived_by text not null,
    primary key (month, first_leaf)
);
create trigger append_only before update or delete or truncate on quaestor.audit_archive
    for each statement execute function quaestor.refuse_change();
call quaestor.guard_shared('quaestor.audit_archive');
grant select on quaestor.audit_archive
    to quaestor_worker, quaestor_gateway, quaestor_reader;

-- Detach the partition of a month of which a file holds `stated` entries. Only the owner of the
-- tables may: the application never takes anything out of the trail. The partition stays as a
-- table of its own, guarded as before, until the owner drops it.
create function quaestor.audit_detach(
    month_name text, first bigint, until bigint, stated bigint,
    file_name text, digest bytea, by_whom text
) returns void
    language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = on
    as $$
    declare
        begins timestamp := to_date(month_name, 'YYYY-MM')::timestamp;
        counted bigint;
    begin
        perform pg_advisory_xact_lock(hashtextextended('quaestor.audit_partitions', 0));
        lock table quaestor.audit in access exclusive mode;
        -- Nothing changes or goes in there; a late entry may have come.
        select count(*) into counted from quaestor.audit
            where at >= begins at time zone 'UTC'
                and at < (begins + interval '1 month') at time zone 'UTC';
        if counted <> stated then
            raise exception 'the month has % entries, the file %', counted, stated
                using errcode = 'serialization_failure';
        end if;
        execute format('alter table quaestor.audit detach partition quaestor.%I',
                       'audit_' || replace(month_name, '-', '_'));
        insert into quaestor.audit_archive
            values (month_name, first, until, stated, file_name, digest, quaestor.clock(), by_whom);
    end $$;
revoke execute on function quaestor.audit_detach from public;
