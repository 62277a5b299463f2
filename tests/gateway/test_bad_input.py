"""Bad input of specs 3.1 and 3.2: the exact status and code, and nothing stored. A row each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, Said, a_body, a_line_body, gateway_on

PATH = "/v1/requisitions"
BODY = json.dumps(a_body()).encode()
DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
SPLIT = {"coding": {"cost_center": "it-de", "gl_account": "it-hardware"}, "amount": "3600.00"}


def raw(change: bytes, to: bytes) -> dict[str, Any]:
    assert change in BODY
    return {"raw": BODY.replace(change, to, 1)}


def line(**changes: Any) -> dict[str, Any]:
    return {"body": a_body(lines=[a_line_body(**changes)])}


def body(**changes: Any) -> dict[str, Any]:
    return {"body": a_body(**changes)}


def priced(currency: str, amount: str) -> dict[str, Any]:
    split = {**SPLIT, "amount": amount}
    lines = [a_line_body(quantity="1", unit_price=amount, amount=amount, splits=[split])]
    return {"body": a_body(currency=currency, total=amount, lines=lines)}


def header(name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"headers": {name: value}, "body": a_body(), **more}


TOO_LARGE = {"raw": b'{"a":"' + b"x" * (1024 * 1024 - 7) + b'"}'}

# Name of the case, what is sent, the answer.
HTTP: list[tuple[str, dict[str, Any], int, str]] = [
    ("N1", {"body": a_body(), "key": None}, 400, "idempotency_key_missing"),
    ("N2 empty text", {"body": a_body(), "key": '""'}, 400, "idempotency_key_invalid"),
    ("N2 blank", {"body": a_body(), "key": " "}, 400, "idempotency_key_invalid"),
    ("N2 long", {"body": a_body(), "key": "k" * 256}, 400, "idempotency_key_invalid"),
    ("N2 not ASCII", {"body": a_body(), "key": "schlüssel"}, 400, "idempotency_key_invalid"),
    ("N2 two words", {"body": a_body(), "key": "a, b"}, 400, "idempotency_key_invalid"),
    ("N2 open text", {"body": a_body(), "key": '"a'}, 400, "idempotency_key_invalid"),
    ("N8", TOO_LARGE, 413, "payload_too_large"),
    ("N10 type", header("Content-Type", "text/plain"), 415, "unsupported_media_type"),
    ("N10 none", header("Content-Type", ""), 415, "unsupported_media_type"),
    (
        "N10 charset",
        header("Content-Type", "application/json; charset=utf-16"),
        415,
        "unsupported_media_type",
    ),
    ("N11 bytes", raw(b"Laptop", b"Lap\xfftop"), 400, "invalid_encoding"),
    ("N11 surrogate", raw(b"Laptop", rb"Lap\ud800top"), 400, "invalid_encoding"),
    ("N11 NUL", raw(b"Laptop", rb"Lap\u0000top"), 400, "invalid_encoding"),
    ("N12", raw(b'"total"', b'"total": "1.00", "total"'), 400, "duplicate_member"),
    ("N13", {"raw": DEEP}, 400, "nesting_too_deep"),
    ("N14 approved", body(approved=True), 422, "unknown_field"),
    ("N14 tenant", body(tenant_id="other"), 422, "unknown_field"),
    ("N14 in a line", line(approved=True), 422, "unknown_field"),
    ("N15 exponent", raw(b'"number": 1', b'"number": 1e400'), 400, "number_out_of_range"),
    (
        "N15 digits",
        raw(b'"number": 1', b'"number": 1' + b"0" * 100_000),
        400,
        "number_out_of_range",
    ),
    ("not JSON", {"raw": b"{"}, 400, "invalid_json"),
    ("nothing", {"raw": b""}, 400, "invalid_json"),
    ("no number", raw(b'"number": 1', b'"number": NaN'), 400, "invalid_json"),
    ("no object", {"raw": b"[]"}, 422, "value_invalid"),
    ("too wide", {"body": {f"m{n}": 1 for n in range(201)}}, 400, "too_many_members"),
    ("N20", {"body": a_body(), "path": PATH + "?sort=';DROP"}, 422, "unknown_filter"),
    ("missing", body(entity=...), 422, "field_missing"),
    ("another kind", body(title=7), 422, "value_invalid"),
]
MONEY: list[tuple[str, dict[str, Any], int, str]] = [
    ("N21", body(total=3600.1), 422, "money_must_be_string"),
    ("N21 integer", line(amount=3600), 422, "money_must_be_string"),
    *(
        (f"N22 {text!a}", body(total=text), 422, "money_format")
        for text in (
            "NaN",
            "Infinity",
            "-0",
            "+5",
            "",
            " 5",
            "1_000",
            "١٢",
            "１０",
            "5 ",
            "00",
            ".5",
        )
    ),
    *(
        (f"N23 {text}", body(total=text), 422, "money_format")
        for text in ("1e5", "0x10", "1,000.00", "1.000,00")
    ),
    ("N24", line(amount="-5.00"), 422, "negative_amount"),
    ("N25 USD", priced("USD", "10.005"), 422, "too_many_decimals"),
    ("N25 JPY", priced("JPY", "10.5"), 422, "too_many_decimals"),
    ("N25 KWD", priced("KWD", "1.2345"), 422, "too_many_decimals"),
    ("N25 CLF", priced("CLF", "1.23456"), 422, "too_many_decimals"),
    ("N25 price", line(unit_price="1200.0000000"), 422, "too_many_decimals"),
    ("N26", body(total="99999999999999999999.99"), 422, "amount_out_of_range"),
    *(
        (f"N27 {text}", body(currency=text), 422, "unknown_currency")
        for text in ("usd", "US$", "X" * 3, "BTC", "DEM")
    ),
    (
        "N28",
        body(
            total="100.00",
            lines=[
                a_line_body(
                    unit_price="33.33", amount="100.00", splits=[{**SPLIT, "amount": "100.00"}]
                )
            ],
        ),
        422,
        "amount_mismatch",
    ),
    ("N29", body(total="3600.01"), 422, "total_mismatch"),
    ("N30", line(splits=[{**SPLIT, "amount": "1200.00"}] * 2), 422, "split_not_100"),
    ("N30 none", line(splits=[]), 422, "split_not_100"),
    ("N31 zero", line(quantity="0"), 422, "quantity_invalid"),
    ("N31 negative", line(quantity="-1"), 422, "quantity_invalid"),
    ("N31 pieces", line(quantity="1.0000001"), 422, "quantity_not_integral"),
    (
        "N32",
        body(
            total="500.00",
            lines=[
                a_line_body(
                    quantity="1",
                    unit_price="10000.00",
                    amount="10000.00",
                    splits=[{**SPLIT, "amount": "10000.00"}],
                ),
                a_line_body(
                    number=2,
                    quantity="1",
                    unit_price="-9500.00",
                    amount="-9500.00",
                    splits=[{**SPLIT, "amount": "-9500.00"}],
                ),
            ],
        ),
        422,
        "negative_amount",
    ),
    ("N33", line(uom="BOX"), 422, "unknown_uom"),
    *(
        (f"N34 {text}", line(need_by=text), 422, "date_invalid")
        for text in ("2026-02-30", "26-03-01", "0001-01-01", "9999-12-31", 20260301)
    ),
    ("N34 zone", body(submitted_at="2026-11-16T08:31:40"), 422, "timezone_required"),
    ("N35", body(submitted_at="2026-03-29T02:30:00"), 422, "timezone_required"),
    ("N36", line(need_by="2020-01-01"), 422, "date_in_past"),
    ("a time to come", body(submitted_at="2199-01-01T00:00:00Z"), 422, "date_in_future"),
]
TEXT_AND_STATE: list[tuple[str, dict[str, Any], int, str]] = [
    ("N38 bidi", line(description="Lap\u202etop"), 422, "forbidden_characters"),
    ("N44", body(number="R-1\r\nforged"), 422, "forbidden_characters"),
    ("N56 unknown", line(supplier="nobody"), 422, "supplier_unknown"),
    (
        "N57",
        line(splits=[{**SPLIT, "coding": {"cost_center": "it-us", "gl_account": "it-hardware"}}]),
        422,
        "invalid_account_combination",
    ),
    ("N58", priced("EUR", "9000000.00"), 422, "budget_exceeded"),
    ("N59", line(splits=[{**SPLIT, "coding": {"cost_center": "it-de"}}]), 422, "budget_not_found"),
    ("a stranger asks", body(requester="nobody"), 422, "person_unknown"),
    ("N45", body(entity="acme-us"), 404, "not_found"),
]


async def send(gateway: Gateway, sent: Mapping[str, Any]) -> Said:
    given = {"path": PATH, "body": None, **sent}
    return await gateway.ask("POST", given.pop("path"), given.pop("body"), **given)


async def count_of_all(database: TestDatabase) -> int:
    owner = await database.connect()
    counted = 0
    for table in ("document", "work", "inbox", "idempotency", "audit", "subject", "document_body"):
        counted += await owner.fetchval(f"select count(*) from quaestor.{table}")
    return counted


@pytest.mark.parametrize("cases", [HTTP, MONEY, TEXT_AND_STATE], ids=["http", "money", "state"])
async def test_bad_input_is_refused_by_its_name_and_leaves_nothing(
    database: TestDatabase, cases: list[tuple[str, dict[str, Any], int, str]]
) -> None:
    async with gateway_on(database) as gateway:
        said = [(name, *(await send(gateway, sent)).code) for name, sent, _, _ in cases]

    assert said == [(name, status, code) for name, _, status, code in cases]
    assert await count_of_all(database) == 0


async def test_a_refusal_says_where_and_shows_nothing_of_ours(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        said = await send(gateway, line(amount=3600))

    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.json["type"] == "/problems/money_must_be_string"
    assert said.json["errors"] == [
        {
            "pointer": "/lines/0/amount",
            "code": "money_must_be_string",
            "detail": "See the meaning of the code.",
        }
    ]


async def test_two_keys_are_no_key(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        said = await raw_request(
            gateway, "POST", PATH, [("Idempotency-Key", "a"), ("Idempotency-Key", "b")], BODY
        )

    assert b" 400 " in said
    assert b"idempotency_key_invalid" in said


async def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(
    database: TestDatabase,
) -> None:
    two = [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Idempotency-Key", "k")]
    async with gateway_on(database) as gateway:
        said = await raw_request(gateway, "POST", PATH, two, b"0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 400")
    assert await count_of_all(database) == 0


async def test_a_body_without_an_end_is_refused_before_it_is_read(database: TestDatabase) -> None:
    endless = [("Transfer-Encoding", "chunked"), ("Idempotency-Key", "k")]
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with gateway_on(database) as gateway:
        said = await raw_request(gateway, "POST", PATH, endless, chunk * 17)

    assert b" 413 " in said.splitlines()[0]


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("TRACE", PATH, (405, "method_not_allowed")),
        ("DELETE", PATH, (405, "method_not_allowed")),
        ("GET", "/v1/requisitions/../admin", (404, "not_found")),
        ("GET", "/v1/requisitions/%2e%2e", (404, "not_found")),
        ("GET", "/v1/requisitions/%252e%252e%252fadmin", (404, "not_found")),
        ("GET", "/v1/requisitions/1%00", (404, "not_found")),
        ("GET", "/v1/nothing", (404, "not_found")),
        ("GET", "/v1/worklist?limit=1000000", (422, "limit_out_of_range")),
        ("GET", "/v1/worklist?cursor=Zm9yZ2Vk", (400, "cursor_invalid")),
        ("GET", "/v1/worklist?order_by=number", (422, "unknown_filter")),
    ],
)
async def test_a_path_a_method_or_a_filter_that_is_not_ours_is_refused(
    database: TestDatabase, method: str, path: str, answer: tuple[int, str]
) -> None:
    async with gateway_on(database) as gateway:
        said = await raw_request(gateway, method, path, [])

    head, _, told = said.partition(b"\r\n\r\n")
    assert (int(head.split()[1]), json.loads(told)["code"]) == answer


async def test_a_method_in_a_header_is_ignored(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        override = {"X-HTTP-Method-Override": "DELETE", "X-User-Id": "gus.adler"}

        said = await gateway.ask("POST", PATH, a_body(), headers=override)

    assert said.status == 201


async def raw_request(
    gateway: Gateway,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    content: bytes = b"",
) -> bytes:
    """Bytes over a bare socket, as no client library would send them."""
    import asyncio

    given = {name.lower() for name, _ in headers}
    sent = [("Host", "gateway"), ("Authorization", f"Bearer {gateway.token()}"), *headers]
    if content:
        sent.append(("Content-Type", "application/json"))
    if content and not given & {"content-length", "transfer-encoding"}:
        sent.append(("Content-Length", str(len(content))))
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent)]
    writer.write("\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n" + content)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
