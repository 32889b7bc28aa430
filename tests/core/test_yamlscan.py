"""Blocks are read by lines, all else character by character and only so much of it: the same texts, in little time."""

from __future__ import annotations

import time
import tracemalloc

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dropbox_runner.core.errors import MOST_PROBLEMS, RejectedError
from dropbox_runner.core.task import parse_task
from dropbox_runner.core.yamlscan import MAX_OUTSIDE_BLOCKS
from dropbox_runner.core.yamltext import read_yaml

ALMOST_ALL = (1 << 20) - 200
"""Bytes; a file of a little more is refused for its size alone."""


def plain(value: object) -> object:
    """What PyYAML makes of an empty value is None here."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value or None


_lines = st.lists(st.sampled_from(["", " ", "  ", "   ", "  x", "   x", "  x y ", "x", "  \tx", "  # x"]))
_headers = st.sampled_from(["|", ">", "|-", ">-", "|+", ">+", "|1", ">2-", "|2+", "| # x", ">1"])


@settings(deadline=None)  # a machine with other work to do
@given(_headers, _lines, st.sampled_from(["", "\n"]), st.sampled_from(["", "  "]))
@example("|+", ["", "  a", "", ""], "\n", "  ")
@example(">", ["  a", "  b", "", "  c", "   d", "  e"], "\n", "")
@example("|", ["   ", "  a"], "\n", "")
@example("|", ["  a"], "", "")
def test_a_block_reads_as_pyyaml_itself_reads_it(header: str, lines: list[str], end: str, indent: str) -> None:
    text = "\n".join([f"a: {header}", *lines]) + end
    if indent:
        text = "o:\n" + "\n".join(f"{indent}{line}" for line in text.split("\n"))
    try:
        expected = yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError:
        with pytest.raises(RejectedError):
            read_yaml(text, file="t.yaml")
        return
    assert plain(read_yaml(text, file="t.yaml").value) == plain(expected)


def test_what_follows_a_block_has_its_true_place() -> None:
    document = read_yaml("a: |\n  one\n\n  two\nb: >\n\n  three\n  four\nc: d\n", file="t.yaml")
    assert document.place(("b",)) == (5, 4)
    assert document.place(("c",)) == (9, 4)
    with pytest.raises(RejectedError, match=r"t\.yaml:4:4: a colon") as caught:
        read_yaml("a: |\n  one\n\nb: : c\n", file="t.yaml")
    assert "b: : c" in str(caught.value)


LONG = {
    "one line": "instructions: |\n  " + "x" * ALMOST_ALL,
    "many lines": "instructions: |\n" + "  some words\n" * (ALMOST_ALL // 13),
    "folded": "instructions: >\n" + "  x\n" * (ALMOST_ALL // 4),
    "front matter": "---\nmodel: opus\n---\n" + "some words\n" * (ALMOST_ALL // 11),
    "text": "some words\n" * (ALMOST_ALL // 11),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_megabyte_of_instructions_is_read_at_once(kind: str) -> None:
    name = {"front matter": "t.md", "text": "t.txt"}.get(kind, "t.yaml")
    before = time.process_time()
    task = parse_task(name, LONG[kind].encode())
    assert time.process_time() - before < 1
    assert len(task.instructions) > ALMOST_ALL // 3


FLOODS = {
    "a long word": "a: " + "x" * ALMOST_ALL,
    "words": "a: " + "x " * (ALMOST_ALL // 2),
    "a long name": "x" * ALMOST_ALL + ": a",
    "double quotes": 'a: "' + "x" * ALMOST_ALL + '"',
    "escapes": 'a: "' + "\\n" * (ALMOST_ALL // 2) + '"',
    "single quotes": "a: '" + "''" * (ALMOST_ALL // 2) + "'",
    "lines": "a:\n" + "  x\n" * (ALMOST_ALL // 4),
    "a comment": "#" + "x" * ALMOST_ALL + "\na: b",
    "comments": "#\n" * (ALMOST_ALL // 2) + "a: b",
    "blanks": "a:" + " " * ALMOST_ALL + "b",
    "blank lines": "\n" * ALMOST_ALL + "a: b",
    "line separators": "a: " + "\u2028" * (ALMOST_ALL // 3),
    "an anchor": "a: &" + "x" * ALMOST_ALL,
    "a tag": "a: !" + "x" * ALMOST_ALL,
    "colons": ":" * ALMOST_ALL,
    "brackets": "[" * ALMOST_ALL,
    "a list": "a: [" + "x," * (ALMOST_ALL // 2) + "]",
    "dashes": "- " * (ALMOST_ALL // 2),
    "questions": "? " * (ALMOST_ALL // 2),
    "fields": "".join(f"k{number}: b\n" for number in range(ALMOST_ALL // 12)),
    "blocks": "".join(f"k{number}: |\n  x\n" for number in range(ALMOST_ALL // 17)),
    "one field over and over": "a: b\n" * (ALMOST_ALL // 5),
    "documents": "---\n" * (ALMOST_ALL // 4),
    "an empty block": "instructions: |\n" + "\n" * ALMOST_ALL,
    "unknown fields": "instructions: x\n" + "".join(f"k{number}tructions: b\n" for number in range(2400)),
    "wrong entries": "instructions: x\nallowed_tools: [" + "-x, " * 4000 + "]",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_refused_in_no_time_in_few_words_and_without_much_memory(flood: str) -> None:
    before = time.process_time()
    with pytest.raises(RejectedError) as caught:
        parse_task("t.yaml", FLOODS[flood].encode())
    assert time.process_time() - before < 1, "a quarter of that, and a slow machine"
    assert len(caught.value.problems) <= MOST_PROBLEMS + 1
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize("flood", ["an empty block", "one field over and over"])
def test_a_flood_takes_no_memory(flood: str) -> None:
    data = FLOODS[flood].encode()
    tracemalloc.start()
    with pytest.raises(RejectedError):
        parse_task("t.yaml", data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * len(data)


def test_a_text_that_is_too_long_for_its_form_is_advised_into_a_block() -> None:
    with pytest.raises(RejectedError) as caught:
        parse_task("t.yaml", b'instructions: "' + b"x" * (MAX_OUTSIDE_BLOCKS + 1) + b'"')
    assert str(caught.value).startswith("t.yaml:1:16: the file holds more than 128 KiB outside of `|` blocks")
    assert "`instructions: |`" in str(caught.value)
    assert parse_task("t.yaml", b'instructions: "' + b"x" * (MAX_OUTSIDE_BLOCKS - 100) + b'"').instructions


@pytest.mark.parametrize("text", ["---\n# only this\n---\ninstructions: x\n", "---\n---\n"])
def test_an_empty_document_before_another_is_no_empty_file(text: str) -> None:
    with pytest.raises(RejectedError, match="a second document begins here"):
        read_yaml(text, file="t.yaml")
