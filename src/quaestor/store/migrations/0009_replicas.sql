-- Replicas: lists that another system owns, as it last told them.

-- One row per list. What is read is staged, and holds when the reading is whole and was let in.
create table quaestor.replica (
    system    text not null,
    kind      text not null,
    -- Moves when a row of the list does.
    version   bigint not null default 0,
    -- Everything that the system knew at this time is in it; nothing before the first whole load.
    as_of     timestamptz,
    loaded_at timestamptz,
    reading   text check (reading in ('full', 'changes')),
    begun_at  timestamptz,
    primary key (system, kind)
);
grant select, insert, update on quaestor.replica to quaestor_worker;
grant select on quaestor.replica to quaestor_gateway, quaestor_reader;

-- `entity` is empty for what belongs to no single one: people, suppliers.
create table quaestor.replica_row (
    entity text not null default '',
    system text not null,
    kind   text not null,
    staged boolean not null,
    id     text not null,
    body   bytea not null,
    primary key (system, kind, staged, id),
    foreign key (system, kind) references quaestor.replica (system, kind)
);
call quaestor.guard_rows('quaestor.replica_row');
grant select, insert, update, delete on quaestor.replica_row to quaestor_worker;
grant select on quaestor.replica_row to quaestor_gateway, quaestor_reader;
