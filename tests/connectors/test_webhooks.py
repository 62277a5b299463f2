"""Who posts to us proves it (specs N68, N69): the published vectors, and every way to fail."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec
import pytest

from quaestor.connectors.kit.contract import Delivery, Receipt
from quaestor.connectors.kit.webhooks import (
    TOKEN_LIFE_S,
    BasicCaller,
    BearerCaller,
    ClientCaller,
    HintReceiver,
    SignedCaller,
    WebhookConfig,
    authenticated,
    granted,
    signature_of,
)
from quaestor.model.refusal import Refusal
from quaestor.security.secrets import Secret

# The example of the specification, standard-webhooks/spec.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
IDENTITY = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT_S = 1614265330
BODY = b'{"test": 2432232314}'
PUBLISHED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

SECRETS = {"env:HOOK": SECRET, "env:NEXT": OTHER, "env:WORD": "open sesame", "env:WHO": "coupa"}
SIGNED = SignedCaller("env:HOOK")
ROTATING = SignedCaller("env:NEXT", "env:HOOK")
BASIC = BasicCaller("env:WHO", "env:WORD")
BEARER = BearerCaller("env:WORD")
CLIENT = ClientCaller("env:WHO", "env:WORD")
OTHER_CLIENT = ClientCaller("env:WHO", "env:HOOK")
GOOD_BASIC = base64.b64encode(b"coupa:open sesame").decode()
WRONG_BASIC = base64.b64encode(b"coupa:open").decode()


def resolve(reference: str) -> Secret:
    return Secret(SECRETS[reference])


def a_delivery(headers: Mapping[str, str], body: bytes = BODY, *, after_s: float = 0.0) -> Delivery:
    return Delivery(headers, body, datetime.fromtimestamp(SENT_S + after_s, UTC))


def signed(signature: str = PUBLISHED, **changes: str) -> dict[str, str]:
    headers = {
        "webhook-id": IDENTITY,
        "webhook-timestamp": str(SENT_S),
        "webhook-signature": signature,
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def made(secret: str, identity: str = IDENTITY, timestamp: str = str(SENT_S)) -> str:
    return "v1," + base64.b64encode(signature_of(secret, identity, timestamp, BODY)).decode()


FORGED = "v1," + base64.b64encode(bytes(32)).decode()
GOOD: list[tuple[str, WebhookConfig, dict[str, str], float, str]] = [
    ("the published vector", SIGNED, signed(), 0, IDENTITY),
    ("five minutes late", SIGNED, signed(), 300, IDENTITY),
    ("five minutes early", SIGNED, signed(), -300, IDENTITY),
    ("one good of three", SIGNED, signed(f"{FORGED} {PUBLISHED} v1a,xyz"), 0, IDENTITY),
    ("either secret while they change", ROTATING, signed(), 0, IDENTITY),
    ("the other one", ROTATING, signed(made(OTHER)), 0, IDENTITY),
    ("basic", BASIC, {"authorization": f"Basic {GOOD_BASIC}"}, 0, ""),
    ("basic without padding", BASIC, {"authorization": f"basic {GOOD_BASIC.rstrip('=')}"}, 0, ""),
    ("bearer", BEARER, {"authorization": "Bearer open sesame"}, 0, ""),
]
SIGNATURE, TIME = "signature_invalid", "timestamp_out_of_range"
BAD: list[tuple[str, WebhookConfig, dict[str, str], bytes, float, str]] = [
    ("nothing", SIGNED, {}, BODY, 0, SIGNATURE),
    ("a forged signature", SIGNED, signed(FORGED), BODY, 0, SIGNATURE),
    ("another version", SIGNED, signed(PUBLISHED.replace("v1", "v2")), BODY, 0, SIGNATURE),
    ("no base64", SIGNED, signed("v1,%%%"), BODY, 0, SIGNATURE),
    ("the body re-serialised", SIGNED, signed(), b'{"test":2432232314}', 0, SIGNATURE),
    ("another id", SIGNED, signed(webhook_id="msg_2"), BODY, 0, SIGNATURE),
    ("no id", SIGNED, signed(webhook_id=""), BODY, 0, SIGNATURE),
    ("an endless id", SIGNED, signed(webhook_id="m" * 256), BODY, 0, SIGNATURE),
    ("another time", SIGNED, signed(webhook_timestamp=str(SENT_S + 1)), BODY, 0, SIGNATURE),
    ("another's secret", SIGNED, signed(made(OTHER)), BODY, 0, SIGNATURE),
    ("too many signatures", SIGNED, signed(f"{FORGED} " * 10 + PUBLISHED), BODY, 0, SIGNATURE),
    ("too late", SIGNED, signed(), BODY, 301, TIME),
    ("too early", SIGNED, signed(), BODY, -301, TIME),
    (
        "no time",
        SIGNED,
        signed(made(SECRET, timestamp="now"), webhook_timestamp="now"),
        BODY,
        0,
        TIME,
    ),
    ("wrong password", BASIC, {"authorization": f"Basic {WRONG_BASIC}"}, BODY, 0, SIGNATURE),
    ("no scheme", BASIC, {"authorization": GOOD_BASIC}, BODY, 0, SIGNATURE),
    ("basic as bearer", BASIC, {"authorization": f"Bearer {GOOD_BASIC}"}, BODY, 0, SIGNATURE),
    ("garbage", BASIC, {"authorization": "Basic \xff"}, BODY, 0, SIGNATURE),
    ("wrong token", BEARER, {"authorization": "Bearer open"}, BODY, 0, SIGNATURE),
    ("empty token", BEARER, {"authorization": "Bearer "}, BODY, 0, SIGNATURE),
]


@pytest.mark.parametrize(
    ("config", "headers", "after_s", "identity"),
    [row[1:] for row in GOOD],
    ids=[row[0] for row in GOOD],
)
def test_a_good_delivery_is_known_by_its_id(
    config: WebhookConfig, headers: dict[str, str], after_s: float, identity: str
) -> None:
    delivery = a_delivery(headers, after_s=after_s)

    assert authenticated(config, resolve, delivery) == identity


@pytest.mark.parametrize(
    ("config", "headers", "body", "after_s", "code"),
    [row[1:] for row in BAD],
    ids=[row[0] for row in BAD],
)
def test_any_other_delivery_is_refused_by_name(
    config: WebhookConfig, headers: dict[str, str], body: bytes, after_s: float, code: str
) -> None:
    delivery = a_delivery(headers, body, after_s=after_s)

    found = authenticated(config, resolve, delivery)

    assert isinstance(found, Refusal)
    assert found.code == code


def test_a_good_delivery_names_the_streams_to_ask_and_nothing_that_it_says() -> None:
    receiver = HintReceiver(("requisitions",), SIGNED, resolve)

    receipt = receiver.receive(a_delivery(signed()))

    assert receipt == Receipt(("requisitions",), event_id=IDENTITY)


def asked(credentials: str = GOOD_BASIC) -> Delivery:
    return a_delivery({"authorization": f"Basic {credentials}"}, b"grant_type=client_credentials")


def a_token(config: WebhookConfig = CLIENT, credentials: str = GOOD_BASIC) -> str:
    receipt = granted(config, resolve, asked(credentials))
    assert isinstance(receipt, Receipt)
    answer = msgspec.json.decode(receipt.body)
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", TOKEN_LIFE_S)
    return str(answer["access_token"])


def test_a_client_posts_with_the_token_that_it_was_given() -> None:
    token = a_token()

    delivery = a_delivery({"authorization": f"Bearer {token}"}, after_s=TOKEN_LIFE_S - 1)

    assert authenticated(CLIENT, resolve, delivery) == ""


TOKENS: list[tuple[str, Callable[[], str], float]] = [
    ("ran out", a_token, TOKEN_LIFE_S),
    ("made longer", lambda: "9" + a_token(), 0),
    ("of no time", lambda: "soon." + a_token().partition(".")[2], 0),
    ("unsigned", lambda: a_token().partition(".")[0], 0),
    (
        "of another client",
        lambda: a_token(OTHER_CLIENT, base64.b64encode(f"coupa:{SECRET}".encode()).decode()),
        0,
    ),
    ("the secret itself", lambda: "open sesame", 0),
    ("nothing", lambda: "", 0),
]


@pytest.mark.parametrize(
    ("made_token", "after_s"), [row[1:] for row in TOKENS], ids=[row[0] for row in TOKENS]
)
def test_a_token_that_is_not_ours_or_ran_out_is_refused(
    made_token: Callable[[], str], after_s: float
) -> None:
    delivery = a_delivery({"authorization": f"Bearer {made_token()}"}, after_s=after_s)

    found = authenticated(CLIENT, resolve, delivery)

    assert isinstance(found, Refusal)
    assert found.code == "signature_invalid"


@pytest.mark.parametrize(
    ("config", "credentials", "code"),
    [
        (CLIENT, WRONG_BASIC, "signature_invalid"),
        (CLIENT, "", "signature_invalid"),
        (BASIC, GOOD_BASIC, "webhook_unknown"),
        (SIGNED, GOOD_BASIC, "webhook_unknown"),
    ],
)
def test_a_token_is_given_to_the_client_alone(
    config: WebhookConfig, credentials: str, code: str
) -> None:
    found = granted(config, resolve, asked(credentials))

    assert isinstance(found, Refusal)
    assert found.code == code
