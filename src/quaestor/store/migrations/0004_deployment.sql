-- Whose database this is. A project of another name or environment is refused: its posting keys
-- would be others for the same documents, and what was only tried out would be sent for good.
create table quaestor.deployment (
    only_row    boolean primary key default true check (only_row),
    name        text not null,
    environment text not null check (environment in ('test', 'production')),
    since       timestamptz not null
);
create trigger append_only before update or delete or truncate on quaestor.deployment
    for each statement execute function quaestor.refuse_change();
-- Whoever starts first writes it down, be it a gateway or a worker.
grant select, insert on quaestor.deployment to quaestor_worker, quaestor_gateway;
grant select on quaestor.deployment to quaestor_reader;
