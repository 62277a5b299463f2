"""The OpenAPI 3.1 document, made from the table of operations and the types of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from quaestor.gateway.bodies import BODY_BYTES_MAX
from quaestor.gateway.fields import DECIMAL_PATTERN, Amount, Day, Instant, Quantity
from quaestor.gateway.idempotency import RETENTION
from quaestor.gateway.operation import Operation
from quaestor.gateway.problems import PROBLEM_JSON, status_of

__all__ = ["openapi_document"]

VERSION = "1"
_EVERY = ("environment_differs", "insufficient_scope", "overloaded", "rate_limited")
_EVERY_TOKEN = ("token_invalid", "token_missing", "unknown_filter", "value_invalid")
_STORAGE = ("commit_unknown", "storage_unavailable")
_BODY = (
    "duplicate_member",
    "field_missing",
    "invalid_encoding",
    "invalid_json",
    "nesting_too_deep",
    "number_out_of_range",
    "payload_too_large",
    "too_many_members",
    "unknown_field",
    "unsupported_media_type",
    "value_invalid",
)
_KEY = (
    "idempotency_key_invalid",
    "idempotency_key_missing",
    "idempotency_key_reused",
    "request_in_progress",
)
_FIELDS: Mapping[type, dict[str, Any]] = {
    Amount: {
        "type": "string",
        "pattern": DECIMAL_PATTERN,
        "description": "A decimal string in major units.",
    },
    Quantity: {
        "type": "string",
        "pattern": DECIMAL_PATTERN,
        "description": "A decimal string greater than zero.",
    },
    Day: {"type": "string", "format": "date"},
    Instant: {
        "type": "string",
        "format": "date-time",
        "description": "With its offset from UTC.",
    },
}
_ID = {"type": "string", "minLength": 1, "maxLength": 255}


def openapi_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document, as plain values."""
    table = tuple(operations)
    types = [each.takes for each in table if each.takes] + [each.answers for each in table]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_field, ref_template="#/components/schemas/{name}"
    )
    of = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in table:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, of)
    paths |= _open_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quaestor",
            "version": VERSION,
            "description": "Every order once, or a named exception that a person owns. An answer "
            f"is kept under its Idempotency-Key for {RETENTION.days} days.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**_plain(components), "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _field(kind: type) -> dict[str, Any]:
    return _FIELDS[kind]


def _operation(each: Operation, of: Mapping[int, Any]) -> dict[str, Any]:
    codes = {*_EVERY, *_EVERY_TOKEN, *_STORAGE, *each.refuses}
    parameters = [_path_parameter(name) for name in re.findall(r"\{(\w+)\}", each.path)]
    parameters += [
        {"name": one.name, "in": "query", "description": one.description, "schema": one.schema}
        for one in each.query
    ]
    if each.keyed:
        codes |= set(_KEY)
        parameters.append(_KEY_PARAMETER)
    if each.conditional:
        codes |= {"precondition_required", "precondition_failed"}
        parameters.append(_IF_MATCH)
    scopes = " or ".join(f"`{scope}`" for scope in each.scopes)
    made: dict[str, Any] = {
        "operationId": each.id,
        "summary": each.summary,
        "description": f"Needs the scope {scopes}.",
        "security": [{"bearer": []}],
        "x-scopes": [str(scope) for scope in each.scopes],
        "parameters": parameters,
    }
    if each.takes is not None:
        codes |= set(_BODY)
        made["requestBody"] = {
            "required": True,
            "description": f"{BODY_BYTES_MAX} bytes at most.",
            "content": {"application/json": {"schema": _plain(of[id(each.takes)])}},
        }
    good = {"application/json": {"schema": _plain(of[id(each.answers)])}}
    made["responses"] = {
        str(each.status): {"description": "Done.", "content": good},
        **_refusals(codes),
    }
    return made


def _refusals(codes: Iterable[str]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(status_of(code), []).append(code)
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in found),
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, found in sorted(by_status.items())
    }


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _ID}


def _delivery(name: str, summary: str, codes: tuple[str, ...]) -> dict[str, Any]:
    always = ("overloaded", "payload_too_large", "rate_limited", "storage_unavailable")
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": [_path_parameter("system")],
        "requestBody": {"required": True, "content": {"*/*": {"schema": {}}}},
        "responses": {"200": {"description": "Taken."}, **_refusals((*always, *codes))},
    }


def _open_paths() -> dict[str, Any]:
    webhook = _delivery(
        "receiveWebhook",
        "A system says that something changed. Authenticated by its own connector.",
        ("signature_invalid", "timestamp_out_of_range", "webhook_unknown"),
    )
    token = _delivery(
        "grantWebhookToken",
        "An access token for the webhooks of a system that is a client of ours (RFC 6749).",
        ("signature_invalid", "webhook_unknown"),
    )
    return {
        "/v1/webhooks/{system}": {"post": webhook},
        "/v1/webhooks/{system}/token": {"post": token},
        "/healthz": {"get": _open("health", "Whether the process is alive.", ())},
        "/readyz": {
            "get": _open("readiness", "Whether it can serve.", ("not_ready", "storage_unavailable"))
        },
        "/problems/{code}": {
            "get": _open("explainProblem", "What a code means, and who owns it.", ("not_found",))
            | {"parameters": [_path_parameter("code")]}
        },
    }


def _open(name: str, summary: str, codes: tuple[str, ...]) -> dict[str, Any]:
    good = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Good.", "content": good}, **_refusals(codes)},
    }


def _plain(value: Any) -> Any:
    """Plain values; decimals by pattern, as they are written, and prose without line ends."""
    if isinstance(value, Mapping):
        made = {str(name): _plain(item) for name, item in value.items()}
        if made.get("format") == "decimal":
            del made["format"]
            made["pattern"] = r"^-?[0-9]+(\.[0-9]+)?$"
        if isinstance(made.get("description"), str):
            made["description"] = re.sub(r"\s+", " ", made["description"]).strip()
        return made
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "One key for one request: the same request again gets the same answer.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        # A text of RFC 8941 in quotes, or the same without them.
        "pattern": r'^([!#-+\-.-\[\]-~]+|"([ !#-\[\]-~]|\\["\\])+")$',
    },
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of the version that was seen.",
    "schema": {"type": "string", "pattern": '^"[1-9][0-9]{0,5}"$'},
}
_PROBLEM = {
    "type": "object",
    "description": "A refusal (RFC 9457). `type` leads to the page of its code.",
    "required": ["type", "title", "status", "code", "owner", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "owner": {"type": "string", "enum": ["requester", "finance", "operator"]},
        "request_id": {"type": "string"},
        "details": {"type": "object", "additionalProperties": {"type": "string"}},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "document": {"type": "integer"},
        "correlation_id": {"type": "string"},
    },
}
