"""The audit trail: log, message tracker and outbox in one append-only table (DESIGN D4).

entry        one entry, its canonical bytes, commitment and leaf hash
payload      the bytes beside an entry, erasable
subjects     pseudonyms of people, their keys
append       what the transaction of a state change calls
sequencer    gap-free leaf numbers below the horizon of running transactions
merkle       RFC 9162 tree: roots, proofs, verification
checkpoint   signed roots, exported to two places
verify       finds what was changed, removed, inserted or reordered
trace        every step of one correlation id
erasure      what the law asks to forget
"""

from __future__ import annotations
