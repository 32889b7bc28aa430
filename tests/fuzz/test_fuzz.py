"""Whatever comes from outside: never an exception but a refusal, never beyond the limits, never slow, safe to show."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fuzzing import fuzzed
from hypothesis import strategies as st

from dropbox_runner.agent.command import Granted, Session, command_line
from dropbox_runner.core.answer import ANSWER_NAMES, parse_answer
from dropbox_runner.core.cleantext import MAX_BYTES
from dropbox_runner.core.errors import MOST_PROBLEMS, RejectedError
from dropbox_runner.core.names import folder_name, kind_of, printable, readable, why_no_task
from dropbox_runner.core.question import Question, Questions, parse_questions, to_json, to_markdown
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.stream import read_stream
from dropbox_runner.core.task import KNOWN_FIELDS, ends_explicitly, parse_task
from dropbox_runner.core.verdict import Evidence, judge
from dropbox_runner.core.yamlscan import MAX_DEPTH
from dropbox_runner.core.yamltext import MAX_NODES, Value, read_yaml

TESTS = Path(__file__).parents[1]
SAMPLES = [
    path.read_bytes() for path in sorted((TESTS / "corpus").iterdir()) if path.suffix in (".yaml", ".md", ".txt")
]
STREAMS = [path.read_bytes() for path in sorted((TESTS / "captures").glob("*/stdout.jsonl"))]
FRAGMENTS = [
    *(
        "\n",
        "\n  ",
        "\n    ",
        "\n\t",
        " ",
        "  ",
        ": ",
        ":",
        "- ",
        "? ",
        "|",
        ">",
        "|2-",
        ">+",
        "---\n",
        "...\n",
        "\n---\n",
    ),
    *(
        "&a",
        "*a",
        "!!str ",
        "!x",
        "%",
        "@",
        "`",
        "'",
        '"',
        "\\",
        "\\x1b",
        "\\ud83d",
        "\\UFFFFFFFF",
        "#",
        " # ",
        ",",
        "[",
        "]",
    ),
    *(
        "{",
        "}",
        "<<: ",
        "~",
        "null",
        "no",
        "0755",
        "1:30",
        ".inf",
        "é",
        "\u202e",
        "\u2028",
        "\ufeff",
        "\x00",
        "\x1b[2J",
        "\r",
    ),
    *(f"\n{field}: " for field in (*KNOWN_FIELDS, "prompt", "claude", "done", "promt")),
    *("bypassPermissions", "5", "2h", "--resume", "-p", "word", "a word and another", "x" * 300, "[" * 20, "- " * 20),
]
NAMES = st.sampled_from(["t.yaml", "t.yml", "t.md", "t.txt", "t.markdown", "t.YAML"])


@st.composite
def mutated(draw: st.DrawFn, samples: list[bytes]) -> bytes:
    """One of the samples, with pieces cut out, doubled, or put in."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        put_in = draw(st.binary(max_size=8) | st.sampled_from(FRAGMENTS).map(str.encode) | st.just(data[start:end] * 2))
        data = data[:start] + put_in + data[end:]
    return data


_texts = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(lambda parts: "".join(parts).encode())
_files = mutated(SAMPLES) | _texts | st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode())
_questions = (
    _texts | st.binary(max_size=300) | mutated([b'{"text": "a?", "options": ["b", "c"]}', b'{"questions": []}'])
)


@contextmanager
def quickly() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < 0.5


def steers(text: str, allowed: str = "\n\t") -> list[str]:
    """What in a text could steer a terminal, or cannot be written as UTF-8."""
    return [char for char in text if unicodedata.category(char) in ("Cc", "Cs") and char not in allowed]


def depth_and_size(value: Value) -> tuple[int, int]:
    if isinstance(value, dict):
        inner = [depth_and_size(one) for one in value.values()]
    elif isinstance(value, list):
        inner = [depth_and_size(one) for one in value]
    else:
        return 0, 1
    return 1 + max((depth for depth, _ in inner), default=0), 1 + sum(size for _, size in inner)


@fuzzed(_files)
def test_yaml_is_read_within_its_limits_or_refused_with_its_line(data: bytes) -> None:
    with quickly():
        try:
            document = read_yaml(data, file="t.yaml")
        except RejectedError as refused:
            check_refusal(refused, data)
            return
    depth, size = depth_and_size(document.value)
    assert depth <= MAX_DEPTH + 1
    assert size <= MAX_NODES
    for line, column in [*document.keys.values(), *document.values.values()]:
        assert 1 <= line <= len(document.lines)
        assert 1 <= column <= len(document.lines[line - 1]) + 1


def check_refusal(refused: RejectedError, data: bytes) -> None:
    assert 1 <= len(refused.problems) <= MOST_PROBLEMS + 1
    assert not steers(str(refused), "\n")
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for problem in refused.problems:
        assert problem.message.strip()
        assert len(problem.render("t")) < 1500
        if problem.line is None:
            assert any(word in problem.message for word in ("the file", "there are no instructions", "there are more"))
        else:
            assert 1 <= problem.line <= lines
            assert problem.column is None or problem.column >= 1


@fuzzed(NAMES, _files)
def test_a_file_is_a_task_or_is_refused_and_what_is_taken_fits_a_command_line(name: str, data: bytes) -> None:
    with quickly():
        ends_explicitly(name, data)
        try:
            task = parse_task(name, data)
        except RejectedError as refused:
            check_refusal(refused, data)
            return
    assert 0 < len(task.instructions.strip()) <= MAX_BYTES
    assert not steers(task.instructions)
    arguments = command_line("claude", task, Settings(), Session("id", resume=False), Granted())
    for argument in arguments[1:]:
        assert argument.startswith("-"), "a value of its own would be taken for the prompt"
        assert not steers(argument)
        assert len(os.fsencode(argument)) < 128 << 10


@fuzzed(_questions)
def test_a_question_is_never_lost_and_is_safe_to_show(data: bytes) -> None:
    with quickly():
        questions, _ = parse_questions(data)
        asked = Questions(number=1, run=1, asked_at="now", questions=questions)
        shown, kept = to_markdown("t", asked), to_json(asked)
    assert questions
    for one in questions:
        assert one.text.strip()
        assert not steers(one.text)
        assert not any(steers(option, "") for option in one.options)
    assert not steers(shown)
    again, understood = parse_questions(kept.encode())
    assert understood
    assert [one.options for one in again] == [one.options for one in questions]


@fuzzed(st.sampled_from(ANSWER_NAMES), _files, st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_an_answer_is_never_refused_for_its_form(name: str, data: bytes, options: list[str]) -> None:
    with quickly():
        answer = parse_answer(name, data, (Question(text="a?", options=tuple(options)),))
    assert bool(answer.text.strip()) != bool(answer.problem)
    assert not steers(answer.text)


@fuzzed(mutated(STREAMS) | st.binary(max_size=300), st.none() | st.integers(-15, 255))
def test_a_stream_of_any_content_is_judged_in_words(data: bytes, exit_code: int | None) -> None:
    with quickly():
        ending = read_stream(data.splitlines(keepends=True))
        judgement = judge(Evidence(ending, exit_code, "", asked=False, stop=None))
    assert judgement.reason.strip()
    assert ending.turns_seen >= 0


_names = st.text(min_size=1, max_size=120) | st.binary(min_size=1, max_size=255).map(os.fsdecode)
_ends = st.sampled_from([".yaml", ".md", ".txt", "", ".yaml~", ".YAML", "..yaml", "/..yaml", "\n.yaml"])
_odd = st.lists(
    st.sampled_from(["..", "/", "-", "~", "\n", "\x1b[2J", "\u202e", "a", " ", "\\", "\\xff", "\udcff"])
).map("".join)


@fuzzed(_names | _odd, _ends)
def test_a_name_never_leaves_its_folder_and_fakes_no_line(stem: str, end: str) -> None:
    file = f"{stem}{end}" or "x"
    folder = folder_name(file)
    assert folder not in ("", ".", "..")
    assert not folder.startswith((".", "-"))
    assert not set(folder) & set("/\0")
    assert folder.isprintable()
    assert len(os.fsencode(folder)) <= 100
    assert folder_name(f"{folder}.yaml") == folder
    assert (why_no_task(file) is None) == (kind_of(file).name == "TASK")
    assert printable(file).isprintable()
    readable(file).encode()


@fuzzed(_names | _odd, _names | _odd)
def test_two_names_are_never_taken_for_one(first: str, second: str) -> None:
    bytes_of = [os.fsencode(name) for name in (first, second) if is_a_name(name)]
    if len(set(bytes_of)) == 2:
        assert readable(first) != readable(second)


def is_a_name(name: str) -> bool:
    """Whether the system could give us this name at all: it has no other lone surrogates than those for its bytes."""
    try:
        return os.fsdecode(os.fsencode(name)) == name
    except UnicodeEncodeError:
        return False
