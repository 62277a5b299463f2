"""A customer's project folder: text files in, one checked `Project` out.

load          the folder as a whole; every problem at once
files, shape  text to values, values to types, each fault with its line and its cure
parts, policies, ownership, toml_settings, configs    what stands in which file
agreement     what one part names, another must have
reads, seams  what the stages of a flow are given of it
systems       its systems as connectors, ready to be called
"""
