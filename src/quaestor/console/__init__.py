"""Pages for a person: find a purchase, see its way, what waits for whom, and how systems are.

Server-rendered and read-only: reads go straight to SQL as the role `quaestor_gateway`, which sees
the caller's entities and nothing else. No page holds a script; docs/console.md says what each
page answers.
"""
