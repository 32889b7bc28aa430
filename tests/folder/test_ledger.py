"""The ledger: knows a file again, counts what was spent, and is never worth a breakdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbox_runner.core.record import Dropped
from dropbox_runner.core.run import Run, Why
from dropbox_runner.core.states import Verdict
from dropbox_runner.folder.ledger import Ledger, LedgerError, Spent

FILE = Dropped(file="x.yaml", sha256="abc", mtime_ns=1_700_000_000_123_456_789)
AT = "2026-01-02T12:00:00+00:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


def run(name: str, at: str, cost: float | None) -> Run:
    known = Run(number=1, id=name, why=Why.START, resumed=False, started_at=AT, steady=1.0, boot="b")
    return known.but(ended_at=at, verdict=Verdict.SUCCEEDED, cost_usd=cost)


def test_a_file_that_was_taken_is_known_again_after_a_restart(path: Path) -> None:
    assert not Ledger(path).is_copy(FILE, "second")
    Ledger(path).note_taken(FILE, "first", AT)
    assert Ledger(path).is_copy(FILE, "second")
    assert Ledger(path).knows(FILE)


def test_a_task_is_never_a_copy_of_itself(path: Path) -> None:
    ledger = Ledger(path)
    ledger.note_taken(FILE, "first", AT)
    assert not ledger.is_copy(FILE, "first")


@pytest.mark.parametrize("change", [{"file": "y.yaml"}, {"sha256": "abd"}, {"mtime_ns": FILE.mtime_ns + 1}], ids=str)
def test_another_name_content_or_time_is_another_file(path: Path, change: dict[str, object]) -> None:
    ledger = Ledger(path)
    ledger.note_taken(FILE, "first", AT)
    assert not ledger.is_copy(FILE.but(**change), "second")


@pytest.mark.parametrize("unit", [1_000, 1_000_000, 1_000_000_000])
def test_a_file_that_comes_back_with_a_coarser_time_is_known(path: Path, unit: int) -> None:
    taken = FILE.but(mtime_ns=1_700_000_000_123_456_789)
    back = taken.but(mtime_ns=taken.mtime_ns // unit * unit)
    for first, second in ((taken, back), (back, taken)):
        Ledger(path).note_taken(first, "first", AT)
        assert Ledger(path).is_copy(second, "second")
        assert not Ledger(path).is_copy(second.but(mtime_ns=second.mtime_ns + unit + 1), "second")
        Ledger(path).forget("first")


def test_the_first_taker_stays_the_first(path: Path) -> None:
    ledger = Ledger(path)
    ledger.note_taken(FILE, "first", AT)
    ledger.note_taken(FILE, "copy", AT)
    assert ledger.is_copy(FILE, "copy")
    assert not ledger.is_copy(FILE, "first")


def test_what_was_spent_today_and_in_all(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.spent(AT) == Spent(0.0, 0.0, 0)
    ledger.note_run("x", run("a", "2026-01-01T23:59:59+00:00", 1.0))
    ledger.note_run("x", run("b", "2026-01-02T00:00:00+00:00", 0.25))
    ledger.note_run("y", run("c", "2026-01-02T09:00:00+00:00", None))
    assert ledger.spent("2026-01-02T00:00:00+00:00") == Spent(0.25, 1.25, 1)


def test_a_run_that_is_noted_twice_counts_once(path: Path) -> None:
    ledger = Ledger(path)
    for _ in range(2):
        ledger.note_run("x", run("a", AT, 1.0))
    assert ledger.spent(AT).total == 1.0


@pytest.mark.parametrize("garbage", [b"", b"not a database at all" * 100, b"SQLite format 3\0" + b"\0" * 5000])
def test_a_broken_ledger_loses_only_what_it_knew(path: Path, garbage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(garbage)
    ledger = Ledger(path)
    assert not ledger.is_copy(FILE, "x")
    ledger.note_taken(FILE, "first", AT)
    assert ledger.is_copy(FILE, "second")


def test_two_programs_may_use_it_at_once(path: Path) -> None:
    first, second = Ledger(path), Ledger(path)
    for number in range(20):
        (first if number % 2 else second).note_run("x", run(str(number), AT, 1.0))
    assert first.spent(AT) == second.spent(AT) == Spent(20.0, 20.0, 0)


def test_a_ledger_that_cannot_be_written_loses_what_was_to_be_noted_and_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir(parents=True)
    ledger = Ledger(path)
    ledger.note_taken(FILE, "first", AT)
    ledger.note_run("x", run("a", AT, 1.0))
    assert "cannot be used" in caplog.text
    assert "what was to be noted there is lost" in caplog.text


def test_a_ledger_that_cannot_be_read_is_no_answer_and_stays_where_it_is(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(path).is_copy(FILE, "second")
    assert path.is_dir()
