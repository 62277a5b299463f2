-- Streams: how often in a row a system was in trouble, hints that arrive while it is asked, and
-- deliveries that were here before.

alter table quaestor.stream
    add column failures  integer not null default 0,
    add column hinted_at timestamptz;

-- A hint does not shorten a pause that the system asked for; it is seen when that is over.
grant select (trouble), update (hinted_at) on quaestor.stream to quaestor_gateway;

-- Deliveries of signed webhooks by their own id, kept for longer than a signature is good for.
create table quaestor.webhook_delivery (
    system      text not null,
    event_id    text not null check (length(event_id) between 1 and 255),
    received_at timestamptz not null,
    primary key (system, event_id)
);
create index webhook_delivery_old on quaestor.webhook_delivery (received_at);
grant select, insert, delete on quaestor.webhook_delivery to quaestor_gateway;
