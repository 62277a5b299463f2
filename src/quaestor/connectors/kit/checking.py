"""What a check of a system is about: the topic of each probe, and what the system promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee, Manifest, Probe

__all__ = ["TOPICS", "Topic", "guarantees", "topic_of"]

Topic = Literal["network", "credentials", "permissions", "fields", "guarantee"]

# In the order in which they depend on each other.
TOPICS: tuple[Topic, ...] = ("network", "credentials", "permissions", "fields", "guarantee")

_BY_NAME: Mapping[str, Topic] = {
    "network": "network",
    "credentials": "credentials",
    "secret": "credentials",
    "token": "credentials",
    "fields": "fields",
    "guarantee": "guarantee",
}
_PROMISES: Mapping[Guarantee, str] = {
    Guarantee.KEY: "it remembers our key: after a lost answer the same is sent again",
    Guarantee.UNIQUE: "our number is taken once: after a lost answer the same is sent again",
    Guarantee.REPEATABLE: "doing it twice is harmless: after a lost answer it is sent again",
    Guarantee.SEARCH: "nothing there stops a second one: after a lost answer it is looked for, "
    "{settle_s:g} s after the last byte, before anything is sent again",
    Guarantee.NONE: "after a lost answer it cannot be found out: a person decides",
}


def topic_of(probe: Probe) -> Topic:
    """What a probe is about, by its name; what it may read or do where the name says no more."""
    return _BY_NAME.get(probe.name.split(" ")[0], "permissions")


def guarantees(manifest: Manifest) -> tuple[Probe, ...]:
    """What the installation promises for each action; for what only answers, that it does."""
    found = [
        Probe(f"guarantee {name}", True, _promise(action))
        for name, action in manifest.actions.items()
    ]
    if not found:
        found = [Probe("guarantee", True, "it is only asked: nothing is changed there")]
    return tuple(found)


def _promise(action: ActionGuarantee) -> str:
    told = _PROMISES[action.guarantee].format(settle_s=action.settle_s)
    return f"{told}; resend = never: a person is asked first" if action.resend == "never" else told
