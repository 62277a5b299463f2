"""HTTP in: business API, webhooks, idempotency, problems (DESIGN §5).

Handlers are thin: acts go through `actions`, reads go straight to SQL as the role
`quaestor_gateway`, which sees the caller's entities and nothing else.
"""
