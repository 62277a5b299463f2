-- What people and their programs look up, in tables that hold a million documents.

-- Open requests in the order in which they are listed.
create index approval_request_open on quaestor.approval_request
    (requested_at, document_id, name) where state = 'open';

-- The votes on a request, also after they were counted.
create index inbox_decided on quaestor.inbox (document_id, id) where kind = 'Decided';

-- What waits longest, whoever owns it.
create index work_parked_longest on quaestor.work (parked_at, document_id)
    where parked_at is not null;
