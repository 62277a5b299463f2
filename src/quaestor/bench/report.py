"""What a run says: a table for people, one object for machines."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs
from rich.table import Table

from quaestor.bench.claims import Claims
from quaestor.bench.gateway import RATE_PER_S, Served
from quaestor.bench.growth import Held
from quaestor.bench.load import percentile
from quaestor.bench.overload import Overload
from quaestor.bench.pressed import Burst, Pressed
from quaestor.bench.run import Measured
from quaestor.bench.scenario import LATENCY_MS, NODES, Carried, Live
from quaestor.bench.soak import Round
from quaestor.bench.spending import Spending

__all__ = [
    "as_object",
    "as_tables",
    "gateway_object",
    "gateway_table",
    "growth_table",
    "pressure_object",
    "pressure_tables",
    "scenario_object",
    "scenario_table",
    "soak_drift",
    "soak_table",
]

# Rows that come along once in a while: subtrees of the audit trail, heartbeats, releases.
_SELDOM = 0.2


def as_object(measured: Measured) -> dict[str, Any]:
    """The figures by the names that outside checks rely on; what was not measured is absent."""
    limit = statistics.median(measured.limit)
    one_by_one = statistics.median(measured.one_by_one)
    latencies = _latencies(measured, 1)
    found: dict[str, Any] = {
        "ok": measured.is_exact,
        "flows_per_s": round(measured.rate(1), 1),
        "limit_flows_per_s": round(limit, 1),
        "ratio": round(measured.rate(1) / limit, 3),
        "limit_one_by_one_flows_per_s": round(one_by_one, 1),
        "ratio_one_by_one": round(measured.rate(1) / one_by_one, 3),
        "p50_ms": round(percentile(latencies, 50), 1),
        "p99_ms": round(percentile(latencies, 99), 1),
        "machine": measured.machine,
        "in_flight": measured.plan.in_flight,
        "rounds": measured.plan.rounds,
        "window_s": measured.plan.window_s,
        "requisitions": measured.taken,
        "documents_done": measured.done,
        "orders": measured.counted.orders,
        "order_references": measured.counted.references,
        "transactions_per_flow": round(measured.transactions, 2),
        "rows_per_flow": _rounded(measured.written),
        "limit_rows_per_flow": _rounded(measured.limit_written),
    }
    for workers in sorted(measured.engine):
        if workers > 1:
            name = {2: "two", 3: "three", 4: "four"}.get(workers, str(workers))
            found[f"flows_per_s_{name}_workers"] = round(measured.rate(workers), 1)
            found[f"ratio_{name}_workers"] = round(measured.rate(workers) / limit, 3)
    if measured.served is not None:
        found |= gateway_object(measured.served)
    if measured.spent.get(1):
        costs = _spent(measured.spent[1])
        found["other_work_cores"] = costs.pop("others_cores")
        found["per_flow"] = costs
        found["limit_database_cpu_ms"] = _spent(measured.limit_spent)["database_cpu_ms"]
        found["worker_memory_mb"] = round(measured.worker_memory_mb)
    return found


def as_tables(measured: Measured) -> list[Table]:
    """Rates, then what a flow costs, then what it writes, then what the gateway carries."""
    gateway = [gateway_table(measured.served)] if measured.served is not None else []
    return [_rates(measured), _costs(measured), _rows(measured), *gateway]


def gateway_object(served: Served) -> dict[str, Any]:
    """The gateway's figures by their names."""
    return {
        name: round(figure, 3)
        for name, figure in structs.asdict(served).items()
        if figure is not None
    }


def gateway_table(served: Served) -> Table:
    """What the gateway carries, beside the bare route."""
    table = _table("gateway", "requests/s", "CPU ms", "p50 ms", "p99 ms", "")
    at_rate = f"latencies at {RATE_PER_S:.0f}/s"
    for name, of, note in (
        ("validations", "validation", at_rate),
        ("bare route", "bare", at_rate),
        (
            "requisitions taken in",
            "intake",
            f"{served.intake_documents} documents, {served.intake_repeated} asked twice",
        ),
    ):
        cpu_ms = getattr(served, f"{of}_cpu_ms")
        table.add_row(
            name,
            f"{getattr(served, f'{of}_rps'):.0f}",
            "" if cpu_ms is None else f"{cpu_ms:.2f}",
            f"{getattr(served, f'{of}_p50_ms'):.1f}",
            f"{getattr(served, f'{of}_p99_ms'):.1f}",
            note,
        )
    return table


def growth_table(found: Sequence[Held]) -> Table:
    """What parked documents cost the others; each claim beside that in an empty database."""
    table = _table(
        "parked", "claim p50 ms", "of empty", "p99 ms", "worker MB", "worker idle",
        "database idle", "bytes each",
    )  # fmt: skip
    for held in found:
        table.add_row(
            f"{held.parked:,}",
            *_claim_cells(held.claims),
            *_cells((held.worker_memory_mb,), "{:.1f}"),
            *_cells((held.idle_worker_pct, held.idle_database_pct), "{:.2f} %"),
            *_cells((held.disk_bytes,), "{:.0f}"),
        )
    return table


def pressure_object(pressed: Pressed) -> dict[str, Any]:
    """The figures; good where everything became one order, and what was refused nothing at all."""
    floods, troubles = pressed.floods, pressed.troubles
    return {
        "ok": pressed.is_exact,
        "machine": pressed.machine,
        "burst": pressed.burst,
        "flood_p99_ratio": _median(flood.ratio for flood in floods),
        "floods": floods,
        "alone_p99_ms": pressed.alone_p99_ms,
        "down_rate_ratio": _median(trouble.down.ratio for trouble in troubles),
        "slow_rate_ratio": _median(trouble.slow.ratio for trouble in troubles),
        "troubles": troubles,
        "overload": pressed.overload,
    }


def pressure_tables(pressed: Pressed) -> list[Table]:
    """Each question with what was found without and under the pressure; then what was counted."""
    floods, troubles, burst = pressed.floods, pressed.troubles, pressed.burst
    compared = _table("", "without", "under", "ratio", "pairs, %")
    for name, pairs in (
        ("p99 ms of an entity beside a flood", floods),
        ("flows/s while another system is down", [trouble.down for trouble in troubles]),
        ("flows/s while another system is slow", [trouble.slow for trouble in troubles]),
    ):
        compared.add_row(
            name,
            f"{statistics.median(pair.without for pair in pairs):.0f}",
            f"{statistics.median(pair.under for pair in pairs):.0f}",
            f"{statistics.median(pair.ratio for pair in pairs):.2f}",
            _list(100 * pair.ratio for pair in pairs),
        )
    turns = " ".join(f"{share:.3f}" for share in burst.out_of_turn.values())
    counted = _table("counted", "")
    for name, value in (
        ("burst: orders of requisitions", f"{burst.orders:,} of {burst.count:,}"),
        ("burst: out of turn, share of each entity's", turns),
        ("burst: all done after s, of the smaller entity", _seconds(burst)),
        ("burst: worker's memory, MB", f"{burst.worker_memory_mb:.0f}"),
        ("p99 ms of an entity that is alone", pressed.alone_p99_ms),
        ("down: drained s after it came back", _median(each.drained_s for each in troubles)),
        ("down: most sends at once then", max(each.at_once_max for each in troubles)),
    ):
        counted.add_row(name, str(value))
    return [compared, counted, _overload(pressed.overload)]


def _seconds(burst: Burst) -> str:
    return f"{burst.drained_s:.0f}, {burst.others_drained_s:.0f}"


def _overload(found: Overload) -> Table:
    wanted = found.times * found.sustained_per_s
    table = _table(
        f"HTTP, {wanted:.0f}/s due for {found.seconds:.0f} s", "count", "p50 ms", "p99 ms"
    )
    refused = found.refused_429 + found.refused_503
    for name, count, p50, p99 in (
        ("taken in", found.accepted, found.accepted_p50_ms, found.accepted_p99_ms),
        ("refused", refused, found.refused_p50_ms, found.refused_p99_ms),
        (
            "validations beside it",
            found.validations_answered,
            found.validation_p50_ms,
            found.validation_p99_ms,
        ),
    ):
        table.add_row(name, f"{count:,}", f"{p50:.0f}", f"{p99:.0f}")
    for name, told in (
        ("validations refused", f"{found.validations_refused:,}"),
        ("sent per second", f"{found.sent_per_s:.0f}"),
        ("taken in per second, and without overload", _beside_sustained(found)),
        ("not answered", f"{found.lost:,}"),
        ("documents, and strays", f"{found.documents:,}, {found.strays:,}"),
        ("longest answer, ms", f"{found.answer_ms_max:.0f}"),
        ("gateway's memory, MB, and before", f"{found.memory_mb}, {found.memory_before_mb}"),
    ):
        table.add_row(name, told, "", "")
    return table


def _beside_sustained(found: Overload) -> str:
    return f"{found.accepted_per_s:.0f}, {found.sustained_per_s:.0f}"


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 3)


def scenario_object(live: Live, carried: Carried) -> dict[str, Any]:
    """The figures by their names; good where every requisition is one order."""
    return {"ok": carried.is_exact, **structs.asdict(live), **structs.asdict(carried)}


def scenario_table(live: Live, carried: Carried) -> Table:
    """Both with simulators that answer after `LATENCY_MS`; no bar holds for the second."""
    table = _table(f"simulators at {LATENCY_MS} ms", "a second", "p50 ms", "p99 ms", "")
    table.add_row(
        "validations, planning asked live",
        f"{live.validation_live_rps:.0f}",
        f"{live.validation_live_p50_ms:.0f}",
        f"{live.validation_live_p99_ms:.0f}",
        f"{live.validation_live_count} of {len(NODES)} budgets each",
    )
    table.add_row(
        "flows, Coupa to Coupa",
        f"{carried.scenario_flows_per_s:.1f}",
        f"{carried.scenario_p50_s * 1000:.0f}",
        f"{carried.scenario_p99_s * 1000:.0f}",
        f"{carried.scenario_orders} orders of {carried.scenario_requisitions} requisitions",
    )
    return table


def soak_table(found: Sequence[Round]) -> Table:
    """Round by round; each claim beside that in an empty database at the same moment."""
    table = _table(
        "flows so far", "flows/s", "claim p50 ms", "of empty", "p99 ms", "work MB", "indexes MB",
        "dead rows", "worker MB",
    )  # fmt: skip
    for each in found:
        table.add_row(
            f"{each.flows:,}",
            f"{each.flows_per_s:.0f}",
            *_claim_cells(each.claims),
            f"{each.work_bytes / 1024**2:.1f}",
            f"{each.index_bytes / 1024**2:.1f}",
            f"{each.dead_rows:,}",
            *_cells((each.worker_memory_mb,), "{:.1f}"),
        )
    return table


def soak_drift(found: Sequence[Round]) -> float:
    """The claim after the last round beside that after the first, each of its empty database."""
    return round(found[-1].claims.of_empty / found[0].claims.of_empty, 3)


def _claim_cells(claims: Claims) -> tuple[str, str, str]:
    return f"{claims.p50_ms:.2f}", f"{claims.of_empty:.2f}", f"{claims.p99_ms:.2f}"


def _cells(values: Iterable[float | None], form: str) -> list[str]:
    return ["" if value is None else form.format(value) for value in values]


def _rates(measured: Measured) -> Table:
    limit = statistics.median(measured.limit)
    table = _table("", "flows/s", "of the limit", "p50 ms", "p99 ms", "windows")
    table.add_row(
        "database alone, batches of 80", f"{limit:.0f}", "1", "", "", _list(measured.limit)
    )
    alone = statistics.median(measured.one_by_one)
    table.add_row(
        "database alone, one by one",
        f"{alone:.0f}",
        f"{alone / limit:.2f}",
        "",
        "",
        _list(measured.one_by_one),
    )
    for workers, windows in sorted(measured.engine.items()):
        latencies = _latencies(measured, workers)
        table.add_row(
            f"engine, {_workers(workers)}",
            f"{measured.rate(workers):.0f}",
            f"{measured.rate(workers) / limit:.2f}",
            f"{percentile(latencies, 50):.0f}",
            f"{percentile(latencies, 99):.0f}",
            _list(window.flows_per_s for window in windows),
        )
    return table


def _costs(measured: Measured) -> Table:
    table = _table(
        "per flow",
        "worker ms",
        "database ms",
        "load ms",
        "ledger ms",
        "commits",
        "fsyncs",
        "WAL bytes",
        "other work",
    )
    rows = {f"engine, {_workers(count)}": spent for count, spent in sorted(measured.spent.items())}
    for name, spent in {**rows, "database alone, batches of 80": measured.limit_spent}.items():
        if spent:
            costs = _spent(spent)
            others, wal_bytes = costs.pop("others_cores"), costs.pop("wal_bytes")
            told = [f"{cost:.2f}" if cost else "" for cost in costs.values()]
            table.add_row(name, *told, f"{wal_bytes:.0f}", f"{others:.1f} cores")
    return table


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _rows(measured: Measured) -> Table:
    table = _table("rows per flow", "engine in", "engine changed", "limit in", "limit changed")
    for name, written in sorted(measured.written.items()):
        if max(written) >= _SELDOM:
            alone = measured.limit_written.get(name, (0.0, 0.0))
            table.add_row(name, *(f"{count:.2f}" for count in (*written, *alone)))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def _spent(spent: Sequence[Spending]) -> dict[str, float]:
    names = Spending.__struct_fields__
    return {
        name: round(statistics.median(getattr(one, name) for one in spent), 3) for name in names
    }


def _latencies(measured: Measured, workers: int) -> list[float]:
    return [each for window in measured.engine[workers] for each in window.latencies_ms]


def _rounded(written: Mapping[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {"inserted": round(inserted, 2), "updated": round(updated, 2)}
        for name, (inserted, updated) in written.items()
        if max(inserted, updated) >= _SELDOM
    }


def _list(rates: Iterable[float]) -> str:
    return " ".join(f"{rate:.0f}" for rate in rates)
