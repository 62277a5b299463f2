"""The contract suite: what every vendor passes, shipped so that a customer's own passes it too.

Each check is a sentence and an async function of a `Subject`; it raises `ContractBroken`. A test
runs them all:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_the_contract_holds(check): await check(SUBJECT)
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from itertools import pairwise

from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Absent,
    AlreadyExists,
    Ambiguous,
    Applied,
    Connector,
    Guarantee,
    Permanent,
    Rejected,
    Several,
    Submits,
    Transient,
)
from quaestor.connectors.kit.faults import WireFault, cut_points
from quaestor.connectors.kit.rig import CANARY, Rig, Subject, require

__all__ = ["CHECKS", "Check"]

Check = Callable[[Subject], Awaitable[None]]

KEY = "k7qfn2xw3mzr5tdy4hbp6vgs2alj3ecu5oi7k4qf6nxw2mzr5tdy"
OTHER = "z5rdn2xw3mzr5tdy4hbp6vgs2alj3ecu5oi7k4qf6nxw2mzr5tdy"
NOWHERE = "http://127.0.0.1:9"


async def the_manifest_agrees_with_the_methods(subject: Subject) -> None:
    """Each declared action can be rendered, submitted and looked for; the kind is the same."""
    async with Rig(subject) as rig:
        connector = rig.connector
        require(isinstance(connector, Connector), "it has `manifest` and `check`")
        manifest = connector.manifest
        require(manifest.kind == subject.kind.manifest.kind, "the installed kind is the vendor's")
        vendor = subject.kind.manifest.actions.keys()
        require(manifest.actions.keys() <= vendor, "an installation adds no action")
        require(bool(manifest.actions) == isinstance(connector, Submits), "actions are submitted")
        receives = subject.kind.receiver is not None
        require(manifest.receives == receives, "it receives if and only if it says so")
        for method in (connector.submit, connector.find, connector.check):
            require(inspect.iscoroutinefunction(method), f"{method.__name__} is async")
        unknown = subject.order(KEY)
        require(unknown.action in manifest.actions, "the suite's command is one of its actions")


async def the_check_of_a_good_installation_is_good(subject: Subject) -> None:
    """`connector check` finds nothing wrong, and names the fix where it does."""
    async with Rig(subject) as rig:
        probes = await rig.connector.check()
        require(bool(probes) and all(probe.good for probe in probes), f"all good: {probes}")
        elsewhere = await rig.connect(NOWHERE).check()
        bad = [probe for probe in elsewhere if not probe.good]
        require(bool(bad) and all(probe.fix for probe in bad), "what is bad names its fix")


async def rendering_is_pure_and_deterministic(subject: Subject) -> None:
    """The same command gives the same bytes, another key gives others; nothing is sent."""
    async with Rig(subject) as rig:
        once = rig.connector.render(subject.order(KEY))
        again = rig.connect(NOWHERE).render(subject.order(KEY))
        other = rig.connector.render(subject.order(OTHER))
        require(once == again, "rendered twice, the same bytes")
        require(once != other, "the bytes carry the reference")
        require(await rig.requests() == 0, "rendering sends nothing")


async def what_was_submitted_is_found(subject: Subject) -> None:
    """Submit, then find: the same number, no differences, one document."""
    async with Rig(subject, settle_s=0.05) as rig:
        command = subject.order(KEY)
        answer = await rig.submit(command)
        require(isinstance(answer, Applied), f"applied, not {answer!r}")
        assert isinstance(answer, Applied)
        require(answer.differences == (), f"no differences: {answer.differences}")
        require(len(await rig.documents(command)) == 1, "one document stands there")
        require(rig.points == ["after_send", "after_answer"], f"both points: {rig.points}")
        if rig.findable:
            found = await rig.found(command)
            require(isinstance(found, Applied), f"found, not {found!r}")
            assert isinstance(found, Applied)
            require((found.number, found.differences) == (answer.number, ()), "the same document")


async def another_reference_is_not_ours(subject: Subject) -> None:
    """A look-up for another key does not find our document."""
    async with Rig(subject) as rig:
        await rig.submit(subject.order(KEY))
        if rig.findable:
            found = await rig.find(subject.order(OTHER))
            require(isinstance(found, Absent), f"absent, not {found!r}")


async def a_lost_answer_is_ambiguous_and_then_found(subject: Subject) -> None:
    """The system did its work and the answer was lost: never Transient, found later (F1)."""
    await _after_commit(subject, "drop_after_commit")


async def a_500_after_commit_is_ambiguous_and_then_found(subject: Subject) -> None:
    """A failure in the middle of the work is no refusal (F2)."""
    await _after_commit(subject, "500_after_commit")


async def _after_commit(subject: Subject, fault: str) -> None:
    async with Rig(subject, settle_s=0.05) as rig:
        command = subject.order(KEY)
        await rig.fault(fault)
        answer = await rig.submit(command)
        require(isinstance(answer, Ambiguous), f"ambiguous, not {answer!r}")
        require(len(await rig.documents(command)) == 1, "the document stands there")
        if rig.findable:
            found = await rig.found(command)
            require(isinstance(found, Applied), f"found, not {found!r}")


async def a_late_commit_is_found_after_a_first_absent(subject: Subject) -> None:
    """The request commits after our time-out and after a first look-up (F4)."""
    async with Rig(subject) as rig:
        command = subject.order(KEY)
        await rig.fault("commit_late", seconds=0.15)
        answer = await rig.submit(command)
        require(isinstance(answer, Ambiguous), f"ambiguous, not {answer!r}")
        if rig.findable:
            first = await rig.find(command)
            require(isinstance(first, Absent), f"absent at first, not {first!r}")
            found = await rig.found(command)
            require(isinstance(found, Applied), f"found later, not {found!r}")


async def a_reset_before_commit_is_ambiguous_and_leaves_nothing(subject: Subject) -> None:
    """Bytes left us, so we cannot know; the look-up says that nothing is there (F3)."""
    async with Rig(subject) as rig:
        command = subject.order(KEY)
        await rig.fault("reset")
        answer = await rig.submit(command)
        require(isinstance(answer, Ambiguous), f"ambiguous, not {answer!r}")
        require(await rig.documents(command) == [], "nothing stands there")
        if rig.findable:
            found = await rig.find(command)
            require(isinstance(found, Absent), f"absent, not {found!r}")


async def a_429_is_obeyed(subject: Subject) -> None:
    """Too many requests: surely not applied, and the vendor's wish is handed on (F21)."""
    async with Rig(subject) as rig:
        command = subject.order(KEY)
        await rig.fault("429", seconds=7)
        answer = await rig.submit(command)
        require(isinstance(answer, Transient), f"transient, not {answer!r}")
        assert isinstance(answer, Transient)
        require(answer.retry_after_s == 7.0, f"in 7 seconds, not {answer.retry_after_s}")
        require(await rig.documents(command) == [], "nothing stands there")


async def a_refused_connection_is_transient(subject: Subject) -> None:
    """Nobody listens: surely not applied, and the system's circuit opens."""
    async with Rig(subject) as rig:
        rig.connector = rig.connect(NOWHERE)
        answer = await rig.submit(subject.order(KEY))
        require(isinstance(answer, Transient), f"transient, not {answer!r}")
        assert isinstance(answer, Transient)
        require(answer.system, "the system is in trouble, not the document")
        if rig.findable:
            found = await rig.find(subject.order(KEY))
            require(isinstance(found, Transient), f"a look-up too, not {found!r}")


async def a_hang_is_cut_by_the_total_timeout(subject: Subject) -> None:
    """Every request has a total time-out; after the first byte it is ambiguous (F19)."""
    async with Rig(subject) as rig:
        rig.total_timeout_s = 0.3
        await rig.fault("hang", seconds=30)
        answer = await rig.submit(subject.order(KEY))
        require(isinstance(answer, Ambiguous), f"ambiguous, not {answer!r}")


async def an_expired_token_is_renewed_and_nothing_is_sent_twice(subject: Subject) -> None:
    """A token that ran out is renewed once within the submit, or named so (F25)."""
    async with Rig(subject) as rig:
        command = subject.order(KEY)
        await rig.fault("expire_token")
        answer = await rig.submit(command)
        renewed = isinstance(answer, Applied)
        named = isinstance(answer, Transient) and answer.code == "connector_auth_failed"
        require(renewed or named, f"applied or auth failed, not {answer!r}")
        require(len(await rig.documents(command)) == int(renewed), "at most one document")


async def a_refusal_is_the_applications_own_word(subject: Subject) -> None:
    """What the vendor refuses is Rejected, by name, and nothing is created (F22)."""
    async with Rig(subject) as rig:
        command = subject.refused(KEY)
        answer = await rig.submit(command)
        require(isinstance(answer, Rejected), f"rejected, not {answer!r}")
        assert isinstance(answer, Rejected)
        require(answer.refusal.code == subject.rejected_as, f"refused as {subject.rejected_as}")
        require(bool(answer.refusal.details.get("code")), "with the vendor's own code")
        require(len(answer.refusal.details.get("message", "")) <= 200, "its sentence is bounded")
        require(await rig.documents(command) == [], "nothing stands there")


async def the_deadline_is_checked_before_the_first_byte(subject: Subject) -> None:
    """A send that comes too late sends nothing and says that it was our own lateness (D5)."""
    async with Rig(subject) as rig:
        rig.send_within_s = -0.001
        answer = await rig.submit(subject.order(KEY))
        require(isinstance(answer, Transient), f"transient, not {answer!r}")
        assert isinstance(answer, Transient)
        late = answer.code == DEADLINE_PASSED and not answer.system
        require(late, f"our own lateness: {answer.code}")
        require(await rig.requests() == 0, "nothing was sent")


async def a_proxys_502_is_ambiguous(subject: Subject) -> None:
    """A gateway answers for a system that did its work: not the application's word."""
    async with Rig(subject, proxied=True) as rig:
        command = subject.order(KEY)
        rig.proxy.plan(WireFault(on=subject.creates, do="502"))
        answer = await rig.submit(command)
        require(isinstance(answer, Ambiguous), f"ambiguous, not {answer!r}")
        assert isinstance(answer, Ambiguous)
        require(answer.system, "a dead proxy opens the circuit")
        require(len(await rig.documents(command)) == 1, "the document stands there")


async def an_answer_cut_anywhere_is_never_taken_for_a_fact(subject: Subject) -> None:
    """Sixteen cut points of the answer to a create, and of the answer to a refusal."""
    for make in (subject.order, subject.refused):
        async with Rig(subject, proxied=True) as rig:
            await rig.submit(make(OTHER))
            whole = rig.proxy.answered_bytes
            require(whole > 16, "the proxy measured a whole answer")
            points = cut_points(whole)
            require(all(one < two for one, two in pairwise(points)), "sixteen different places")
            for number, after in enumerate(points):
                command = make(KEY[number:] + KEY[:number])
                rig.proxy.plan(WireFault(on=subject.creates, do="cut", after_bytes=after))
                answer = await rig.submit(command)
                require(isinstance(answer, Ambiguous), f"cut after {after}: {answer!r}")


async def unknown_fields_are_tolerated(subject: Subject) -> None:
    """What a vendor adds unannounced neither fails the look-up nor counts as a difference (D9)."""
    async with Rig(subject) as rig:
        command = subject.order(KEY)
        answer = await rig.submit(command)
        require(isinstance(answer, Applied), f"applied, not {answer!r}")
        assert isinstance(answer, Applied)
        await rig.edit(answer.number, {"ZZ_Unannounced": {"deep": [1, None, "x"]}})
        if rig.findable:
            found = await rig.find(command)
            require(found == answer, f"the same as before, not {found!r}")


async def the_claimed_guarantee_is_true(subject: Subject) -> None:
    """The same command twice: what the manifest promises is what the system does."""
    async with Rig(subject) as rig:
        command = subject.order(KEY)
        stored = rig.connector.render(command)
        first = await rig.submit(command, stored)
        second = await rig.submit(command, stored)
        count = len(await rig.documents(command))
        require(isinstance(first, Applied), f"applied, not {first!r}")
        match rig.promise.guarantee:
            case Guarantee.KEY:
                require(count == 1, f"KEY is claimed, and {count} documents stand there")
                require(second == first, f"the same answer twice, not {second!r}")
            case Guarantee.UNIQUE:
                require(count == 1, f"UNIQUE is claimed, and {count} documents stand there")
                require(isinstance(second, AlreadyExists), f"already there, not {second!r}")
            case Guarantee.REPEATABLE:
                require(count == 1, f"REPEATABLE is claimed, and {count} documents stand there")
            case Guarantee.SEARCH:
                found = await rig.find(command)
                many = isinstance(found, Several) and len(found.numbers) == count
                require(many or count == 1, f"all {count} are found, not {found!r}")
            case Guarantee.NONE:
                found = await rig.find(command)
                require(isinstance(found, Permanent), f"it cannot be asked, yet {found!r}")


async def no_secret_is_ever_shown(subject: Subject) -> None:
    """Neither errors nor recorded exchanges carry our credentials, whatever happens."""
    async with Rig(subject, proxied=True) as rig:
        for fault in ("drop_after_commit", "500_after_commit", "429", "reset", "expire_token"):
            await rig.fault(fault)
            await rig.submit(subject.order(KEY))
        refused = await rig.submit(subject.refused(KEY))
        await rig.find(subject.order(KEY))
        rig.proxy.plan(WireFault(on=subject.creates, do="502"))
        await rig.submit(subject.order(OTHER))
        rig.connector = rig.connect(NOWHERE)
        await rig.submit(subject.order(OTHER))
        shown = rig.shown() + repr(refused).encode() + repr(vars(rig.connector)).encode()
        require(len(rig.exchanges) >= 8, "the exchanges were recorded")
        require(CANARY.encode() not in shown, "no secret stands in what was shown")
        for cookie in rig.simulator.vendor.handed_out():
            require(cookie.encode() not in shown, "no session or token stands there")


CHECKS: tuple[Check, ...] = (
    the_manifest_agrees_with_the_methods,
    the_check_of_a_good_installation_is_good,
    rendering_is_pure_and_deterministic,
    what_was_submitted_is_found,
    another_reference_is_not_ours,
    a_lost_answer_is_ambiguous_and_then_found,
    a_500_after_commit_is_ambiguous_and_then_found,
    a_late_commit_is_found_after_a_first_absent,
    a_reset_before_commit_is_ambiguous_and_leaves_nothing,
    a_429_is_obeyed,
    a_refused_connection_is_transient,
    a_hang_is_cut_by_the_total_timeout,
    an_expired_token_is_renewed_and_nothing_is_sent_twice,
    a_refusal_is_the_applications_own_word,
    the_deadline_is_checked_before_the_first_byte,
    a_proxys_502_is_ambiguous,
    an_answer_cut_anywhere_is_never_taken_for_a_fact,
    unknown_fields_are_tolerated,
    the_claimed_guarantee_is_true,
    no_secret_is_ever_shown,
)
