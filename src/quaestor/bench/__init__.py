"""Measuring: what an installation of Quaestor carries, beside what its database alone could carry.

run      the measurement: what is interleaved with what, and what counts as a result
load     requisitions in, in a closed loop, until they are ordered
limit    the same rows, written by the database alone
rows     what one flow writes: looked up in a database that the engine has worked on
erp      the ledger of the benchmark: SAP's answers, as cheaply as they can be given
gateway  validations beside the bare route, and requisitions taken in
asking   requests on schedule, or as many as are answered
bare     the framework alone, with the same body
folder   the project and the requisitions of the benchmark
spending what a window costs, and what else the machine did meanwhile
meters   processor time, memory and the machine, read from the operating system
report   the table for people and the line for machines
"""

from __future__ import annotations

__all__: list[str] = []
