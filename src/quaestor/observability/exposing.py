"""The metrics of a process, in the text format of Prometheus, on a port of their own.

Nobody is asked who he is there: the port is off unless it was named, and listens on this machine
alone unless another address was. No document, no number of one and no secret is in a metric;
labels are names of the project, of its systems and entities, and codes of ours.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from quaestor.observability.meters import BOUNDS_S, Meters, Timings

__all__ = ["Source", "counter", "expose", "gauge", "of_meters", "of_pool"]

Source = Callable[[], Awaitable[Iterable[Metric]]]
Labels = tuple[str, ...]
# A number by the values of its labels; a bare one where there are none.
Samples = Mapping[Labels, float] | float

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class _Collected:
    """What was collected for one answer, as the library takes it."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


@asynccontextmanager
async def expose(host: str, port: int, sources: Sequence[Source]) -> AsyncIterator[str]:
    """Answer `GET /metrics` while inside; yields the address. Port 0 takes a free one.

    Raises `OSError` where the address cannot be had.
    """
    registry = CollectorRegistry()
    process = [ProcessCollector(registry=registry), GCCollector(registry=registry)]

    async def answer(request: web.Request) -> web.Response:
        metrics = [metric for source in sources for metric in await source()]
        metrics += [metric for each in process for metric in each.collect()]
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(_Collected(metrics))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}/metrics"
    finally:
        await runner.cleanup()


def gauge(name: str, meaning: str, samples: Samples, labels: Sequence[str] = ()) -> Metric:
    """What is so at this moment."""
    return _filled(GaugeMetricFamily(f"quaestor_{name}", meaning, labels=labels), samples)


def counter(name: str, meaning: str, samples: Samples, labels: Sequence[str] = ()) -> Metric:
    """What happened since the process began."""
    return _filled(CounterMetricFamily(f"quaestor_{name}", meaning, labels=labels), samples)


def of_meters(meters: Meters) -> list[Metric]:
    """What the process itself counted and timed."""
    calls: dict[Labels, Timings] = {
        (system, kind, _CAMEL.sub("_", answer.__name__).lower()): timings
        for (system, kind, answer), timings in meters.calls.items()
    }
    requests: dict[Labels, Timings] = {
        (route, method, str(status)): timings
        for (route, method, status), timings in meters.requests.items()
    }
    found = []
    if calls:
        meaning = "Calls of systems, by what came of them."
        found.append(_histogram("call", meaning, calls, ("system", "kind", "result")))
    if requests:
        meaning = "Requests of this gateway, by route and status."
        found.append(_histogram("request", meaning, requests, ("route", "method", "status")))
        open_now = meters.requests_open
        found.append(gauge("requests_open", "Requests that are under way.", open_now))
    if meters.ended:
        ended: dict[Labels, float] = {(name,): count for name, count in meters.ended.items()}
        found.append(counter("ended", "Documents that ended, by outcome.", ended, ("outcome",)))
    for name, timings, meaning in (
        ("claim", meters.claims, "Claims that found documents."),
        ("commit", meters.commits, "Commits of what systems answered."),
    ):
        if timings.items:
            found.append(_histogram(name, meaning, {(): timings}, ()))
            about = f"{meaning} Documents in them."
            found.append(counter(f"{name}_documents", about, timings.items))
    return found


def of_pool(in_use: int, size_max: int) -> list[Metric]:
    """The connections of this process to the database."""
    return [
        gauge("pool_connections", "Connections that are lent out.", in_use),
        gauge("pool_connections_max", "Connections that this process may open.", size_max),
    ]


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Metric:
    each = samples if isinstance(samples, Mapping) else {(): samples}
    for values, number in sorted(each.items()):
        family.add_metric(values, number)
    return family


def _histogram(
    name: str, meaning: str, timings: Mapping[Labels, Timings], labels: Sequence[str]
) -> Metric:
    family = HistogramMetricFamily(f"quaestor_{name}_seconds", meaning, labels=labels)
    for values, each in sorted(timings.items(), key=lambda item: item[0]):
        counted, buckets = 0, []
        for bound, count in zip((*BOUNDS_S, float("inf")), each.counts, strict=True):
            counted += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(counted)))
        family.add_metric(values, buckets, each.sum_s)
    return family
