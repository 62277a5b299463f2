"""What a person or a system can do to a document, one file each.

Command line, gateway and console all call these. Each is where its own authorization is decided
(function × entity × environment), so that no door can be forgotten: what takes a `Caller` asks
his token. `cancel` and `retry` take none; they are for operators at the command line, who reach
the database anyway, and are called by the others once the caller has been permitted.
"""
