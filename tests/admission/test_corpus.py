"""Every file of tests/corpus: what the daemon's own reader says of it, and that `validate` says the same."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

import pytest
import typer
from corpus_cases import CORPUS, Case, cases

from dropbox_runner.cli.validate import validate
from dropbox_runner.core.errors import Problem, RejectedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.folder.admission import admitted

CASES = cases()
LONGEST_MESSAGE = 10_000
LARGE = 100_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home, without settings."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def problems_of(case: Case) -> tuple[Problem, ...]:
    with pytest.raises(RejectedError) as caught:
        admitted(case.file, case.data, Settings(allowed_working_dirs=("~",)))
    assert len(str(caught.value)) < LONGEST_MESSAGE
    return caught.value.problems


def place_of(problem: Problem) -> str:
    column = f":{problem.column}" if problem.column is not None else ""
    return "-" if problem.line is None else f"{problem.line}{column}"


def is_harmless(text: str) -> bool:
    """Whether nothing in it could steer a terminal, or turn round what follows it."""
    return not any(unicodedata.category(char) in ("Cc", "Cf") for char in text.replace("\n", ""))


@pytest.mark.parametrize("case", [case for case in CASES if case.verdict == "rejected"], ids=lambda case: case.file)
def test_it_is_refused_with_its_place_its_line_and_the_mend(case: Case) -> None:
    began = time.process_time()
    problems = problems_of(case)
    assert time.process_time() - began < 1, "the daemon has other work"
    assert case.problems, "an .expect without a message proves nothing"
    for problem, (place, message, advice) in zip(problems, case.problems, strict=False):
        assert place_of(problem) == place
        assert problem.message.startswith(message)
        assert advice in problem.advice
        assert is_harmless(problem.render(case.file))
    assert len(problems) >= len(case.problems)


@pytest.mark.parametrize("case", [case for case in CASES if case.verdict == "accepted"], ids=lambda case: case.file)
def test_it_is_taken_as_it_was_written(case: Case) -> None:
    task = admitted(case.file, case.data, Settings(allowed_working_dirs=("~",))).task.model_dump(mode="json")
    for line in case.lines:
        field, _, value = line.partition(" = ")
        assert task[field] == json.loads(value)


def test_validate_says_what_the_daemon_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config" / "dropbox-runner" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("allowed_working_dirs: [~]\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for case in CASES:
        if len(case.data) > LARGE and case.name != "flood-too-large":
            continue  # they have been read once, and take their time
        path = tmp_path / case.file
        path.write_bytes(case.data)
        try:
            validate([path])
            code = 0
        except typer.Exit as end:
            code = end.exit_code
        said = capsys.readouterr()
        if case.verdict == "accepted":
            assert (code, said.out) == (0, f"{path}: fine\n")
        elif len(case.data) > 1 << 20:
            assert (code, "is larger than" in said.err) == (1, True)
        else:
            problems = "\n".join(problem.render(str(path)) for problem in problems_of(case))
            assert (code, said.err) == (1, f"{problems}\n")


def test_there_are_enough_of_them_and_each_has_its_expectation() -> None:
    assert len(CASES) >= 200
    assert {path.stem for path in CORPUS.glob("*.expect")} == {case.name for case in CASES}
