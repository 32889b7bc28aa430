"""What the documentation says is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dropbox_runner.cli.app import COMMANDS
from dropbox_runner.core.answer import parse_answer
from dropbox_runner.core.decide import home
from dropbox_runner.core.durations import parse_duration
from dropbox_runner.core.followup import Patience, conclude
from dropbox_runner.core.record import Dropped, Record
from dropbox_runner.core.run import Run, Why
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.stream import read_stream
from dropbox_runner.core.task import KNOWN_FIELDS, NOT_ACTED_ON, parse_task
from dropbox_runner.core.verdict import Evidence, judge
from dropbox_runner.folder.config import load_settings

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests/captures"
RUN = Run(
    number=1, id="0" * 32, why=Why.START, resumed=False, started_at="2026-01-01T00:00:00+00:00", steady=0, boot="b"
)


def begun() -> Record:
    """A task whose first run is going on."""
    dropped = Dropped(file="x.yaml")
    return Record(id="i", name="x", dropped=dropped, taken_at=RUN.started_at, session_id="s", runs=(RUN,))


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
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
        real = ", ".join(real) if isinstance(real, tuple) and real else real
        assert said == "none" if real in (None, ()) else said in (str(real), real) or parse_duration(said) == real


def test_the_table_of_commands_names_every_command_and_no_other() -> None:
    cells = table("commands.md", "command")
    documented = {word for cell in cells for word in re.findall(r"`(?:dropbox-runner )?([a-z]+)", cell)}

    assert documented == set(COMMANDS)


def test_every_threat_has_a_test_that_is_there() -> None:
    rows = re.findall(r"^\| .* \| .* \| (`tests/.*) \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)

    assert len(rows) >= 9
    for cell in rows:
        for path in re.findall(r"`([^`]+)`", cell):
            assert "def test_" in (ROOT / path).read_text()


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


ENDINGS = [
    (capture, verdict, state)
    for ends, verdict, state in re.findall(
        r"^\| [^|]+ \| ((?:`\d\d\w+` ?)+)\| `(\w+)` \| `(\w+)`", (ROOT / "docs/endings.md").read_text(), re.MULTILINE
    )
    for capture in re.findall(r"`(\w+)`", ends)
]


def test_every_recorded_stream_is_in_the_table_of_endings() -> None:
    assert sorted(capture for capture, _, _ in ENDINGS) == sorted(path.name for path in CAPTURES.iterdir())


@pytest.mark.parametrize(("capture", "verdict", "state"), ENDINGS)
def test_a_run_that_ended_like_this_one_goes_where_the_table_says(capture: str, verdict: str, state: str) -> None:
    folder = CAPTURES / capture
    ending = read_stream((folder / "stdout.jsonl").read_bytes().splitlines(keepends=True))
    exit_code = int((folder / "exit").read_text().split()[0])
    asked = verdict == "asked"  # the file lies beside the stream, not in it
    judgement = judge(Evidence(ending, exit_code, (folder / "stderr").read_text(), asked, None))
    record = conclude(begun(), RUN, judgement, Patience(0, 3, 3600, "ask"), at=RUN.started_at, now=0.0)

    assert judgement.verdict == verdict
    assert home(record) == state
    assert judgement.reason


@pytest.mark.parametrize(("capture", "verdict", "state"), ENDINGS)
def test_whatever_a_run_ended_like_nobody_calls_it_done_if_its_exit_code_is_unknown_and_it_was_not(
    capture: str, verdict: str, state: str
) -> None:
    """A run that a restarted daemon has adopted: nobody knows how its process ended."""
    folder = CAPTURES / capture
    ending = read_stream((folder / "stdout.jsonl").read_bytes().splitlines(keepends=True))
    judgement = judge(Evidence(ending, None, (folder / "stderr").read_text(), verdict == "asked", None))

    assert (judgement.verdict == "succeeded") == (verdict == "succeeded")
