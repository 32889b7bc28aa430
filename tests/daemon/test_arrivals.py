"""How long a file is waited for while a lock lies beside it, on a clock that is told what time it is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dropbox_runner.core.settle import Wait
from dropbox_runner.daemon.arrivals import Arrivals

SETTLE = 20.0


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "answer.md"
    path.write_text("yes\n")
    return path


def wait(arrivals: Arrivals, path: Path, now: float) -> Wait | None:
    names = frozenset(os.listdir(path.parent))  # noqa: PTH208
    found = arrivals.wait_for(path.parent, path.name, names, SETTLE, now, lambda *_: False)
    arrivals.forget_all_but({(path.parent, path.name)})
    return found


def test_the_lock_of_an_editor_that_was_killed_costs_no_more_than_the_quiet_time_and_is_named(answer: Path) -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    (answer.parent / ".#answer.md").symlink_to(f"me@{socket.gethostname()}.{child}:1")
    arrivals = Arrivals()
    first = wait(arrivals, answer, 100.0)
    assert first is not None
    assert ".#answer.md of emacs is left over" in first.reason
    assert first.until == 120.0
    assert first.notable
    assert wait(arrivals, answer, 120.0) is None


def test_the_lock_of_an_editor_that_lives_is_waited_for_however_long(answer: Path) -> None:
    (answer.parent / ".#answer.md").symlink_to(f"me@{socket.gethostname()}.{os.getpid()}:1")
    arrivals = Arrivals()
    for now in (100.0, 5000.0, 500_000.0):
        waits = wait(arrivals, answer, now)
        assert waits is not None
        assert waits.reason == "emacs still has it open"


def test_a_lock_of_which_nobody_can_tell_counts_until_nothing_has_changed_for_a_quarter_of_an_hour(
    answer: Path,
) -> None:
    lock = answer.parent / ".~lock.answer.md#"
    lock.write_text(",me,laptop,24.11.2026 10:00,file:///home/me;")
    arrivals = Arrivals()
    for now in (100.0, 700.0):
        waits = wait(arrivals, answer, now)
        assert waits is not None
        assert "LibreOffice still has it open (or has left its lock behind" in waits.reason
        assert waits.until == 1000.0
        assert waits.notable
    lock.write_text(",me,laptop,24.11.2026 10:10,file:///home/me;")  # it lives
    assert wait(arrivals, answer, 900.0) is not None
    assert wait(arrivals, answer, 1700.0) is not None
    assert wait(arrivals, answer, 1800.0) is None


def test_an_answer_that_is_still_being_changed_keeps_an_unknown_lock_alive(answer: Path) -> None:
    (answer.parent / ".answer.md.swp").touch()
    arrivals = Arrivals()
    assert wait(arrivals, answer, 100.0) is not None
    answer.write_text("yes, but\n")
    assert wait(arrivals, answer, 900.0) is not None
    assert wait(arrivals, answer, 1799.0) is not None
    assert wait(arrivals, answer, 1800.0) is None


def test_a_folder_in_which_a_file_is_being_renamed_is_not_whole_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "task").mkdir()

    def vanished(_: Path) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("dropbox_runner.daemon.arrivals.survey", vanished)
    waits = Arrivals().wait_for_tree(tmp_path, "task", 5.0, 100.0, whole=True)
    assert waits is not None
    assert waits.until == 105.0
    assert Arrivals().wait_for_tree(tmp_path, "gone", 5.0, 100.0, whole=True) is None


def test_a_lock_that_a_sync_tool_replaces_counts_while_it_is_missing(answer: Path) -> None:
    """Syncthing removes a file before it puts a newer one in its place."""
    lock = answer.parent / ".#answer.md"
    arrivals = Arrivals()
    for now in (100.0, 200.0):
        lock.symlink_to(f"me@{socket.gethostname()}.{os.getpid()}:1")
        waits = wait(arrivals, answer, now)
        assert waits is not None
        assert waits.reason == "emacs still has it open"
        lock.unlink()
        for later in (30.0, 31.9):
            waits = wait(arrivals, answer, now + later)
            assert waits is not None
            assert "just closed it" in waits.reason
            assert waits.until == now + 32.0
    assert wait(arrivals, answer, 232.0) is None
    assert wait(arrivals, answer, 233.0) is None
