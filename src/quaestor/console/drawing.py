"""The lanes of a timeline as one SVG: values in, markup out. Pure.

This is the only module that makes markup. What it writes are numbers of its own, and texts
through `escape`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from quaestor.audit.telling import milliseconds
from quaestor.console.timeline import WAIT_MIN_MS, Doubt, Row, Timeline
from quaestor.console.wording import between, duration

__all__ = ["WIDTH", "drawn"]

WIDTH = 1120
_LEFT, _RIGHT, _TOP, _LANE = 112, 28, 34, 34
_SAME_INSTANT, _LATER, _PER_DECADE, _SCALE_MAX = 20, 34, 16, 2.2
# Marks nearer than this in one lane are one mark; what is drawn stays small whatever the trace.
_MERGED_WITHIN = 5
_LABEL_CHARS_WIDTH = 6.2
_LINKED_MAX = 400


def drawn(line: Timeline, zone: str) -> Markup:
    """The picture. It says nothing that the list beside it does not say as well."""
    places = _places(line.rows)
    height = _TOP + _LANE * len(line.lanes) + 8
    title = f"{len(line.rows)} steps in {len(line.lanes)} lanes"
    parts = [
        f'<svg class="lanes" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="lanes-title lanes-desc">',
        f'<title id="lanes-title">{escape(title)}</title>',
        f'<desc id="lanes-desc">{escape(_described(line, zone))}</desc>',
        _HATCH,
        *_lanes(line),
        *_gaps(line.rows, places, height),
        *(_doubt(doubt, places) for doubt in line.doubts),
        _path(line.rows, places),
        *_marks(line.rows, places),
        "</svg>",
    ]
    return Markup("".join(parts))


_HATCH = (
    '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect class="hatch-ground" width="7" height="7"/>'
    '<rect class="hatch-line" width="2.5" height="7"/></pattern></defs>'
)


def _described(line: Timeline, zone: str) -> str:
    lanes = ", ".join(f"{lane.name}: {lane.steps}" for lane in line.lanes)
    doubts = "".join(
        f" Perhaps applied in {doubt.lane.name} {between(doubt.since, doubt.until, zone)}."
        for doubt in line.doubts
    )
    return f"Steps by lane: {lanes}.{doubts} The list that follows has every step."


def _places(rows: Sequence[Row]) -> list[float]:
    """Where each step stands: further apart the longer it took, and all within the width."""
    at, places = 0.0, []
    for before, row in zip([*rows[:1], *rows], rows, strict=False):
        if row is not before:
            ms = milliseconds(before.step, row.step)
            wide = _LATER + _PER_DECADE * math.log10(1 + ms / 100) if ms else _SAME_INSTANT
            at += wide
        places.append(at)
    room = WIDTH - _LEFT - _RIGHT
    scale = min(_SCALE_MAX, room / at) if at else 1.0
    return [round(_LEFT + place * scale, 1) for place in places]


def _height_of(lane: int) -> int:
    return _TOP + _LANE * (lane - 1) + _LANE // 2


def _lanes(line: Timeline) -> list[str]:
    made = []
    for lane in line.lanes:
        y = _height_of(lane.number)
        made.append(
            f'<line class="lane" x1="{_LEFT - 8}" y1="{y}" x2="{WIDTH - 8}" y2="{y}"/>'
            f'<text class="lane-name" x="{_LEFT - 18}" y="{y + 4}" text-anchor="end">'
            f"{escape(_short(lane.name))}</text>"
        )
    return made


def _short(name: str) -> str:
    return name if len(name) <= 14 else name[:13] + "…"


def _gaps(rows: Sequence[Row], places: Sequence[float], height: int) -> list[str]:
    """Waits with their length above, as far as the labels find room beside each other."""
    made, free_from = [], 0.0
    for index in range(1, len(rows)):
        ms = milliseconds(rows[index - 1].step, rows[index].step)
        if ms < WAIT_MIN_MS:
            continue
        label = duration(ms)
        left, right = places[index - 1] + 7, places[index] - 7
        middle, half = (left + right) / 2, len(label) * _LABEL_CHARS_WIDTH / 2
        if middle - half < free_from or right <= left:
            continue
        free_from = middle + half + 6
        made.append(
            f'<rect class="gap" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{height - _TOP - 8}"/>'
            f'<text class="gap-name" x="{middle:.1f}" y="{_TOP - 12}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
    return made


def _doubt(doubt: Doubt, places: Sequence[float]) -> str:
    left, right = places[doubt.first - 1], places[doubt.last - 1]
    y = _height_of(doubt.lane.number)
    open_end = " doubt-open" if doubt.until is None else ""
    return (
        f'<rect class="doubt{open_end}" x="{left - 9:.1f}" y="{y - 10}" '
        f'width="{max(18.0, right - left + 18):.1f}" height="20" rx="10" fill="url(#hatch)"/>'
    )


def _path(rows: Sequence[Row], places: Sequence[float]) -> str:
    """The way from step to step; a long trace shows its marks alone."""
    if not 1 < len(rows) <= _LINKED_MAX:
        return ""
    points = " ".join(
        f"{place:g},{_height_of(row.lane.number)}" for row, place in zip(rows, places, strict=True)
    )
    return f'<polyline class="way" points="{points}"/>'


def _marks(rows: Sequence[Row], places: Sequence[float]) -> list[str]:
    made: list[str] = []
    last: dict[tuple[int, str], float] = {}
    for row, x in zip(rows, places, strict=True):
        seen = last.get((row.lane.number, row.tone))
        if seen is not None and x - seen < _MERGED_WITHIN:
            continue
        last[row.lane.number, row.tone] = x
        made.append(_mark(row, x, _height_of(row.lane.number)))
    return made


def _mark(row: Row, x: float, y: int) -> str:
    lane = f"lane-{min(row.lane.number, 8)}"
    match row.tone:
        case "bad":
            return f'<path class="mark bad" d="M{x:g} {y - 7}l7 7-7 7-7-7z"/>'
        case "doubt":
            return f'<circle class="mark doubtful" cx="{x:g}" cy="{y}" r="6"/>'
        case "good":
            return f'<circle class="mark good {lane}" cx="{x:g}" cy="{y}" r="6.5"/>'
    return f'<circle class="mark {lane}" cx="{x:g}" cy="{y}" r="4.5"/>'
