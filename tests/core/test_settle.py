"""When a file counts as finished: a table of how it came, what is beside it, and how long it has been quiet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbox_runner.core.settle import Arrival, Fingerprint, Sighting, Surroundings, Wait, observe, waits_for

FILE = Fingerprint(inode=7, size=20, mtime_ns=1)
ALONE = Surroundings()


def sighting(arrival: Arrival, fingerprint: Fingerprint = FILE) -> Sighting:
    return Sighting(fingerprint, since=100.0, arrival=arrival)


@pytest.mark.parametrize(
    ("arrival", "around", "now", "reason", "until"),
    [
        (Arrival.MOVED_IN, ALONE, 100.0, None, None),
        (Arrival.WRITTEN, ALONE, 100.0, "quiet", 105.0),
        (Arrival.WRITTEN, ALONE, 104.9, "quiet", 105.0),
        (Arrival.WRITTEN, ALONE, 105.0, None, None),
        (Arrival.FOUND, ALONE, 100.0, "quiet", 105.0),
        (Arrival.FOUND, ALONE, 105.0, None, None),
        # Somebody still writes: however it came and however long it has been quiet.
        (Arrival.MOVED_IN, Surroundings(open_for_writing=True), 900.0, "open for writing", None),
        (Arrival.WRITTEN, Surroundings(open_for_writing=True, ends_explicitly=True), 900.0, "open for writing", None),
        # An editor keeps it, until the text itself says that it is finished.
        (Arrival.WRITTEN, Surroundings(editor="vim"), 900.0, "vim still has it open", None),
        (Arrival.MOVED_IN, Surroundings(editor="vim"), 900.0, "vim still has it open", None),
        (Arrival.WRITTEN, Surroundings(editor="vim", ends_explicitly=True), 100.0, None, None),
        (Arrival.WRITTEN, Surroundings(ends_explicitly=True), 100.0, None, None),
        (Arrival.FOUND, Surroundings(ends_explicitly=True), 100.0, None, None),
    ],
)
def test_what_is_missing(
    arrival: Arrival, around: Surroundings, now: float, reason: str | None, until: float | None
) -> None:
    wait = waits_for(sighting(arrival), around, 5.0, now)
    if reason is None:
        assert wait is None
    else:
        assert wait is not None
        assert reason in wait.reason
        assert wait.until == until


@pytest.mark.parametrize("arrival", list(Arrival))
@pytest.mark.parametrize("around", [ALONE, Surroundings(ends_explicitly=True)])
def test_an_empty_file_is_never_finished(arrival: Arrival, around: Surroundings) -> None:
    wait = waits_for(sighting(arrival, replace(FILE, size=0)), around, 5.0, 1e9)
    assert wait is not None
    assert not wait.somebody_is_at_it
    assert wait.notable, "nothing will change unless a person does something, so a person is told"


def test_a_file_that_has_just_been_emptied_is_one_that_somebody_is_writing() -> None:
    wait = waits_for(sighting(Arrival.WRITTEN, replace(FILE, size=0)), ALONE, 5.0, 104.0)
    assert wait is not None
    assert wait.somebody_is_at_it
    assert wait.again == 105.0


def test_a_file_that_was_there_before_us_has_just_been_found() -> None:
    assert observe(None, FILE, None, 50.0) == Sighting(FILE, 50.0, Arrival.FOUND)


def test_the_watcher_says_how_it_came() -> None:
    assert observe(None, FILE, Arrival.MOVED_IN, 50.0).arrival is Arrival.MOVED_IN


def test_a_file_that_has_not_changed_grows_quieter() -> None:
    before = sighting(Arrival.WRITTEN)
    assert observe(before, FILE, None, 103.0) is before


@pytest.mark.parametrize(
    "changed", [replace(FILE, size=21), replace(FILE, mtime_ns=2), replace(FILE, inode=8)], ids=str
)
def test_any_change_begins_the_quiet_anew_and_ends_the_trust_in_how_it_came(changed: Fingerprint) -> None:
    after = observe(sighting(Arrival.MOVED_IN), changed, None, 103.0)
    assert after == Sighting(changed, 103.0, Arrival.WRITTEN)


def test_a_save_with_the_same_size_and_time_is_seen_when_the_watcher_saw_it() -> None:
    assert observe(sighting(Arrival.MOVED_IN), FILE, Arrival.WRITTEN, 103.0) == Sighting(FILE, 103.0, Arrival.WRITTEN)


def test_no_settle_time_means_at_once() -> None:
    assert waits_for(sighting(Arrival.WRITTEN), ALONE, 0.0, 100.0) is None


def test_an_ordinary_wait_is_nothing_to_log() -> None:
    assert waits_for(sighting(Arrival.WRITTEN), ALONE, 5.0, 101.0) == Wait(
        "waiting until it has been quiet for a while", 105.0, notable=False
    )
