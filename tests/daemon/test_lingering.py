from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

from dropbox_runner.daemon.lingering import Lingering
from dropbox_runner.daemon.service import read_clock

RESULT = b'{"type":"result","is_error":false}\n'


def test_a_run_without_a_result_may_be_silent_for_as_long_as_it_likes(tmp_path: Path) -> None:
    log = tmp_path / "run-1.jsonl"
    lingering = Lingering()
    assert lingering.over_at("a", log, 60, 0) is None
    log.write_bytes(b'{"type":"assistant"}\n')
    assert lingering.over_at("a", log, 60, 1) is None
    assert lingering.over_at("a", log, 60, 100_000) is None


def test_after_its_result_it_gets_its_grace_from_when_that_was_seen(tmp_path: Path) -> None:
    log = tmp_path / "run-1.jsonl"
    log.write_bytes(RESULT)
    lingering = Lingering()
    assert [lingering.over_at("a", log, 60, now) for now in (100, 130)] == [160, 160]
    # It goes on: a command in the background has woken it.
    log.write_bytes(RESULT + b'{"type":"assistant"}\n')
    assert lingering.over_at("a", log, 60, 150) is None
    log.write_bytes(RESULT + b'{"type":"assistant"}\n' + RESULT)
    assert lingering.over_at("a", log, 60, 155) == 215
    lingering.forget_all_but([])
    assert lingering.over_at("a", log, 60, 500) == 560


def test_other_messages_and_half_lines_behind_a_result_do_not_keep_it_waiting_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "run-1.jsonl"
    init, more = b'{"type":"system","subtype":"init"}\n', b'{"type":"system","subtype":"status"}\n'
    for number, end in enumerate((RESULT + more, RESULT + more + b'{"type":"sys', RESULT.strip(), RESULT + b"\0" * 99)):
        log.write_bytes(init + end)
        assert Lingering().over_at(str(number), log, 60, 0) == 60
    for number, end in enumerate((RESULT + init + more, RESULT + init + b'{"type":"user"}\n', more)):
        log.write_bytes(init + end)
        assert Lingering().over_at(str(number), log, 60, 0) is None


def test_the_result_is_found_in_a_line_of_50_megabytes_before_anybody_misses_the_daemon(tmp_path: Path) -> None:
    log = tmp_path / "run-1.jsonl"
    log.write_bytes(b'{"type":"result","result":"' + b"x" * 50_000_000 + b'"}\n')
    before = time.process_time()
    assert Lingering().over_at("a", log, 60, 0) == 60
    assert time.process_time() - before < 5


def test_gigabytes_without_a_line_end_do_not_come_into_memory(tmp_path: Path) -> None:
    log = tmp_path / "run-1.jsonl"
    log.write_bytes(RESULT)
    with log.open("r+b") as file:
        file.truncate(3 << 30)
    tracemalloc.start()
    assert Lingering().over_at("a", log, 60, 0) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000_000


def test_our_clock_stands_still_while_the_machine_sleeps() -> None:
    # CLOCK_MONOTONIC does not count suspend (clock_gettime(2)): neither timeouts nor graces pass in a closed laptop.
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert before <= read_clock().steady <= time.clock_gettime(time.CLOCK_MONOTONIC)
