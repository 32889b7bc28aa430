from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_runner.core.answer import (
    ANSWER_NAMES,
    MAX_ANSWER_BYTES,
    Answer,
    is_answer_of,
    misnamed_answer,
    parse_answer,
)
from dropbox_runner.core.question import Question

WHICH = (Question(text="Which?", options=("PostgreSQL", "SQLite")),)


@pytest.mark.parametrize("name", ["answer.md", "answer.txt", "answer", "answer.MD"])
@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"SQLite, please\n", Answer("SQLite, please")),
        (b"One.\r\n\r\nTwo.\r\n", Answer("One.\n\nTwo.")),
        (b"\n  indented\n", Answer("  indented")),
        (b"SQLite\n.\n", Answer("SQLite", ended=True)),
        (b"SQLite\r\n . \r\n\r\n", Answer("SQLite", ended=True)),
        (b"SQLite.", Answer("SQLite.")),
        (b"\xef\xbb\xbfSQLite", Answer("SQLite")),
        ("één".encode("utf-16"), Answer("één")),
        (b"caf\xe9 \x96 \x93ol\xe9\x94", Answer("café – “olé”")),
        ("café".encode() + b" \xe9", Answer("café �")),
        (b"a\x00b\x1b", Answer("a␀b␛")),
        (b"answer: SQLite", Answer("answer: SQLite")),
        (b"", Answer("", problem="the answer is empty")),
        (b" \n\n", Answer("", problem="the answer is empty")),
        (b".\n", Answer("", ended=True, problem="the answer is empty")),
        # What a crash, or a tool that makes room before it writes, leaves of a text.
        ("\xa0\u200b\xa0\n".encode(), Answer("", problem="the answer is empty")),
        (b"---\ndone: true\n---\nSQLite\n", Answer("SQLite", ended=True)),
        (b"---\r\ndone: yes\r\n---\r\n\r\nSQLite\r\n", Answer("SQLite", ended=True)),
        (b"---\ndone: true\n---\n", Answer("", ended=True, problem="the answer is empty")),
        (b"---\ntags: db\ndone: true\n---\nSQLite", Answer("---\ntags: db\ndone: true\n---\nSQLite", ended=True)),
        (b"---\ndone: no\n---\nSQLite", Answer("---\ndone: no\n---\nSQLite")),
        (b"SQLite\n---\ndone: true\n---\n", Answer("SQLite\n---\ndone: true\n---")),
        (b"---\ndone: true\n", Answer("---\ndone: true")),
    ],
)
def test_text_is_taken_as_it_is_without_the_mark_of_its_end(name: str, content: bytes, answer: Answer) -> None:
    assert parse_answer(name, content, ()) == answer


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("answer: SQLite", Answer("SQLite")),
        ("text: SQLite\ndone: true", Answer("SQLite", ended=True)),
        ("answer: |\n  One.\n\n  Two.\ndone: yes\n", Answer("One.\n\nTwo.", ended=True)),
        ("answer: SQLite\ndone: no", Answer("SQLite")),
        ("answer:\n  - SQLite\n  - no\n", Answer("1. SQLite\n2. no")),
        ("answer:", Answer("", problem="the answer is empty")),
        ("answer: ' '\ndone: on", Answer("", ended=True, problem="the answer is empty")),
        ("", Answer("", problem="the answer is empty")),
    ],
)
def test_yaml_holds_the_answer_in_a_field(content: str, answer: Answer) -> None:
    assert (
        parse_answer("answer.yaml", content.encode(), ()) == parse_answer("answer.YML", content.encode(), ()) == answer
    )


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"answer": "SQLite"}, Answer("SQLite")),
        ({"text": "SQLite", "done": True}, Answer("SQLite", ended=True)),
        ({"answer": 5}, Answer("5")),
        ({"answer": False}, Answer("no")),
        ({"answer": ["a", "b"]}, Answer("1. a\n2. b")),
        ("SQLite", Answer("SQLite")),
        ({"answer": "x \ud83d\ude00 \ud800 \x00"}, Answer("x 😀 � ␀")),
        ({"answer": None}, Answer("", problem="the answer is empty")),
    ],
)
def test_json_holds_the_answer_in_a_field_or_is_it(content: object, answer: Answer) -> None:
    assert parse_answer("answer.json", json.dumps(content).encode(), ()) == answer


@pytest.mark.parametrize(
    ("name", "content", "ended"),
    [
        ("answer.yaml", "answer: fix: x", False),
        ("answer.yaml", "answer: see #12", False),
        ("answer.yaml", "answer: see #12\ndone: true", True),
        ("answer.yaml", "just a text", False),
        ("answer.yaml", "- a\n- b", False),
        ("answer.yaml", "answer: a\nand: b", False),
        ("answer.yaml", "answer: a\ntext: b", False),
        ("answer.yaml", "answer: {a: b}", False),
        ("answer.yaml", "answer: a\ndone: maybe", False),
        ("answer.json", '{"answer": "a"', False),
        ("answer.json", '{\n  "answer": {"a": "b"},\n  "done": true\n}', True),
        ("answer.json", '{"what": "a"}', False),
        ("answer.json", "[" * 50_000, False),
    ],
)
def test_an_answer_in_another_form_is_given_to_claude_as_it_was_written(
    name: str, content: str, *, ended: bool
) -> None:
    assert parse_answer(name, content.encode(), ()) == Answer(content, ended)


def test_an_answer_in_another_form_may_end_with_a_dot_as_well() -> None:
    assert parse_answer("answer.yaml", b"just a text\n.\n", ()) == Answer("just a text", ended=True)


@pytest.mark.parametrize("text", ["2", " 2\n", "2.", "2)", "(2)", "#2", "2\n.\n", "02"])
def test_the_number_of_an_option_stands_for_its_text(text: str) -> None:
    assert parse_answer("answer.md", text.encode(), WHICH).text == "SQLite"


@pytest.mark.parametrize(
    ("name", "content"), [("answer.yaml", "answer: 2"), ("answer.json", "2"), ("answer.yaml", "2")]
)
def test_the_number_of_an_option_may_stand_in_a_field(name: str, content: str) -> None:
    assert parse_answer(name, content.encode(), WHICH).text == "SQLite"


@pytest.mark.parametrize("text", ["0", "3", "-1", "2 of them", "1 or 2", "٢", "SQLite", "2000000000000"])
def test_what_is_no_number_of_an_option_stays_what_it_is(text: str) -> None:
    assert parse_answer("answer.md", text.encode(), WHICH).text == text


def test_a_number_that_is_itself_an_option_means_that_option() -> None:
    assert parse_answer("answer.md", b"2", (Question(text="How many?", options=("4", "2", "1")),)).text == "2"


def test_numbers_mean_nothing_where_there_are_no_or_several_questions() -> None:
    for questions in ((), (Question(text="How many?"),), (*WHICH, *WHICH)):
        assert parse_answer("answer.md", b"2", questions).text == "2"


@pytest.mark.parametrize("name", ["answer.md.txt", "answer (1).md", "answer-3.md", "Answer-3", "answers.txt"])
def test_what_was_probably_meant_as_an_answer(name: str) -> None:
    assert misnamed_answer(name, 2)


@pytest.mark.parametrize(
    "name", ["answer.md", "answer-1.md", "answer-2-2.txt", "answer-2", "answer.md~", "answer.draft.md", "note.md"]
)
def test_what_was_not(name: str) -> None:
    assert not misnamed_answer(name, 2)


@pytest.mark.parametrize(
    ("name", "its"),
    [
        ("answer-1.md", True),
        ("answer-1-2.txt", True),
        ("answer-1", True),
        ("answer-10.md", False),
        ("answer.md", False),
        ("late-answer-1.md", False),
        ("answer-1.sync-conflict-20261122-063840-2BBAXIU.md", False),
        ("answer-1.md~", False),
    ],
)
def test_which_files_are_the_answer_of_a_round(name: str, *, its: bool) -> None:
    assert is_answer_of(name, 1) is its


def test_an_answer_that_is_too_large_is_a_problem() -> None:
    assert parse_answer("answer.md", b"x" * MAX_ANSWER_BYTES, ()).problem is None
    large = parse_answer("answer.md", b"x" * (MAX_ANSWER_BYTES + 1), ())
    assert large == Answer("", problem="the answer is larger than 8 MiB")


@pytest.mark.parametrize(
    "data", [b"\0" * 4096, b"Use SQLite\0\0\0\0", b"PK\x03\x04\x14\0\0\0\x08", "ja".encode("utf-16-le")]
)
def test_an_answer_of_which_half_is_still_missing_is_waited_for(data: bytes) -> None:
    answer = parse_answer("answer.md", data, ())
    assert answer == Answer("", problem="the answer holds NUL bytes: half of it is missing, or it is no text")


def test_windows_may_write_every_other_byte_as_nul_if_it_says_so() -> None:
    assert parse_answer("answer.txt", "yes\r\n".encode("utf-16"), ()).text == "yes"


@pytest.mark.parametrize(
    ("name", "data"), [("answer.md", "\u200b\n"), ("answer.yaml", "done: true"), ("answer.json", '{"done": true}')]
)
def test_an_answer_that_says_nothing_is_empty(name: str, data: str) -> None:
    assert parse_answer(name, data.encode(), ()).problem == "the answer is empty"


@pytest.mark.parametrize(
    "content", [b"\n", b" ", b"\0", b"---\n", b"---\ndone: true\n", b"done:", b"a: &a [*a]\n", b"[", b"%A\n"]
)
def test_large_answers_of_nothing_do_not_take_long(content: bytes) -> None:
    began = time.process_time()
    parse_answer("answer.yaml", content * (MAX_ANSWER_BYTES // len(content)), ())
    assert time.process_time() - began < 5


@given(
    st.sampled_from([*ANSWER_NAMES, "x", ""]),
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=40).map(str.encode),
        st.text(st.sampled_from(list("answer:done{}[]\"',|#.* \n\\u0123")), max_size=60).map(str.encode),
    ),
)
@example("answer.json", b'{"answer": ' + b"[" * 900 + b"]" * 900 + b"}")
@example("answer.json", b"9" * 5000)
@example("answer.json", b'{"done": 1}')
def test_no_answer_is_refused_for_its_form(name: str, data: bytes) -> None:
    answer = parse_answer(name, data, WHICH)
    assert answer.text.encode() or answer.problem == "the answer is empty" or b"\0" in data
