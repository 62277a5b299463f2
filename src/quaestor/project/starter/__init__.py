"""A new project folder, written for the systems that somebody chose.

choosing     which systems can stand in which part
options      every option of a connector's own type, as commented TOML
settings     quaestor.toml
people       entities, people, master data, policies: small, and working
crosswalks   their codes for ours
guide        the folder's README, and a first requisition
writing      into an empty folder, and never anywhere dangerous
"""
