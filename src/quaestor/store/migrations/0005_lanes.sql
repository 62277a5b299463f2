-- What needs no system next waits in a lane of its entity, `/entity`, so that one entity's flood
-- holds up no other one. Until now all of it stood in one lane without a name.
update quaestor.work set lane = '/' || entity where lane = '' and done_at is null;

-- Documents that wait for a slot of their system: how long is asked all the time.
create index work_waiting on quaestor.work (lane_since) where lane_since is not null;
