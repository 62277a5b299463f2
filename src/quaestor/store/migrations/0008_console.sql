-- What the page about the systems shows of streams and workers: how they are, no cursor, no batch.
grant select (asked_at, answered_at, trouble) on quaestor.stream to quaestor_gateway;
grant select (id, started_at, seen_at) on quaestor.worker to quaestor_gateway;
