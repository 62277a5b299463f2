"""SOAP 1.1 as Workday speaks it: envelopes, and whether the application itself refused.

A fault is told by what stands in it, not by the HTTP status: it comes with 500, and behind some
gateways with 200. A `Validation_Fault` is the application's own refusal, so nothing was done. A
`Processing_Fault` says that it failed while working: perhaps it did.
"""

from __future__ import annotations

import msgspec
from lxml import etree

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.workday.xml import (
    SOAP,
    Element,
    XmlRefused,
    children,
    parsed,
    text_of,
)

__all__ = ["CONTENT_TYPE", "Fault", "Said", "enveloped", "hear", "payload", "said"]

CONTENT_TYPE = "text/xml; charset=utf-8"

_AUTHENTICATION = "authentication"


class Fault(msgspec.Struct, frozen=True):
    """A refusal in Workday's words. `kind` is `Validation_Fault`, `Processing_Fault` or the code
    of a fault without detail; `messages` has a line per validation error.
    """

    kind: str
    messages: tuple[str, ...]
    xpath: str = ""
    by_client: bool = False
    login: bool = False


class Said(msgspec.Struct, frozen=True):
    """What an envelope carries: the content of its body, or a fault."""

    content: Element | None = None
    fault: Fault | None = None


def enveloped(content: Element) -> bytes:
    """The whole message, in UTF-8. Credentials are not part of it: the wire gives them."""
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soapenv": SOAP})
    body = etree.SubElement(root, f"{{{SOAP}}}Body")
    body.append(content)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def payload(message: bytes) -> Element:
    """The content of a message that is known to be good: our own. Raises `XmlRefused`."""
    content = _content(message)
    if content is None:
        raise XmlRefused("the message has no content")
    return content


def said(message: bytes) -> Said:
    """Read a message; neither content nor fault where it is none of Workday's."""
    try:
        content = _content(message)
    except XmlRefused:
        return Said()
    if content is None:
        return Said()
    if content.tag == f"{{{SOAP}}}Fault":
        return Said(fault=_fault(content))
    return Said(content=content)


def hear(answer: Answer) -> Voice:
    """Did Workday's application speak?"""
    if answer.status == 429:
        return Voice.BUSY
    if answer.status in (401, 403):
        return Voice.LOGIN
    heard = said(answer.body)
    if heard.fault is not None:
        if heard.fault.login:
            return Voice.LOGIN
        return Voice.REFUSED if heard.fault.by_client else Voice.UNSURE
    if heard.content is not None and 200 <= answer.status < 300:
        return Voice.DONE
    return Voice.UNSURE


def _content(message: bytes) -> Element | None:
    root = parsed(message)
    if root.tag != f"{{{SOAP}}}Envelope":
        return None
    body = root.find(f"{{{SOAP}}}Body")
    return None if body is None else next(iter(body), None)


def _fault(fault: Element) -> Fault:
    # SOAP 1.1 qualifies the fault, but neither its code nor its text.
    code = (fault.findtext("faultcode") or "").rpartition(":")[2].strip()
    text = (fault.findtext("faultstring") or "").strip()
    detail = fault.find("detail")
    validation = [] if detail is None else list(children(detail, "Validation_Fault"))
    processing = [] if detail is None else list(children(detail, "Processing_Fault"))
    if validation:
        errors = list(children(validation[0], "Validation_Error"))
        messages = tuple(_message(error) for error in errors) or (text,)
        xpath = text_of(errors[0], "Xpath") if errors else ""
        return Fault("Validation_Fault", messages, xpath, by_client=True)
    if processing:
        return Fault("Processing_Fault", (text_of(processing[0], "Detail_Message") or text,))
    login = _AUTHENTICATION in code.lower()
    # "The message was incorrectly formed": nothing was done (SOAP 1.1, section 4.4.1).
    return Fault(code or "Fault", (text,), by_client=code.split(".")[0] == "Client", login=login)


def _message(error: Element) -> str:
    parts = (text_of(error, "Message"), text_of(error, "Detail_Message"))
    return " ".join(dict.fromkeys(part for part in parts if part))
