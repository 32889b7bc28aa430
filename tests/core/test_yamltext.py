from __future__ import annotations

import textwrap
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.yamltext import MAX_NODES, Document, Value, read_yaml


def read(data: bytes | str) -> Document:
    return read_yaml(data, file="t.yaml")


def refusal(data: bytes | str) -> str:
    with pytest.raises(RejectedError) as caught:
        read(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b", {"a": "b"}),
        ("a: no\nb: 0755\nc: 1:30\nd: 2026-13-45\ne: .inf\nf: 1_0\ng: '='", None),
        ("a:\nb: ''\nc: ~", {"a": None, "b": "", "c": "~"}),
        ("a: [x, {b: c}]", {"a": ["x", {"b": "c"}]}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("---\na: b\n...\n", {"a": "b"}),
        ("\ufeffa: b", {"a": "b"}),
        ("a: |\r\n  one\r\n  two\r\n", {"a": "one\ntwo\n"}),
        ('a: "one\\r\\ntwo"', {"a": "one\ntwo"}),
        ('{"a": "\\ud83d\\ude00", "b": ["\\u00e9"]}', {"a": "😀", "b": ["é"]}),
        # Only YAML 1.1 takes U+2028 for a line end; no editor shows it as one.
        ("a: one\u2028b: two", None),
    ],
)
def test_values_are_plain_text_and_nothing_is_guessed(text: str, value: dict[str, Value] | None) -> None:
    if value is not None:
        assert read(text).value == value
    elif "\u2028" in text:
        assert "a colon" in refusal(text)
    else:
        assert list(read(text).value.values()) == ["no", "0755", "1:30", "2026-13-45", ".inf", "1_0", "="]


def test_every_key_and_value_has_its_place() -> None:
    document = read("a: b\nc:\n  - d\n  - e: |\n      f\n")
    assert document.place(("a",)) == (1, 4)
    assert document.place(("c",), key=True) == (2, 1)
    assert document.place(("c", 0)) == (3, 5)
    assert document.place(("c", 1, "e"), key=True) == (4, 5)
    assert document.place(("c", 1, "e")) == (4, 8)
    assert document.place(("c", 7, "x")) == document.place(("c",)) == (3, 3)
    assert document.place(("nowhere",)) == (1, 1)
    assert document.lines[3] == "  - e: |"


def test_places_count_past_a_byte_order_mark_and_windows_line_ends() -> None:
    assert read("\ufeffa: b\r\nc: d\r\n".encode()).place(("c",)) == (2, 4)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("a: fix #12 now", [(("a",), 1, 8)]),
        ("a: #12", [(("a",), 1, 4)]),
        ("a: [b, c #d\n ]", [(("a", 1), 1, 10)]),
        ("a: fix\n  it #now", [(("a",), 2, 6)]),
        ("a: 'fix' #12", []),
        ("a: fix#12", []),
        ("a: | #12\n  fix #13", []),
        ("# a\na: b\n# c", []),
    ],
)
def test_comments_that_end_a_text_without_quotes_are_told(text: str, cut: list[object]) -> None:
    assert list(read(text).comments_cut) == cut


BLOCK = "write `instructions: |` and the text below it, indented by two spaces"

SLIPS = {
    "a colon in a text": (
        "instructions: fix: x",
        f"""
        t.yaml:1:18: a colon with a space after it, inside a text that is not in quotes
            instructions: fix: x
                             ^
          → put the text in quotes: `instructions: "fix: x"`, or {BLOCK}
        """,
    ),
    "a colon in a text with double quotes": (
        'instructions: say "hi": now',
        f"""
        t.yaml:1:23: a colon with a space after it, inside a text that is not in quotes
            instructions: say "hi": now
                                  ^
          → put the text in quotes: `instructions: 'say "hi": now'`, or {BLOCK}
        """,
    ),
    "a colon in a text with both kinds of quotes": (
        'instructions: it\'s "x": now',
        f"""
        t.yaml:1:23: a colon with a space after it, inside a text that is not in quotes
            instructions: it's "x": now
                                  ^
          → put the text in quotes, or {BLOCK}
        """,
    ),
    "a tab as indentation": (
        "tags:\n\t- a",
        """
        t.yaml:2:1: the line is indented with a tab; YAML takes only spaces
            ⇥- a
            ^
          → replace each tab at the start of a line by two spaces
        """,
    ),
    "a tab after the colon": (
        "model:\topus",
        """
        t.yaml:1:7: a tab stands where YAML takes only spaces
            model:⇥opus
                  ^
          → replace it by one space
        """,
    ),
    "a list": (
        "- fix it\n- test it",
        """
        t.yaml:1:1: the file holds a list, not fields
            - fix it
            ^
          → write fields without `- `, as in `instructions: what to do`
        """,
    ),
    "a text": (
        "Fix the login",
        """
        t.yaml:1:1: the file holds only a text, not fields
            Fix the login
            ^
          → put the name of a field before it, as in `instructions: what to do`
        """,
    ),
    "a text, then fields": (
        "Fix the login\nmodel: opus",
        """
        t.yaml:2:6: the text above this line belongs to no field
            model: opus
                 ^
          → write `instructions: |` before the text and indent it by two spaces
        """,
    ),
    "a value that begins with a dash": (
        "instructions: - x",
        f"""
        t.yaml:1:15: a value cannot begin with `-`, which has a meaning of its own in YAML
            instructions: - x
                          ^
          → put the text in quotes: `instructions: "- x"`, or {BLOCK}
        """,
    ),
    "a value in bold": (
        "instructions: *bold* text",
        f"""
        t.yaml:1:15: a value cannot begin with `*`, which has a meaning of its own in YAML
            instructions: *bold* text
                          ^
          → put the text in quotes: `instructions: "*bold* text"`, or {BLOCK}
        """,
    ),
    "a value in a list that begins with a star": (
        "tags: [*a, b]",
        """
        t.yaml:1:8: a value cannot begin with `*`, which has a meaning of its own in YAML
            tags: [*a, b]
                   ^
          → if it belongs to a text, put the text in quotes
        """,
    ),
    "a value in backticks": (
        "instructions: `make` fails",
        f"""
        t.yaml:1:15: a value cannot begin with a backtick, which has a meaning of its own in YAML
            instructions: `make` fails
                          ^
          → put the text in quotes: `instructions: "`make` fails"`, or {BLOCK}
        """,
    ),
    "an unclosed quote": (
        'instructions: "fix it\nmodel: opus\n',
        f"""
        t.yaml:1:15: the quote " that opens here is not closed
            instructions: "fix it
                          ^
          → close it at the end of the text, or {BLOCK}
        """,
    ),
    "a quote that the next quote closes": (
        'instructions: "fix it\nmodel: "opus"\n',
        f"""
        t.yaml:1:15: the quote " that opens here closes only in line 2, and more text follows there
            instructions: "fix it
                          ^
          → close it at the end of the text, or {BLOCK}
        """,
    ),
    "a quoted word and more text": (
        'instructions: "fix" the bug',
        f"""
        t.yaml:1:21: the value begins with a quote, and more text follows after that is closed
            instructions: "fix" the bug
                                ^
          → put the text in quotes: `instructions: '"fix" the bug'`, or {BLOCK}
        """,
    ),
    "an apostrophe within single quotes": (
        "instructions: 'it's broken'",
        f"""
        t.yaml:1:19: the value begins with a quote, and more text follows after that is closed
            instructions: 'it's broken'
                              ^
          → put the text in quotes: `instructions: "it's broken"`, or {BLOCK}
        """,
    ),
    "a backslash within double quotes": (
        'working_dir: "C:\\dir"',
        """
        t.yaml:1:18: between double quotes a backslash begins an escape such as `\\n`, and this is none
            working_dir: "C:\\dir"
                             ^
          → write the backslash twice (`\\\\`), or use single quotes: `working_dir: 'C:\\dir'`
        """,
    ),
    "an unclosed bracket": (
        "tags: [a, b\nmodel: opus",
        """
        t.yaml:1:7: the bracket `[` that opens here is not closed
            tags: [a, b
                  ^
          → close it with `]`; if it belongs to a text, write `tags: |` and the text below it, indented by two spaces
        """,
    ),
    "an unclosed bracket at the end": (
        "tags: [a,",
        """
        t.yaml:1:7: the bracket `[` that opens here is not closed
            tags: [a,
                  ^
          → close it with `]`; if it belongs to a text, write `tags: |` and the text below it, indented by two spaces
        """,
    ),
    "a text that begins with a bracket": (
        "instructions: [wip] fix",
        f"""
        t.yaml:1:21: the value begins with a bracket, and more text follows after that is closed
            instructions: [wip] fix
                                ^
          → put the text in quotes: `instructions: "[wip] fix"`, or {BLOCK}
        """,
    ),
    "a comma too many": (
        "tags: [a,,b]",
        """
        t.yaml:1:10: a comma is missing here, or there is one too many
            tags: [a,,b]
                     ^
          → put the text in quotes: `tags: "[a,,b]"`, or write `tags: |` and the text below it, indented by two spaces
        """,
    ),
    "a template": (
        "instructions: {{task}} now",
        f"""
        t.yaml:1:16: a list or a bracket stands where the name of a field is expected
            instructions: {{{{task}}}} now
                           ^
          → put the text in quotes: `instructions: "{{{{task}}}} now"`, or {BLOCK}
        """,
    ),
    "a field that is indented too far": (
        "name: x\n  model: opus",
        f"""
        t.yaml:2:8: this line is indented as part of the text above it, but looks like a field
              model: opus
                   ^
          → if it is a field, begin it in the same column as the field above; if it is text, {BLOCK}
        """,
    ),
    "a field that is indented too little": (
        "  name: x\nmodel: opus",
        """
        t.yaml:2:1: the line does not begin in the same column as what it belongs to
            model: opus
            ^
          → begin all fields in the same column, and likewise all `- ` of one list
        """,
    ),
    "no space after the colon": (
        "name: x\nmodel:opus",
        """
        t.yaml:2:1: there is no space after the colon
            model:opus
            ^
          → put a space after the colon: `model: opus`
        """,
    ),
    "no space after the only colon": (
        "model:opus",
        """
        t.yaml:1:1: there is no space after the colon
            model:opus
            ^
          → put a space after the colon: `model: opus`
        """,
    ),
    "a text that goes on unindented": (
        "instructions: fix it\nand test it\n",
        """
        t.yaml:2:1: this line is not of the form `field: value`
            and test it
            ^
          → text of several lines goes below `instructions: |`, indented by two spaces
        """,
    ),
    "a text that goes on after a comment": (
        "instructions: fix #12\n  and test it\n",
        f"""
        t.yaml:2:3: a ` #` outside quotes begins a comment, so the text that goes on here had ended before it
              and test it
              ^
          → line 1: put the text in quotes: `instructions: "fix #12"`, or {BLOCK}
        """,
    ),
    "a stray bracket": (
        "a: b\n}",
        """
        t.yaml:2:1: this `}` closes nothing
            }
            ^
          → delete it, or put the text in quotes
        """,
    ),
    "an empty file": (
        " \n",
        """
        t.yaml: the file is empty
          → write at least `instructions: what to do`
        """,
    ),
    "only comments": (
        "# todo\n",
        """
        t.yaml: the file holds only comments
          → write at least `instructions: what to do`
        """,
    ),
    "a key that is given twice": (
        "model: a\nmodel: b",
        """
        t.yaml:2:1: `model` is given twice: here and in line 1
            model: b
            ^
          → delete one of the two
        """,
    ),
    "a second document": (
        "a: b\n---\nc: d",
        """
        t.yaml:2:1: a second document begins here
            ---
            ^
          → one file is one task: put the second into a file of its own; if it is the text of the instructions, name the file .md
        """,  # noqa: E501 - one line, as it is shown
    ),
    "a directive": (
        "%YAML 1.1\n---\na: b",
        """
        t.yaml:1:1: a line cannot begin with `%`, which has a meaning of its own in YAML
            %YAML 1.1
            ^
          → delete it; if it is text, write `instructions: |` and the text below it, indented by two spaces
        """,
    ),
    "a field without a name": (
        ": b",
        """
        t.yaml:1:1: a field has no name
            : b
            ^
          → write the name before the colon
        """,
    ),
    "an escape that steers the terminal": (
        'a: "x\\e[31m"',
        """
        t.yaml:1:4: an escape in this text gives an invisible control character, U+001B (ESC), at character 2 of it
            a: "x\\e[31m"
               ^
          → take the escape out
        """,
    ),
    "half an emoji": (
        'a: "\\ud800"',
        """
        t.yaml:1:4: an escape in this text gives an invisible control character, U+D800 (half of a surrogate pair), at character 1 of it
            a: "\\ud800"
               ^
          → take the escape out
        """,  # noqa: E501 - one line, as it is shown
    ),
    "a control character": (
        "a: b\nc: x\x1b[31m",
        """
        t.yaml:2:5: the file holds an invisible control character, U+001B (ESC)
            c: x␛[31m
                ^
          → delete it
        """,
    ),
    "an invisible character in a name": (
        "a: b\n\ufeffmodel: x",
        """
        t.yaml:2:1: the name of a field holds an invisible character, U+FEFF
            �model: x
            ^
          → delete it, or write the name anew
        """,
    ),
    "an escape beyond Unicode": (
        'a: "\\UFFFFFFFF"',
        """
        t.yaml:1:7: YAML can make nothing of this place
            a: "\\UFFFFFFFF"
                  ^
          → put the text in quotes: `a: '\\UFFFFFFFF'`, or write `a: |` and the text below it, indented by two spaces
        """,
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_told_with_place_line_and_mend(slip: str) -> None:
    text, message = SLIPS[slip]
    assert refusal(text) == textwrap.dedent(message).strip()


@pytest.mark.parametrize(
    "start", ["&x y", "!important x", "!!python/name:os.system", "!e!x y", "%x", "@x", "> x", "|x", ", x", "? x"]
)
def test_values_with_a_start_that_yaml_keeps_for_itself_are_advised_into_quotes(start: str) -> None:
    message = refusal(f"instructions: {start}")
    assert message.startswith(
        f"t.yaml:1:15: a value cannot begin with `{start[0]}`, which has a meaning of its own in YAML\n"
    )
    assert f'put the text in quotes: `instructions: "{start}"`' in message


SAVE = "  → save the file as UTF-8 (most editors: Save as, Encoding: UTF-8)"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: b".encode("utf-16"), f"t.yaml:1: the file is UTF-16, not UTF-8\n{SAVE}"),
        (b"\xfe\xff" + "a: b".encode("utf-16-be"), f"t.yaml:1: the file is UTF-16, not UTF-8\n{SAVE}"),
        ("a: b".encode("utf-32"), f"t.yaml:1: the file is UTF-32, not UTF-8\n{SAVE}"),
        ("a: b".encode("utf-16-le"), f"t.yaml:1: the file looks like UTF-16, not UTF-8\n{SAVE}"),
        (
            "a: b\r\nc: café x".encode("latin-1"),
            f"""\
t.yaml:2:7: the file is not UTF-8: byte 0xE9 (byte 13 of the file) would be “é” in Latin-1
    c: caf� x
          ^
{SAVE}""",
        ),
        (
            b"a: b\nc: d\x00e",
            """\
t.yaml:2:5: the file holds an invisible control character, U+0000 (NUL)
    c: d␀e
        ^
  → delete it""",
        ),
        (
            b"a: \x80",
            f"""\
t.yaml:1:4: the file is not UTF-8: byte 0x80 (byte 4 of the file) fits nothing
    a: �
       ^
{SAVE}""",
        ),
        (
            b"a: " + b"x" * (1 << 20),
            "t.yaml: the file is larger than 1024 KiB\n  → a task file holds text; name large files in it",
        ),
    ],
)
def test_what_is_no_utf8_text_is_refused_by_name_and_place(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_several_problems_are_told_at_once() -> None:
    assert [line for line in refusal('a: 1\na: "\\0"\nb: "\\a"\n').split("\n") if line.startswith("t.yaml")] == [
        "t.yaml:2:1: `a` is given twice: here and in line 1",
        "t.yaml:2:4: an escape in this text gives an invisible control character, U+0000 (NUL), at character 1 of it",
        "t.yaml:3:4: an escape in this text gives an invisible control character, U+0007 (bell), at character 1 of it",
    ]


def test_long_lines_are_shown_only_as_far_as_a_screen_goes() -> None:
    near, far = refusal("a: b: " + "x" * 500), refusal("a: " + "x" * 500 + ": y")
    assert "    a: b: " + "x" * 94 + "…\n" in near
    assert far.startswith("t.yaml:1:504: a colon with a space after it")
    assert "xxx: y" not in far


@pytest.mark.parametrize(
    "line",
    [
        "x" * 2000 + ": {x} is not filled in",
        "x" * 2000 + ":y",
        "x" * 2000 + ": a: b",
        "x" * 2000 + ": [open",
        'a: "\\q' + "x" * 2000 + '"',
        "a: {x} " + "y" * 2000,
        "a: '" + "y" * 2000,
    ],
)
def test_advice_is_short_however_long_the_line_is(line: str) -> None:
    assert len(refusal(line)) < 1500


ALIASES = "a: &a [x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b}\n  <<: [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        pytest.param(ALIASES, "cannot begin with `&`", id="aliases"),
        pytest.param(MERGES, "cannot begin with `&`", id="merge keys"),
        pytest.param("a: &a [*a]", "cannot begin with `&`", id="recursive"),
        pytest.param("[" * 100_000, "nested more than 16 levels deep", id="brackets"),
        pytest.param("a: " + "[" * 100_000, "nested more than 16 levels deep", id="brackets in a field"),
        pytest.param("a: " + "[\n" * 100_000, "nested more than 16 levels deep", id="brackets on lines"),
        pytest.param("{a: " * 100_000, "nested more than 16 levels deep", id="braces"),
        pytest.param("a:\n  " + "- " * 100_000 + "b", "nested more than 16 levels deep", id="lists in lists"),
        pytest.param("".join(" " * n + "a:\n" for n in range(1000)), "nested more than 16 levels deep", id="staircase"),
        pytest.param("? " * 100_000, "where the name of a field is expected", id="question marks"),
        pytest.param("%A\n" * 100_000, "cannot begin with `%`", id="directives"),
        pytest.param("a: " + "b: " * 100_000, "a colon with a space", id="colons"),
        pytest.param("a: !!binary " + "x" * 1000, "cannot begin with `!`", id="tag"),
    ],
)
def test_bombs_are_refused_before_they_go_off(bomb: str, message: str) -> None:
    began = time.process_time()
    assert message in refusal(bomb)
    assert time.process_time() - began < 0.5


def test_a_file_of_too_many_values_is_refused_without_reading_all_of_it() -> None:
    assert f"the file holds more than {MAX_NODES} values" in refusal("a: [" + "b," * (MAX_NODES + 1) + "]")
    assert len(read("a: [" + "b," * (MAX_NODES - 10) + "]").value["a"] or "") == MAX_NODES - 10


def test_sixteen_levels_are_allowed() -> None:
    assert read("a: " + "[" * 15 + "b" + "]" * 15).value
    assert "16 levels" in refusal("a: " + "[" * 16 + "b" + "]" * 16)


def test_who_reads_an_optional_file_may_allow_it_to_be_empty() -> None:
    for text in ("", "\n", "# x", "---\n"):
        assert read_yaml(text, file="c.yaml", empty_ok=True).value == {}


def test_other_files_show_their_own_example() -> None:
    with pytest.raises(RejectedError, match="→ write fields without `- `, as in `max_parallel: 2`"):
        read_yaml("- x", file="config.yaml", example="`max_parallel: 2`")


YAML_LIKE = st.text(
    st.sampled_from(list("ab:-[]{}#'\"|>&*!%@`?, \t\n\r\\u0x~.\u2028\ufeff\x00\x85é😀\ud800")), max_size=60
)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60), YAML_LIKE))
@example("a: [\n")
@example('a: "\\UFFFFFFFF"')
@example("\ufffe: \uffff")
@example("%YAML " + "9" * 5000 + ".1\n---\na: b")
def test_nothing_but_a_refusal_comes_of_any_content(data: bytes | str) -> None:
    try:
        document = read(data)
    except RejectedError as error:
        shown, lines = str(error), [problem.line for problem in error.problems]
    else:
        shown, lines = f"t.yaml {document.value}", []
    assert shown.startswith("t.yaml")
    assert shown.encode()
    assert all(line is None or line >= 1 for line in lines)
