-- Entries that stand in no month's partition: counted, and moved where they belong.

-- How many entries stand in `audit_other`, by month in UTC; `at_most` are counted. Nobody reaches a
-- partition directly, so they are asked for by the times that no month covers: no other partition
-- is read for that.
create function quaestor.audit_outside(at_most integer)
    returns table (month timestamp, entries bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        gap tstzrange;
        parts text[] := '{}';
    begin
        for gap in
            select unnest('{(,)}'::tstzmultirange - coalesce(range_agg(tstzrange(
                first at time zone 'UTC',
                (first + interval '1 month') at time zone 'UTC')), '{}'))
            from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            cross join lateral (select to_date(right(c.relname, 7), 'YYYY_MM')::timestamp) m (first)
            where i.inhparent = 'quaestor.audit'::regclass
                and c.relname ~ '^audit_[0-9]{4}_[0-9]{2}$'
        loop
            parts := parts || format(
                '(select at from quaestor.audit where %s and %s limit %s)',
                case when lower_inf(gap) then 'true' else format('at >= %L', lower(gap)) end,
                case when upper_inf(gap) then 'true' else format('at < %L', upper(gap)) end,
                at_most);
        end loop;
        return query execute format(
            'select date_trunc(''month'', at at time zone ''UTC''), count(*) '
            'from (%s limit %s) found group by 1 order by 1',
            array_to_string(parts, ' union all '), at_most);
    end $$;
revoke execute on function quaestor.audit_outside from public;
grant execute on function quaestor.audit_outside to quaestor_worker;

-- Move what stands in `audit_other` into partitions of its months, whole or not at all. Returns how
-- many entries were moved: none while there are more than `at_most`. Writers wait meanwhile, so the
-- caller says by `lock_timeout` how long they may be kept by somebody else. Every column stays what
-- it is, and with it order, leaf and proof.
create function quaestor.audit_gather(at_most integer) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        first timestamp;
        months timestamp[];
        waiting bigint;
        named text;
        moved bigint;
        gathered bigint := 0;
    begin
        perform pg_advisory_xact_lock(hashtextextended('quaestor.audit_partitions', 0));
        select coalesce(sum(entries), 0) into waiting from quaestor.audit_outside(at_most + 1);
        if waiting = 0 or waiting > at_most then
            return 0;
        end if;
        lock table quaestor.audit in access exclusive mode;
        -- Some may have come while the lock was waited for.
        select array_agg(month), sum(entries) into months, waiting
            from quaestor.audit_outside(at_most + 1);
        if waiting > at_most then
            return 0;
        end if;
        alter table quaestor.audit detach partition quaestor.audit_other;
        alter table quaestor.audit_other rename to audit_gathered;
        -- Its rows are read once more; then it is gone.
        alter table quaestor.audit_gathered no force row level security;
        foreach first in array months loop
            named := 'audit_' || to_char(first, 'YYYY_MM');
            execute format('create table quaestor.%I (like quaestor.audit including all)', named);
            execute format('insert into quaestor.%I select * from quaestor.audit_gathered '
                           'where date_trunc(''month'', at at time zone ''UTC'') = %L',
                           named, first);
            get diagnostics moved = row_count;
            gathered := gathered + moved;
            execute format('alter table quaestor.audit attach partition quaestor.%I '
                           'for values from (%L) to (%L)', named, first at time zone 'UTC',
                           (first + interval '1 month') at time zone 'UTC');
            call quaestor.guard_partition(format('quaestor.%I', named)::regclass);
        end loop;
        if gathered <> waiting then
            raise exception 'moved % of % entries', gathered, waiting;
        end if;
        drop table quaestor.audit_gathered;
        create table quaestor.audit_other partition of quaestor.audit default;
        call quaestor.guard_partition('quaestor.audit_other');
        return gathered;
    end $$;
revoke execute on function quaestor.audit_gather from public;
grant execute on function quaestor.audit_gather to quaestor_worker;
