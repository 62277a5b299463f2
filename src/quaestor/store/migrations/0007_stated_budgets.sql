-- Budgets whose amount another system states: when the statement in force was true. An older one
-- that arrives later says nothing new.

alter table quaestor.budget_balance add column budget_as_of timestamptz;
alter table quaestor.budget_entry add column as_of timestamptz;

-- A reservation at the gateway is held against what the source states at that moment.
grant update (budget, budget_as_of) on quaestor.budget_balance to quaestor_gateway;
