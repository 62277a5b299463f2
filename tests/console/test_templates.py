"""Templates escape everything, and only the drawing makes markup."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, nodes

import quaestor.console.rendering as rendering

HERE = Path(rendering.__file__).parent
TEMPLATES = sorted((HERE / "templates").glob("*.html"))
MODULES = sorted(HERE.glob("*.py"))


def test_no_template_marks_anything_as_safe() -> None:
    parsed = [Environment().parse(path.read_text(encoding="utf-8")) for path in TEMPLATES]

    filters = [each.name for tree in parsed for each in tree.find_all(nodes.Filter)]

    assert TEMPLATES
    assert not {"safe", "tojson", "xmlattr"} & set(filters)


def test_no_template_switches_escaping_off() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)

    assert "autoescape" not in text
    assert rendering._templates.autoescape is True


def test_no_template_has_a_script_a_style_or_a_foreign_address() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)

    assert re.findall(r"<script|<style|\sstyle=|\son[a-z]+=|//[a-z]", text) == []


def test_only_the_drawing_makes_markup() -> None:
    made = [path.name for path in MODULES if "Markup(" in path.read_text(encoding="utf-8")]

    assert made == ["drawing.py"]
