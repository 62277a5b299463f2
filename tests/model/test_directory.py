"""People are found by id, and by their login elsewhere."""

from __future__ import annotations

from tests.support.builders import a_directory, an_employee


def test_a_login_leads_to_its_person_whatever_its_case() -> None:
    directory = a_directory(an_employee("ana", identities={"coupa": "ABerger"}))

    found = directory.by_identity("coupa", "aberger")

    assert found is not None
    assert found.id == "ana"


def test_a_login_of_another_system_leads_to_nobody() -> None:
    directory = a_directory(an_employee("ana", identities={"coupa": "aberger"}))

    found = directory.by_identity("workday", "aberger")

    assert found is None


def test_an_empty_login_leads_to_nobody() -> None:
    directory = a_directory(an_employee("ana"))

    found = directory.by_identity("coupa", "")

    assert found is None


def test_a_role_is_filled_by_its_active_people_in_order() -> None:
    directory = a_directory(
        an_employee("max", roles=["finance"]),
        an_employee("ida", roles=["finance"]),
        an_employee("nia", roles=["finance"], active=False),
        an_employee("ana"),
    )

    finance = directory.in_role("finance")

    assert [person.id for person in finance] == ["ida", "max"]


def test_an_authority_reaches_its_entities_only() -> None:
    employee = an_employee("ben", limit="1000", entities=["acme-de"])

    reaches = [employee.may_act_for(entity) for entity in ("acme-de", "acme-us")]

    assert reaches == [True, False]
