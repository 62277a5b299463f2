-- The gateway: one answer per Idempotency-Key, and what it needs to hold a budget itself.

-- The answer of a request that took effect, written in the transaction of that effect. So a record
-- is there if and only if the effect is, and there is no state `running` that a crash could leave
-- behind. Nobody may update a record, and only an expired one may go (I6).
create table quaestor.idempotency (
    -- The first of the caller's entities: whoever may use the record may see it.
    entity       text not null,
    -- All entities of the caller, in order, separated by commas.
    scope        text not null,
    client       text not null,
    -- Method and template of the path.
    route        text not null,
    key          text not null check (length(key) between 1 and 255),
    fingerprint  bytea not null check (octet_length(fingerprint) = 32),
    status       smallint not null,
    headers      bytea not null,
    body         bytea not null,
    completed_at timestamptz not null,
    expires_at   timestamptz not null check (expires_at >= completed_at + interval '72 hours'),
    primary key (client, route, key, scope)
);
create index idempotency_expired on quaestor.idempotency (expires_at);
call quaestor.guard_rows('quaestor.idempotency');
create policy only_expired_goes on quaestor.idempotency as restrictive
    for delete to quaestor_gateway, quaestor_worker using (expires_at <= quaestor.clock());
create trigger never_updated before update or truncate on quaestor.idempotency
    for each statement execute function quaestor.refuse_change();
grant select, insert, delete on quaestor.idempotency to quaestor_gateway;
grant select, delete on quaestor.idempotency to quaestor_worker;

-- A reservation is decided while the caller waits, in the ledger of the runtime.
grant update (pre, enc, act) on quaestor.budget_balance to quaestor_gateway;
grant insert on quaestor.budget_entry to quaestor_gateway;

-- A later version waits for its turn on the document's row; a lock needs the right to update.
grant update (changed_at) on quaestor.document to quaestor_gateway;

-- A webhook is a hint: it makes a stream due, and the system is then asked what changed.
grant select (system, name, due_at), update (due_at) on quaestor.stream to quaestor_gateway;
