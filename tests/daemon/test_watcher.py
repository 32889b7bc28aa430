"""The events of the kernel, and the ways in which they fall silent."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import wait_until
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor

from dropbox_runner.core.settle import Arrival
from dropbox_runner.daemon.doorbell import Doorbell
from dropbox_runner.daemon.watcher import Hint, Watcher

OVERFLOW = InotifyEvent(WatchDescriptor(-1), Mask(InotifyConstants.IN_Q_OVERFLOW), 0, b"")


@pytest.fixture
def bell() -> Doorbell:
    return Doorbell()


@pytest.fixture
def watcher(bell: Doorbell) -> Iterator[Watcher]:
    watcher = Watcher(bell)
    yield watcher
    watcher.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def move_in(folder: Path, name: str) -> Hint:
    """Move a file in from elsewhere; return what is to be noticed."""
    outside = folder.parent / f"outside-{name}"
    outside.touch()
    outside.rename(folder / name)
    return Hint(folder, name, Arrival.MOVED_IN)


def wait_for_hint(watcher: Watcher, hint: Hint) -> None:
    wait_until(lambda: hint in watcher.hints(), f"no event for {hint.name}")


def rung(bell: Doorbell, within: float = 5.0) -> bool:
    """Whether the bell rings."""
    before = time.monotonic()
    bell.wait(within)
    return time.monotonic() - before < within


def test_a_file_that_is_moved_in_rings_and_is_known_as_that(watcher: Watcher, bell: Doorbell, folder: Path) -> None:
    watcher.watch([folder])
    assert rung(bell), "what had happened before the watch was there must be looked at"
    hint = move_in(folder, "a.yaml")
    assert rung(bell)
    wait_for_hint(watcher, hint)


def test_reading_and_listing_a_folder_does_not_ring(watcher: Watcher, bell: Doorbell, folder: Path) -> None:
    (folder / "a.yaml").write_text("instructions: x\n")
    watcher.watch([folder])
    assert rung(bell)
    for _ in range(3):
        assert os.listdir(folder) == ["a.yaml"]  # noqa: PTH208 - the very system calls are meant
        (folder / "a.yaml").read_text()
    assert not rung(bell, within=0.1)


def test_a_file_moved_out_does_not_hold_back_the_next_event(watcher: Watcher, folder: Path) -> None:
    """watchdog's own Observer waits half a second for the other half of the move."""
    (folder / "old.yaml").touch()
    watcher.watch([folder])
    (folder / "old.yaml").rename(folder.parent / "old.yaml")
    before = time.monotonic()
    wait_for_hint(watcher, move_in(folder, "new.yaml"))
    assert time.monotonic() - before < 0.4


def test_a_folder_that_was_replaced_by_another_is_watched_anew(watcher: Watcher, folder: Path) -> None:
    watcher.watch([folder])
    folder.rename(folder.with_name("old"))
    folder.mkdir()
    watcher.watch([folder])
    wait_for_hint(watcher, move_in(folder, "a.yaml"))


def test_a_folder_that_was_removed_and_made_again_is_watched_anew(watcher: Watcher, folder: Path) -> None:
    """The new one may well get the inode of the old one."""
    watcher.watch([folder])
    folder.rmdir()
    wait_until(lambda: not watcher._gone.empty(), "the removal was not noticed")
    folder.mkdir()
    watcher.watch([folder])
    wait_for_hint(watcher, move_in(folder, "a.yaml"))


def test_what_a_moved_folder_reports_under_its_old_path_is_not_believed(watcher: Watcher, folder: Path) -> None:
    watcher.watch([folder])
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    folder.mkdir()
    move_in(elsewhere, "ghost.yaml")
    wait_until(lambda: not watcher._hints.empty(), "the test itself: the old folder reports nothing")
    assert watcher.hints() == []


def test_a_folder_that_is_gone_is_no_error_and_is_watched_when_it_is_back(watcher: Watcher, folder: Path) -> None:
    folder.rmdir()
    watcher.watch([folder])
    folder.mkdir()
    watcher.watch([folder])
    wait_for_hint(watcher, move_in(folder, "a.yaml"))


def test_a_folder_is_watched_under_the_name_it_has_now(watcher: Watcher, tmp_path: Path) -> None:
    """running/x → blocked/x: the kernel gives the same inode the same watch."""
    running, blocked = tmp_path / "running-x", tmp_path / "blocked-x"
    running.mkdir()
    watcher.watch([running])
    running.rename(blocked)
    watcher.watch([blocked])
    wait_for_hint(watcher, move_in(blocked, "answer.md"))


def test_when_events_were_lost_every_folder_is_watched_anew_and_looked_at(
    watcher: Watcher, bell: Doorbell, folder: Path
) -> None:
    watcher.watch([folder])
    assert rung(bell)
    watcher._reader.handle_event(OVERFLOW)
    assert rung(bell), "files that nobody has reported would lie there until the next poll"
    before = watcher._watches[folder].descriptor
    watcher.watch([folder])
    assert watcher._watches[folder].descriptor != before
    wait_for_hint(watcher, move_in(folder, "a.yaml"))


def test_a_real_overflow_rings(bell: Doorbell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    watcher = Watcher(bell)
    lost: list[Path] = []
    monkeypatch.setattr(watcher, "lost", lost.append)
    try:
        watcher.watch([folder])
        with watcher._reader._lock:  # the reader falls asleep with its first event
            for number in range(limit // 3 + 2000):
                (folder / str(number % 2)).touch()
                (folder / str(number % 2)).unlink()
        wait_until(lambda: lost == [folder], "the overflow was not noticed")
    finally:
        watcher.close()


def test_a_reader_that_has_broken_down_is_known_to_be_dead(
    watcher: Watcher, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watcher.is_alive()
    monkeypatch.setattr(watcher._reader, "should_keep_running", lambda: False)
    watcher.watch([folder])
    move_in(folder, "a.yaml")
    wait_until(lambda: not watcher.is_alive(), "nobody noticed")


def test_a_reader_without_its_descriptor_is_known_to_be_deaf(bell: Doorbell) -> None:
    """The thread lives on and reads nothing, as fast as it can."""
    watcher = Watcher(bell)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, watcher._reader._inotify_fd)
    os.close(null)
    assert not watcher.is_alive()
    watcher.close()
