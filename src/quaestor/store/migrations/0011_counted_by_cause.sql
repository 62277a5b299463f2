-- How many wait for whom and why, of one entity: counted at each visit of a page, as far as is
-- told apart, however many wait for something else.
create index work_parked_cause on quaestor.work (entity, parked_owner, parked_code)
    where parked_at is not null;
