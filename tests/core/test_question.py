from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dropbox_runner.core.question import EMPTY, Question, Questions, joined_text, parse_questions, to_json, to_markdown

AB = ("a", "b")


def asked(*questions: Question) -> Questions:
    return Questions(number=2, run=3, asked_at="2026-03-01T09:00:00+00:00", questions=questions)


@pytest.mark.parametrize(
    ("content", "questions"),
    [
        ({"text": "Which?", "options": ["a", "b"]}, [("Which?", AB)]),
        ({"question": "Which?"}, [("Which?", ())]),
        ({"question": "Which?", "options": None}, [("Which?", ())]),
        ({"text": "Which?", "options": "a"}, [("Which?", ("a",))]),
        ({"text": "Which?", "options": ["a", "", " b\n c "]}, [("Which?", ("a", "b c"))]),
        ({"text": "Which?", "options": [1, 2.5, True]}, [("Which?", ("1", "2.5", "yes"))]),
        (
            {"text": "Which?", "options": [{"label": "a", "description": "the first"}, {"label": "b"}]},
            [("Which?", ("a — the first", "b"))],
        ),
        (
            {"questions": [{"question": "One?", "header": "x", "multiSelect": False}, "Two?"]},
            [("One?", ()), ("Two?", ())],
        ),
        ({"questions": {"text": "One?"}}, [("One?", ())]),
        ({"questions": [], "text": "One?"}, [("One?", ())]),
        ([{"text": "One?", "options": ["a", "b"]}, {"text": "Two?"}], [("One?", AB), ("Two?", ())]),
        (["One?", "Two?"], [("One?", ()), ("Two?", ())]),
        ("Just so?", [("Just so?", ())]),
        ({"text": " Which\r\none?\n"}, [("Which\none?", ())]),
        ({"text": "red \x1b[31m\x00, half \ud800, whole \ud83d\ude00"}, [("red ␛[31m␀, half �, whole 😀", ())]),
        ({"text": " ", "options": ["a", "b"]}, [(EMPTY, AB)]),
        ({"text": ""}, [(EMPTY, ())]),
    ],
)
def test_json_of_any_sensible_shape_is_understood(
    content: object, questions: list[tuple[str, tuple[str, ...]]]
) -> None:
    read, understood = parse_questions(json.dumps(content).encode())
    assert [(one.text, one.options) for one in read] == questions
    assert understood


def test_json_may_have_a_byte_order_mark_and_bare_line_breaks() -> None:
    assert parse_questions(b'\xef\xbb\xbf{"text": "one\ntwo?"}') == ((Question(text="one\ntwo?"),), True)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Which one?\n\n1. a\n2. b\n", "Which one?\n\n1. a\n2. b"),
        (b'{"text": "Which', '{"text": "Which'),
        (b'{"what": "Which?"}', '{"what": "Which?"}'),
        (b'{"text": ["Which?"]}', '{"text": ["Which?"]}'),
        (b'{"text": "Which?", "options": [["a"]]}', '{"text": "Which?", "options": [["a"]]}'),
        (b'{"text": "Which?", "options": {"a": "b"}}', '{"text": "Which?", "options": {"a": "b"}}'),
        (b'["One?", null]', '["One?", null]'),
        (b"42", "42"),
        (b"null", "null"),
        (b"caf\xe9 \x1b[31m\x07?", "café ␛[31m␇?"),
        ("Which één?".encode("utf-16"), "Which één?"),
        (b"9" * 5000, "9" * 5000),
        (b"[" * 50_000, "[" * 50_000),
    ],
)
def test_everything_else_is_taken_as_text(data: bytes, text: str) -> None:
    assert parse_questions(data) == ((Question(text=text),), False)


@pytest.mark.parametrize(
    "data", [b"", b" \n\t", b"\x00" * 4096, b"\xef\xbb\xbf", b"\xe2\x80\xa8\0", b"[]", b'{"questions": []}']
)
def test_an_empty_file_is_a_question_that_says_so(data: bytes) -> None:
    assert parse_questions(data) == ((Question(text=EMPTY),), False)


@pytest.mark.parametrize("data", [b"a " * 5_000_000, b'{"text": "' + b"a" * 5_000_000 + b'"}', b"[1," * 2_000_000])
def test_a_flood_is_shown_only_in_part_and_says_so(data: bytes) -> None:
    (question,), understood = parse_questions(data)
    assert not understood
    assert len(question.text) < 70_000
    assert question.text.endswith(f"(cut off here: what claude left is {len(data):,} bytes long)")
    assert parse_questions(to_json(asked(question)).encode()) == ((question,), True), "what we wrote of it reads alike"


def test_hundreds_of_questions_or_options_are_shown_as_they_were_written() -> None:
    for content in (["a?"] * 101, {"text": "a?", "options": ["b"] * 101}):
        text = json.dumps(content)
        assert parse_questions(text.encode()) == ((Question(text=text),), False)


def test_questions_cannot_be_blank_or_dangerous_to_show() -> None:
    assert Question(text="a\x1b?", options=("b\nc", " ")) == Question(text="a␛?", options=("b c",))
    for wrong in ({"text": " "}, {"text": "a", "options": "b"}, {"text": "a", "more": "b"}):
        with pytest.raises(ValidationError):
            Question.model_validate(wrong)
    with pytest.raises(ValidationError):
        asked()


def test_one_question_is_written_in_the_simplest_shape() -> None:
    assert to_json(asked(Question(text="Which één?", options=AB))) == (
        """\
{
  "number": 2,
  "run": 3,
  "asked_at": "2026-03-01T09:00:00+00:00",
  "text": "Which één?",
  "options": [
    "a",
    "b"
  ]
}
"""
    )


def test_several_questions_are_written_one_by_one_and_as_one_text() -> None:
    questions = asked(Question(text="One?", options=AB), Question(text="Two?"))
    assert json.loads(to_json(questions)) == {
        "number": 2,
        "run": 3,
        "asked_at": "2026-03-01T09:00:00+00:00",
        "text": "1. One?\n2. Two?",
        "options": [],
        "questions": [{"text": "One?", "options": ["a", "b"]}, {"text": "Two?", "options": []}],
    }
    assert joined_text(questions.questions) == "1. One?\n2. Two?"
    assert joined_text(questions.questions[:1]) == "One?"


def test_a_question_with_options_reads_well() -> None:
    question = Question(text="Which database?\n\nBoth work.", options=("PostgreSQL — as now", "SQLite"))
    assert to_markdown("fix-login", asked(question)) == (
        """\
# fix-login: claude asks

> Which database?
>
> Both work.

1. PostgreSQL — as now
2. SQLite

## How to answer

Write a file `answer.md` beside this one (in `blocked/fix-login/`) that holds your answer.
For one of the options, its number or its text is enough; you may also answer something else.
The task goes on by itself a little after you have saved the file.
A last line with nothing but `.` says "I am done": then it goes on at once.

Or on the command line:

    dropbox-runner answer fix-login "…"
"""
    )


def test_several_questions_read_well() -> None:
    text = to_markdown("a b", asked(Question(text="One?", options=AB), Question(text="Two?")))
    assert text.startswith(
        """\
# a b: claude asks

## Question 1

> One?

1. a
2. b

## Question 2

> Two?

## How to answer

Write a file `answer.md` beside this one (in `blocked/a b/`) that holds your answer.
Answer all questions in that one file, by their numbers.
"""
    )
    assert "dropbox-runner answer 'a b'" in text


TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "question", "questions", "options", "label", "description", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.binary(max_size=60) | JSON_LIKE.map(lambda content: json.dumps(content).encode()))
@example(b"{" * 3)
@example(b'{"text": "\\ud800"}')
def test_whatever_was_left_becomes_questions_that_can_be_written_and_read_again(data: bytes) -> None:
    questions, _understood = parse_questions(data)
    written = to_json(asked(*questions)).encode()
    assert parse_questions(written) == (questions, True)
    assert to_markdown("t", asked(*questions)).encode()
