"""Reading Workday's XML: no document type, no entities, no network, bounded.

Elements are found by local name within Workday's namespace; what is not known is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from lxml import etree

__all__ = [
    "BYTES_MAX",
    "ELEMENTS_MAX",
    "SOAP",
    "WD",
    "Element",
    "XmlRefused",
    "child",
    "children",
    "decimal_of",
    "id_of",
    "number_text",
    "parsed",
    "qualified",
    "text_of",
]

WD = "urn:com.workday/bsvc"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

BYTES_MAX = 8 * 1024 * 1024
ELEMENTS_MAX = 200_000

Element = etree._Element


class XmlRefused(ValueError):
    """The bytes are not XML that is read here."""


def parsed(body: bytes) -> Element:
    """The root element. Raises `XmlRefused` for what is not well-formed, too large, or has a
    document type: none of Workday's messages has one, and entities live there.
    """
    if len(body) > BYTES_MAX:
        raise XmlRefused("the message is larger than the limit")
    # A parser is not shared: its error log grows with it.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlRefused("the message is not well-formed XML") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused("the message has a document type")
    for count, _ in enumerate(root.iter()):
        if count >= ELEMENTS_MAX:
            raise XmlRefused("the message has more elements than the limit")
    return root


def qualified(name: str) -> str:
    """Workday's name of an element or attribute."""
    return f"{{{WD}}}{name}"


def children(parent: Element | None, *path: str) -> Iterator[Element]:
    """Every element at the end of the path of names below `parent`, in document order."""
    if parent is None:
        return
    yield from parent.iterfind("/".join(qualified(name) for name in path))


def child(parent: Element | None, *path: str) -> Element | None:
    """The first element at the end of the path, or `None`."""
    return next(children(parent, *path), None)


def text_of(parent: Element | None, *path: str) -> str:
    """The text at the end of the path, stripped; empty where there is none."""
    found = child(parent, *path) if path else parent
    return "" if found is None else "".join(str(part) for part in found.itertext()).strip()


def id_of(reference: Element | None, *types: str) -> str:
    """The id of the first of these types that a reference carries; empty where it has none."""
    ids = {
        one.get(qualified("type"), ""): (one.text or "").strip()
        for one in children(reference, "ID")
    }
    return next((ids[wanted] for wanted in types if ids.get(wanted)), "")


def decimal_of(text: str) -> Decimal | None:
    """A finite decimal, or `None`."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def number_text(text: str) -> str:
    """A decimal in one form, so that `3`, `3.0` and `3.000000` are the same text."""
    value = decimal_of(text)
    if value is None:
        return text
    plain = format(value, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("", "-0") else plain
