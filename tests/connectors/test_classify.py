"""Where it broke decides the error: the table of the design, row by row."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.classify import (
    Answer,
    Break,
    Broke,
    Voice,
    known_or_raise,
    retry_after_s,
)
from quaestor.connectors.kit.contract import DEADLINE_PASSED, Ambiguous, NotKnown, Transient
from quaestor.connectors.kit.redact import masked_headers, safe_text, scrubbed


@pytest.mark.parametrize(
    ("where", "sent", "on_create", "on_look", "system"),
    [
        (Broke.DEADLINE, False, Transient, Transient, False),
        (Broke.CONNECT, False, Transient, Transient, True),
        (Broke.CONNECT_TIMEOUT, False, Transient, Transient, True),
        (Broke.UNFORESEEN, False, Transient, Transient, False),
        (Broke.RESET, True, Ambiguous, Transient, True),
        (Broke.DISCONNECTED, True, Ambiguous, Transient, True),
        (Broke.TIMEOUT, True, Ambiguous, Transient, True),
        (Broke.TRUNCATED, True, Ambiguous, Transient, False),
        (Broke.TOO_LARGE, True, Ambiguous, Transient, False),
        (Broke.UNFORESEEN, True, Ambiguous, Transient, False),
    ],
)
def test_what_was_not_sent_is_transient_and_what_was_is_ambiguous_on_a_create(
    where: Broke, sent: bool, on_create: type[NotKnown], on_look: type[NotKnown], system: bool
) -> None:
    broken = Break(where, sent)

    look = broken.error(commits=False)

    assert type(broken.error(commits=True)) is on_create
    assert type(look) is on_look
    assert isinstance(look, Transient)
    assert look.system is system


def test_only_our_own_lateness_has_the_code_of_a_passed_deadline() -> None:
    codes = {where: Break(where, False).error(commits=True).code for where in Broke}

    assert [where for where, code in codes.items() if code == DEADLINE_PASSED] == [Broke.DEADLINE]


def an_answer(status: int, **headers: str) -> Answer:
    return Answer(status, tuple((k.replace("_", "-"), v) for k, v in headers.items()), b"")


def raised(answer: Answer, voice: Voice, *, commits: bool) -> NotKnown:
    with pytest.raises(NotKnown) as caught:
        known_or_raise(answer, voice, commits)
    return caught.value


@pytest.mark.parametrize("voice", [Voice.DONE, Voice.REFUSED, Voice.STALE])
@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_applications_own_word_is_a_fact_whatever_the_status(
    voice: Voice, commits: bool, status: int
) -> None:
    answer = an_answer(status)

    assert known_or_raise(answer, voice, commits) is answer


@pytest.mark.parametrize("commits", [True, False])
def test_busy_is_obeyed(commits: bool) -> None:
    error = raised(an_answer(429, Retry_After="7"), Voice.BUSY, commits=commits)

    assert isinstance(error, Transient)
    assert (error.retry_after_s, error.system) == (7.0, True)


@pytest.mark.parametrize("commits", [True, False])
def test_refused_credentials_open_the_systems_circuit(commits: bool) -> None:
    error = raised(an_answer(401), Voice.LOGIN, commits=commits)

    assert isinstance(error, Transient)
    assert (error.code, error.system) == ("connector_auth_failed", True)


@pytest.mark.parametrize(
    ("status", "system"), [(200, False), (404, False), (500, False), (502, True), (504, True)]
)
def test_what_is_not_the_applications_word_is_ambiguous_on_a_create(
    status: int, system: bool
) -> None:
    on_create = raised(an_answer(status), Voice.UNSURE, commits=True)
    on_look = raised(an_answer(status), Voice.UNSURE, commits=False)

    assert isinstance(on_create, Ambiguous)
    assert on_create.system is system
    assert isinstance(on_look, Transient)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("999999999", 3600.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_a_wish_to_wait_is_bounded_and_a_date_is_left_to_our_own_back_off(
    text: str, seconds: float | None
) -> None:
    assert retry_after_s(an_answer(429, Retry_After=text)) == seconds


# --- what is shown --------------------------------------------------------------------------------


def test_headers_with_credentials_are_masked_and_words_about_tokens_are_not() -> None:
    headers = [
        ("authorization", "Basic abc"),
        ("Set-Cookie", "id=1"),
        ("X-CSRF-Token", "abc"),
        ("x-csrf-token", "Required"),
        ("Accept", "application/json"),
    ]

    assert [value for _, value in masked_headers(headers)] == [
        "***",
        "***",
        "***",
        "Required",
        "application/json",
    ]


def test_a_body_is_scrubbed_before_it_is_cut() -> None:
    body = b"token=secret-1234567890 and more"

    assert scrubbed(body, ("secret-1234567890", "abc"), 12) == b"token=*** an"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("line\r\nbreak\x00", "line break"),
        ("ask a.b@example.com now", "ask *** now"),
        ("to DE89 3704 0044 0532 0130 00.", "to ***."),
        ("with s3cret-value", "with ***"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_vendors_sentence_is_made_safe(text: str, shown: str) -> None:
    assert safe_text(text, ("s3cret-value",)) == shown
