"""What a system publishes becomes documents and events of ours, whatever its name is."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quaestor.connectors.kit.contract import Delivered
from quaestor.connectors.kit.published import Mapped, NotMapped
from quaestor.connectors.kit.ready import Ready
from quaestor.model.event import Cancel
from quaestor.project.load import load_project
from quaestor.project.streams import ProjectStreams
from quaestor.project.systems import open_systems
from quaestor.runtime.pulling import ForDocument, NotUnderstood, Stream
from quaestor.runtime.receiving import Inbound

EXAMPLE = Path("examples/it-hardware")
NAME = "procure"
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
CREDENTIALS = {"client_id": "any", "client_secret": "any"}


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> ProjectStreams:
    """The example with its Coupa under another name."""
    folder = tmp_path_factory.mktemp("streams") / "acme"
    shutil.copytree(EXAMPLE, folder)
    for file in ("quaestor.toml", "ownership.yaml", "entities.yaml", "directory/people.yaml"):
        text = (folder / file).read_text(encoding="utf-8")
        for old, new in (("systems.coupa", f"systems.{NAME}"), ("owner: coupa", f"owner: {NAME}")):
            text = text.replace(old, new)
        (folder / file).write_text(text.replace("coupa:", f"{NAME}:"), encoding="utf-8")
    codes = (folder / "crosswalks/coupa.csv").read_text(encoding="utf-8")
    codes = codes.replace("\ncoupa,", f"\n{NAME},")
    (folder / "crosswalks/coupa.csv").write_text(codes, encoding="utf-8")
    project = load_project(folder)
    return ProjectStreams(project, lambda: project.directory)


@pytest.fixture
async def pulled(streams: ProjectStreams) -> AsyncIterator[Stream]:
    simulated = {NAME: Ready("http://127.0.0.1:9", "http://127.0.0.1:9", CREDENTIALS)}
    system = open_systems(streams.project, simulated, NAME)[NAME]
    yield next(one for one in streams.of(NAME, system) if one.name == "requisitions")
    await system.wire.close()


def headline() -> bytes:
    return (EXAMPLE / "requisitions/headline.json").read_bytes()


def an_item(body: bytes) -> Delivered:
    return Delivered("event-1", "requisition", "7", AT, body)


def test_a_file_is_read_as_the_one_system_publishes_it(streams: ProjectStreams) -> None:
    found = streams.read_requisition(headline(), system=None, on=AT)

    assert isinstance(found, Mapped), found
    assert found.requisition.source_system == NAME


def test_a_file_of_a_system_that_publishes_none_is_asked_about(streams: ProjectStreams) -> None:
    with pytest.raises(LookupError, match=NAME):
        streams.read_requisition(headline(), system="sap", on=AT)


def test_a_file_of_what_was_taken_back_is_refused(streams: ProjectStreams) -> None:
    found = streams.read_requisition(b'{"id": 7, "status": "withdrawn"}', system=NAME, on=AT)

    assert isinstance(found, NotMapped)
    assert [refusal.code for refusal in found.refusals] == ["not_submitted"]


async def test_a_published_requisition_is_the_next_version_of_its_document(pulled: Stream) -> None:
    found = pulled.translate(an_item(headline()))

    assert isinstance(found, Inbound)
    assert (found.source_system, found.numbered) == (NAME, False)


async def test_what_was_taken_back_there_is_cancelled_here(pulled: Stream) -> None:
    found = pulled.translate(an_item(b'{"id": 7, "status": "withdrawn"}'))

    cancel = Cancel("event-1", AT, f"system:{NAME}", f"withdrawn in {NAME}")
    assert found == ForDocument("requisition", NAME, "7", cancel)


async def test_what_cannot_be_read_is_kept_with_its_reasons(pulled: Stream) -> None:
    found = pulled.translate(an_item(b"{"))

    assert isinstance(found, NotUnderstood)
    assert [refusal.code for refusal in found.refusals] == ["source_document_invalid"]
