-- The balances of these nodes and of all above them, as callers of these entities see them. One
-- statement by itself: what is let through ends with it.
create function quaestor.balances_of(entities text, nodes text[])
    returns setof quaestor.budget_balance
    language plpgsql
    as $$ begin
        perform set_config('quaestor.entities', entities, true);
        return query
            with recursive chain as (
                select b.node, b.parent from quaestor.budget_balance b where b.node = any (nodes)
                union
                select up.node, up.parent
                from quaestor.budget_balance up join chain on up.node = chain.parent
            )
            select b.* from quaestor.budget_balance b where b.node in (select c.node from chain c);
    end $$;
revoke execute on function quaestor.balances_of from public;
grant execute on function quaestor.balances_of to quaestor_gateway;
