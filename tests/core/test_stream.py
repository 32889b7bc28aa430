"""What is read out of a run's stdout: the last result line, whatever lies around it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_runner.core.stream import Ending, read_stream

CAPTURES = Path(__file__).parents[1] / "captures"


def line(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def result(**more: object) -> bytes:
    return line(**{"type": "result", "subtype": "success", "is_error": False, "num_turns": 1} | more)


def says(text: str, **more: object) -> bytes:
    return line(type="assistant", message={"content": [{"type": "text", "text": text}]}, **more)


INIT = line(type="system", subtype="init", session_id="abc")


def test_nothing_at_all() -> None:
    assert read_stream([]) == Ending()
    assert read_stream([]).text == ""


def test_an_ordinary_run() -> None:
    ending = read_stream([INIT, says("hello"), result(result="hello", total_cost_usd=0.5, num_turns=2)])
    assert ending.session_id == "abc"
    assert ending.turns_seen == 1
    assert ending.text == "hello"
    assert ending.number("total_cost_usd") == 0.5
    assert ending.number("num_turns") == 2.0
    assert ending.lines == 3


def test_the_last_of_several_results_decides() -> None:
    ending = read_stream([INIT, result(result="first"), INIT, says("more"), result(result="second", is_error=True)])
    assert ending.text == "second"
    assert ending.result is not None
    assert ending.result["is_error"] is True


def test_a_real_run_with_two_inits_and_two_results() -> None:
    with (CAPTURES / "08b_bgshort_pipe" / "stdout.jsonl").open("rb") as stream:
        ending = read_stream(stream)
    assert ending.result is not None
    assert ending.result["result_index"] == 1
    assert ending.number("total_cost_usd") == pytest.approx(0.0024)


def test_a_whole_result_line_without_a_newline_behind_it_is_a_result() -> None:
    assert read_stream([INIT, says("hello"), result(result="done").rstrip(b"\n")]).text == "done"


@pytest.mark.parametrize("cut", range(2, 40, 6))
def test_half_a_result_line_is_no_result(cut: int) -> None:
    ending = read_stream([INIT, says("hello"), result(result="done")[:-cut]])
    assert ending.result is None
    assert ending.text == "hello", "what the model said last stands in for the result"


def test_a_result_before_a_line_that_was_cut_off_still_counts() -> None:
    assert read_stream([result(result="done"), b'{"type":"assistant","mess']).text == "done"


@pytest.mark.parametrize(
    "junk",
    [
        b"\n",
        b"2.1.330 (Claude Code)\n",
        b"\x00" * 4096 + b"\n",
        b'{"type":"result"\n',
        b'["type":"result"]\n',
        b'["a", {"type":"result"}]\n',
        b'{"type":"result","result":"\xff\xfe"}\n',
        b'{"type":"result",' + b"[" * 100_000 + b"\n",
        b'{"type":"hologram","is_error":true,"note":"\\"type\\":\\"result\\""}\n',
        b'{"type":null,"x":{"type":"result"}}\n',
    ],
    ids=lambda junk: repr(junk[:30]),
)
def test_lines_that_make_no_sense_change_nothing_but_the_count(junk: bytes) -> None:
    ending = read_stream([INIT, says("hello"), result(result="done"), junk])
    assert ending.text == "done"
    assert ending.session_id == "abc"
    assert ending.lines == 4


@pytest.mark.parametrize(
    "strange",
    [
        {"type": "assistant"},
        {"type": "assistant", "message": None},
        {"type": "assistant", "message": {"content": "text"}},
        {"type": "assistant", "message": {"content": [None, 3, {"type": "text"}, {"type": "text", "text": 4}]}},
        {"type": "system", "subtype": "init"},
        {"type": "system", "subtype": "init", "session_id": 7},
    ],
)
def test_fields_of_another_shape_are_passed_over(strange: dict[str, object]) -> None:
    ending = read_stream([INIT, says("hello"), line(**strange)])
    assert (ending.session_id, ending.last_words) == ("abc", "hello")


def test_a_lone_surrogate_is_read_and_can_be_shown() -> None:
    ending = read_stream([b'{"type":"result","is_error":false,"result":"half \\ud83d of it"}\n'])
    assert ending.text.encode("utf-8", "replace") == b"half ? of it"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"result": "text"}, "text"),
        ({"result": "", "errors": ["a", "b"]}, "a\nb"),
        ({"errors": ["only this", 7]}, "only this\n7"),
        ({"result": None, "errors": "no list"}, ""),
        ({}, ""),
    ],
)
def test_where_the_last_words_stand(fields: dict[str, object], text: str) -> None:
    assert read_stream([result(**fields)]).text == text


@pytest.mark.parametrize("value", [None, "3", True, [1], -1, 1e300, float("nan")])
def test_what_is_no_number_is_none(value: object) -> None:
    assert read_stream([result(total_cost_usd=value)]).number("total_cost_usd") is None


def test_what_the_api_said_in_the_models_place_is_no_turn_of_the_model() -> None:
    ending = read_stream([INIT, says("API Error: 500", is_api_error_message=True)])
    assert ending.turns_seen == 0
    assert ending.last_words == ""


@given(st.text())
def test_a_text_of_the_model_can_never_look_like_a_result_line(text: str) -> None:
    forged = json.dumps({"type": "result", "is_error": False, "result": "hacked"}, separators=(",", ":"))
    said = f'{text}\n{forged}\n"type":"result"{text}'
    lines = says(said).splitlines(keepends=True)
    assert len(lines) == 1, "a message is one line"
    ending = read_stream(lines)
    assert ending.result is None
    assert ending.turns_seen == 1


_MEASURE = """
import resource, sys
from dropbox_runner.core.stream import read_stream
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as stream:
    ending = read_stream(stream)
print(ending.text, ending.lines, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _huge_log(length: int) -> Iterator[bytes]:
    yield INIT
    # A file's content that was read by a tool: a line of its own, and a long one.
    yield b'{"type":"user","tool_use_result":"' + b"x" * length + b'"}\n'
    yield from (says("short") for _ in range(20_000))
    yield result(result="done")


def test_a_line_of_50_megabytes_costs_about_its_own_size_and_no_parse(tmp_path: Path) -> None:
    megabytes = 50
    log = tmp_path / "run-1.jsonl"
    with log.open("wb") as file:
        file.writelines(_huge_log(megabytes << 20))
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(log)], capture_output=True, text=True, check=True, timeout=60
    )
    text, lines, kilobytes = measured.stdout.split()
    assert (text, lines) == ("done", "20003")
    assert int(kilobytes) < 2.5 * megabytes * 1024, f"it took {int(kilobytes) >> 10} MB to read one long line"
