"""What the documentation says is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dropbox_runner.cli.app import COMMANDS
from dropbox_runner.core.answer import parse_answer
from dropbox_runner.core.durations import parse_duration
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import KNOWN_FIELDS, NOT_ACTED_ON, parse_task
from dropbox_runner.folder.config import load_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKED = re.compile(r"<!-- (\w+)(?:: (\S+))? -->\n```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def examples(kind: str) -> list[tuple[str, str]]:
    """All examples of a kind on all pages: (file name, text)."""
    found = [match.groups() for page in PAGES for match in MARKED.finditer(page.read_text())]
    return [(name, text) for one, name, text in found if one == kind]


def table(page: str, heading: str) -> dict[str, str]:
    """The rows of the table whose header starts with this cell: first cell → second cell."""
    text = (ROOT / "docs" / page).read_text()
    rows = re.search(rf"^\| {heading} .*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows is not None, f"docs/{page} has no table that starts with {heading!r}"
    cells = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in rows[1].splitlines()]
    return {row[0]: row[1] for row in cells}


@pytest.mark.parametrize(("name", "text"), examples("task"))
def test_every_task_in_the_docs_is_a_valid_task(name: str, text: str) -> None:
    assert parse_task(name, text.encode()).instructions.strip()


def test_the_settings_in_the_docs_are_accepted(tmp_path: Path) -> None:
    for _, text in examples("settings"):
        file = tmp_path / "config.yaml"
        file.write_text(text)

        assert load_settings(file).max_parallel == 2


def test_the_answer_in_the_docs_is_read_as_the_docs_say() -> None:
    for name, text in examples("answer"):
        answer = parse_answer(name, text.encode())

        assert answer.text.strip() == "Use sqlite, but keep the SQL portable."
        assert answer.ended


def test_the_table_of_fields_names_every_field_and_no_other() -> None:
    documented = {name for cell in table("tasks.md", "field") for name in re.findall(r"`(\w+)`", cell)}

    assert documented == set(KNOWN_FIELDS)


def test_the_fields_that_are_not_acted_on_yet_are_named_as_such() -> None:
    row = next(cell for cell, text in table("tasks.md", "field").items() if "not acted on yet" in text)

    assert set(re.findall(r"`(\w+)`", row)) == set(NOT_ACTED_ON)


def test_the_table_of_settings_gives_every_setting_and_its_real_default() -> None:
    documented = {name.strip("`"): default.strip("`") for name, default in table("settings.md", "setting").items()}

    assert set(documented) == set(Settings.model_fields)
    for name, said in documented.items():
        real = getattr(Settings(), name)
        assert said == "none" if real in (None, ()) else said in (str(real), real) or parse_duration(said) == real


def test_the_table_of_commands_names_every_command_and_no_other() -> None:
    cells = table("commands.md", "command")
    documented = {word for cell in cells for word in re.findall(r"`(?:dropbox-runner )?([a-z]+)", cell)}

    assert documented == set(COMMANDS)


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
