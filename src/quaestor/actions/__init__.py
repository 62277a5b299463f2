"""What a person or a system can do to a document, one file each.

Command line, gateway and console all call these. Each is where its own authorization is decided
(function × entity × environment), so that no door can be forgotten. Until the deployment has
identities, only the command line calls them: whoever reaches the database may do all of it.
"""
