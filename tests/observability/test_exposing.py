"""Metrics are told as text on a port of their own, to whoever reaches it and asks for them."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from quaestor.connectors.kit.contract import Ambiguous, Applied
from quaestor.observability.exposing import counter, expose, gauge, of_meters, of_pool
from quaestor.observability.meters import BOUNDS_S, Meters


def told(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def asked(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_what_was_counted_is_told_as_text() -> None:
    meters = Meters()
    meters.called("sap", "send", Applied("4500000001"), 0.02)
    meters.called("sap", "send", Applied("4500000002"), 0.2)
    meters.called("sap", "send", Ambiguous("no answer"), 99.0)
    meters.answered("/v1/requisitions", "POST", 201, 0.004)
    meters.commits.add(0.003, items=40)
    meters.saved(["ordered", None, "ordered"])

    async def source() -> object:
        return [*of_meters(meters), *of_pool(3, 12)]

    async with expose("127.0.0.1", 0, [source]) as url:  # type: ignore[list-item]
        status, text = await asked(url)
        elsewhere, _ = await asked(url.removesuffix("/metrics"))

    found = told(text)
    sent = {("system", "sap"), ("kind", "send"), ("result", "applied")}
    lost = {("system", "sap"), ("kind", "send"), ("result", "ambiguous")}
    assert (status, elsewhere) == (200, 404)
    assert found["quaestor_call_seconds_count", frozenset(sent)] == 2
    assert found["quaestor_call_seconds_sum", frozenset(sent)] == pytest.approx(0.22)
    assert found["quaestor_call_seconds_bucket", frozenset({*sent, ("le", "0.1")})] == 1
    assert found["quaestor_call_seconds_bucket", frozenset({*lost, ("le", "30.0")})] == 0
    assert found["quaestor_call_seconds_bucket", frozenset({*lost, ("le", "+Inf")})] == 1
    assert found["quaestor_commit_documents_total", frozenset()] == 40
    assert found["quaestor_ended_total", frozenset({("outcome", "ordered")})] == 2
    assert found["quaestor_pool_connections", frozenset()] == 3
    assert found["process_resident_memory_bytes", frozenset()] > 0
    assert found["process_cpu_seconds_total", frozenset()] > 0


def test_every_duration_is_in_a_bucket_that_it_fits() -> None:
    meters = Meters()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[-1], 1e6):
        meters.claims.add(seconds)

    assert meters.claims.counts[0] == 2
    assert meters.claims.counts[-2:] == [1, 1]
    assert meters.claims.items == 4


def test_a_number_without_labels_and_one_by_its_labels_are_told_alike() -> None:
    plain = gauge("leaves", "Leaves.", 7)
    labelled = counter("calls", "Calls.", {("sap",): 2, ("coupa",): 1}, ("system",))

    assert [sample.value for sample in plain.samples] == [7]
    assert [sample.labels["system"] for sample in labelled.samples] == ["coupa", "sap"]


async def test_a_port_that_is_taken_is_no_port_of_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with expose("127.0.0.1", taken.getsockname()[1], []):
            pass
