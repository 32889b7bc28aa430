from __future__ import annotations

import json
import textwrap

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.task import KNOWN_FIELDS, Task, ends_explicitly, parse_task, task_schema
from dropbox_runner.core.taskfields import PermissionMode, Priority


def parse(text: str, name: str = "t.yaml") -> Task:
    return parse_task(name, text.encode())


def refusal(text: str, name: str = "t.yaml") -> str:
    with pytest.raises(RejectedError) as caught:
        parse(text, name)
    return str(caught.value)


def messages(text: str, name: str = "t.yaml") -> list[str]:
    """The first line of each problem."""
    return [line for line in refusal(text, name).split("\n") if line.startswith(name)]


EVERY_FIELD = """
instructions: |
  Fix the login.

  Then test it.
name: Login
description: The one that fails
tags: [web, urgent]
working_dir: ~/src/shop
model: claude-opus-4-5[1m]
effort: high
fallback_model: sonnet
max_budget_usd: 2.50
permission_mode: acceptEdits
allowed_tools:
  - Bash(git *)
  - Edit
disallowed_tools: WebFetch
context_files: [docs, ../shared]
system_prompt_append: "Be brief: always."
mcp_config: mcp.json
additional_args: --verbose
skip_planning: yes
timeout: 1h30m
retries: 2
priority: High
depends_on: other
not_before: 2026-03-01 09:00
exclusive: database
worktree: on
verify: [make test, make lint]
notify: [done, blocked]
parent: shop
"""


def test_every_field_is_understood() -> None:
    task = parse(EVERY_FIELD)
    assert task.model_dump() == {
        "instructions": "Fix the login.\n\nThen test it.\n",
        "name": "Login",
        "description": "The one that fails",
        "tags": ("web", "urgent"),
        "working_dir": "~/src/shop",
        "model": "claude-opus-4-5[1m]",
        "effort": "high",
        "fallback_model": "sonnet",
        "max_budget_usd": 2.5,
        "permission_mode": PermissionMode.ACCEPT_EDITS,
        "allowed_tools": ("Bash(git *)", "Edit"),
        "disallowed_tools": ("WebFetch",),
        "context_files": ("docs", "../shared"),
        "system_prompt_append": "Be brief: always.",
        "mcp_config": ("mcp.json",),
        "additional_args": ("--verbose",),
        "skip_planning": True,
        "timeout": 5400.0,
        "retries": 2,
        "priority": Priority.HIGH,
        "depends_on": ("other",),
        "not_before": "2026-03-01 09:00",
        "exclusive": "database",
        "worktree": True,
        "verify": ("make test", "make lint"),
        "notify": ("done", "blocked"),
        "parent": "shop",
    }
    assert task.model_fields_set == set(KNOWN_FIELDS)


def test_a_task_can_be_written_as_json_and_read_again() -> None:
    task = parse(EVERY_FIELD)
    assert Task.model_validate_json(task.model_dump_json()) == task
    assert Task.model_validate(task.model_dump()) == task


def test_instructions_are_enough() -> None:
    assert parse("instructions: Fix it") == Task(instructions="Fix it")
    assert parse("prompt: Fix it") == Task(instructions="Fix it")


@pytest.mark.parametrize(
    ("text", "said"),
    [("\u202a", "the file is empty"), ("---\ntimeout: 5m\n---\n\u200b\n", "there are no instructions")],
)
def test_a_text_of_which_nothing_can_be_seen_is_none(text: str, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        parse_task("t.md", text.encode())


@pytest.mark.parametrize("value", ["no", "0755", "1:30", "2026-01-02", "1.10", "12"])
def test_texts_stay_as_they_were_written(value: str) -> None:
    assert parse(f"instructions: {value}").instructions == value


def test_a_tilde_is_the_home_where_a_folder_is_meant() -> None:
    task = parse("instructions: x\nworking_dir: ~\nmodel: ~\n")
    assert (task.working_dir, task.model) == ("~", None)


@pytest.mark.parametrize("empty", ["", " ~", " null"])
def test_fields_without_a_value_count_as_left_out(empty: str) -> None:
    assert parse(f"instructions: x\nmodel:{empty}\ntags:{empty}\ntimeout:{empty}\n") == Task(instructions="x")


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("skip_planning", "off", False),
        ("skip_planning", "TRUE", True),
        ("exclusive", "no", False),
        ("exclusive", "yes", True),
        ("worktree", "feature/x", "feature/x"),
        ("retries", "0", 0),
        ("max_budget_usd", "5", 5.0),
        ("permission_mode", "bypasspermissions", PermissionMode.BYPASS_PERMISSIONS),
        ("priority", "low", Priority.LOW),
        ("timeout", "45s", 45.0),
        ("not_before", "2026-03-01", "2026-03-01"),
        ("not_before", "2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z"),
        ("effort", "xhigh", "xhigh"),
        ("tags", "one, two", ("one, two",)),
        ("verify", "|\n  a\n  b\n", ("a\nb\n",)),
    ],
)
def test_values_are_read_by_the_kind_of_their_field(field: str, value: str, read: object) -> None:
    assert getattr(parse(f"instructions: x\n{field}: {value}"), field) == read


ALL_FIELDS = "the fields are: " + ", ".join(KNOWN_FIELDS)

SLIPS = {
    "a text that a comment cuts off": (
        "instructions: fix #12 now",
        """
        t.yaml:1:19: `instructions` is cut off at the `#`: outside quotes, ` #` begins a comment
            instructions: fix #12 now
                              ^
          → put the text in quotes: `instructions: "fix #12 now"`, or write `instructions: |` and the text below it, indented by two spaces
        """,  # noqa: E501 - one line, as it is shown
    ),
    "a text that is all comment": (
        "prompt: #12 is broken",
        """
        t.yaml:1:9: `prompt` is cut off at the `#`: outside quotes, ` #` begins a comment
            prompt: #12 is broken
                    ^
          → put the text in quotes: `prompt: "#12 is broken"`, or write `prompt: |` and the text below it, indented by two spaces
        """,  # noqa: E501 - one line, as it is shown
    ),
    "a misspelt field": (
        "promt: fix it",
        """
        t.yaml:1:1: there is no field `promt`
            promt: fix it
            ^
          → did you mean `prompt`?
        """,
    ),
    "another misspelt field": (
        "instructions: x\nallowed-tool: Edit",
        """
        t.yaml:2:1: there is no field `allowed-tool`
            allowed-tool: Edit
            ^
          → did you mean `allowed_tools`?
        """,
    ),
    "an unknown field": (
        "instructions: x\nzzz: y",
        f"""
        t.yaml:2:1: there is no field `zzz`
            zzz: y
            ^
          → {ALL_FIELDS}
        """,
    ),
    "no instructions": (
        "model: opus",
        """
        t.yaml: there are no instructions
          → write at least `instructions: what claude should do`
        """,
    ),
    "blank instructions": (
        "instructions: ' '",
        """
        t.yaml:1:15: `instructions` is empty
            instructions: ' '
                          ^
          → write what claude should do
        """,
    ),
    "instructions without a value": (
        "instructions:\nmodel: opus",
        """
        t.yaml:1:14: `instructions` is empty
            instructions:
                         ^
          → write what claude should do
        """,
    ),
    "instructions that are fields": (
        "instructions:\n  fix: login",
        """
        t.yaml:2:3: `instructions` must be a text
              fix: login
              ^
          → write `instructions: |` and the text below it, indented by two spaces
        """,
    ),
    "a duration without a unit": (
        "instructions: x\ntimeout: 90",
        """
        t.yaml:2:10: `timeout` cannot be used: `90` has no unit
            timeout: 90
                     ^
          → say `90m` for minutes or `90s` for seconds
        """,
    ),
    "an option in place of a model": (
        "instructions: x\nmodel: --dangerously-skip-permissions",
        """
        t.yaml:2:8: `model` must not begin with `-`: `--dangerously-skip-permissions`
            model: --dangerously-skip-permissions
                   ^
          → mend the value: what begins so would be taken for an option
        """,
    ),
    "an option among the tools": (
        "instructions: x\nallowed_tools:\n  - Edit\n  - -x\n",
        """
        t.yaml:4:5: `allowed_tools`, entry 2, must not begin with `-`: `-x`
              - -x
                ^
          → mend the value: what begins so would be taken for an option
        """,
    ),
    "an empty entry": (
        "instructions: x\ntags:\n  - a\n  -\n",
        """
        t.yaml:4:4: `tags`, entry 2, is empty
              -
               ^
          → write something, or delete the line
        """,
    ),
    "a misspelt choice": (
        "instructions: x\npermission_mode: accept-edits",
        """
        t.yaml:2:18: `permission_mode` cannot be `accept-edits`
            permission_mode: accept-edits
                             ^
          → did you mean `acceptEdits`?
        """,
    ),
    "a choice that is none": (
        "instructions: x\npriority: 1",
        """
        t.yaml:2:11: `priority` cannot be `1`
            priority: 1
                      ^
          → choose one of: high, normal, low
        """,
    ),
    "a date that is none": (
        "instructions: x\nnot_before: tomorrow",
        """
        t.yaml:2:13: `not_before` is no date or time: `tomorrow`
            not_before: tomorrow
                        ^
          → write it like `2026-03-01` or `2026-03-01 09:00`
        """,
    ),
    "an amount with a currency": (
        "instructions: x\nmax_budget_usd: $5",
        """
        t.yaml:2:17: `max_budget_usd` must be an amount above 0, not `$5`
            max_budget_usd: $5
                            ^
          → write a plain number of dollars, such as `5` or `2.50`
        """,
    ),
    "a field at both places": (
        "model: a\nclaude:\n  instructions: x\n  model: b\n",
        """
        t.yaml:4:3: `model` is given twice: here and in line 1
              model: b
              ^
          → keep one of the two
        """,
    ),
    "a field under both its names": (
        "instructions: a\nprompt: b\n",
        """
        t.yaml:2:1: `prompt` and `instructions` are the same field: here and in line 1
            prompt: b
            ^
          → keep one of the two
        """,
    ),
    "an empty file": (
        "\n \n",
        """
        t.yaml: the file is empty
          → write at least `instructions: what claude should do`
        """,
    ),
    "only comments": (
        "# instructions: x\n",
        """
        t.yaml: the file holds only comments
          → write at least `instructions: what claude should do`, or name the file .md
        """,
    ),
    "a list": (
        "- instructions: x",
        """
        t.yaml:1:1: the file holds a list, not fields
            - instructions: x
            ^
          → write fields without `- `, as in `instructions: what claude should do`, or name the file .md
        """,
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_told_with_place_line_and_mend(slip: str) -> None:
    text, message = SLIPS[slip]
    assert refusal(text) == textwrap.dedent(message).strip()


def test_all_problems_of_a_file_are_told_at_once_from_top_to_bottom() -> None:
    text = """\
done: perhaps
timeout: soon
instructions: fix #12
retries: 11
skip_planning: maybe
claude:
  effort: very high
  modle: x
exclusive: -x
zzz: 1
yyy: 2
"""
    assert messages(text) == [
        "t.yaml:1:7: `done` must be true or false, not `perhaps`",
        "t.yaml:2:10: `timeout` cannot be used: `soon` is not a length of time",
        "t.yaml:3:19: `instructions` is cut off at the `#`: outside quotes, ` #` begins a comment",
        "t.yaml:4:10: `retries` must be a whole number from 0 to 10, not `11`",
        "t.yaml:5:16: `skip_planning` must be true or false, not `maybe`",
        "t.yaml:7:11: `effort` cannot be `very high`",
        "t.yaml:8:3: there is no field `modle`",
        "t.yaml:9:12: `exclusive` must not begin with `-`: `-x`",
        "t.yaml:10:1: there is no field `zzz`",
        "t.yaml:11:1: there is no field `yyy`",
    ]
    assert refusal(text).count("the fields are:") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("retries: -1", "`retries` must be a whole number from 0 to 10, not `-1`"),
        ("retries: 1.5", "`retries` must be a whole number from 0 to 10, not `1.5`"),
        ("retries: [1]", "`retries` must be a whole number from 0 to 10, not a list"),
        ("max_budget_usd: 0", "`max_budget_usd` must be an amount above 0, not `0`"),
        ("max_budget_usd: nan", "`max_budget_usd` must be an amount above 0, not `nan`"),
        ("max_budget_usd: .inf", "`max_budget_usd` must be an amount above 0, not `.inf`"),
        ("timeout: 0s", "`timeout` cannot be used: the length of time must be more than nothing"),
        ("timeout: {a: b}", "`timeout` is no length of time, but a set of fields"),
        ("working_dir: |\n  a\n  b", "`working_dir` must be one line, without tabs"),
        ('model: "a\\tb"', "`model` must be one line, without tabs"),
        ("model: ''", "`model` is empty"),
        ("model: [a]", "`model` must be a text"),
        ("tags: {a: b}", "`tags` must be a list"),
        ("tags: [[a]]", "`tags`, entry 1, must be a text"),
        ("verify: ''", "`verify` is empty"),
        ("skip_planning: [yes]", "`skip_planning` must be true or false, not a list"),
        ("worktree: {a: b}", "`worktree` must be true or false, not a set of fields"),
        ("permission_mode: [plan]", "`permission_mode` cannot be a list"),
        ("not_before: 2026-13-45", "`not_before` is no date or time: `2026-13-45`"),
        ("effort: -high", "`effort` must not begin with `-`: `-high`"),
        ("context_files: ['-a']", "`context_files`, entry 1, must not begin with `-`: `-a`"),
        ("mcp_config: --x", "`mcp_config` must not begin with `-`: `--x`"),
        ("description: a #b", "`description` is cut off at the `#`: outside quotes, ` #` begins a comment"),
        (
            "system_prompt_append: a #b",
            "`system_prompt_append` is cut off at the `#`: outside quotes, ` #` begins a comment",
        ),
        ("claude: x", "`claude` must hold fields, each on a line of its own below it"),
        ("claude:\n  claude: x", "there is no field `claude`"),
        ("claude:\n  done: true", "there is no field `done`"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(line: str, message: str) -> None:
    assert [told.partition(": ")[2] for told in messages(f"instructions: x\n{line}\n")] == [message]
    assert "Input should" not in refusal(f"instructions: x\n{line}\n")


def test_comments_beside_other_fields_are_comments() -> None:
    assert parse("instructions: x\nmodel: opus # the large one\n").model == "opus"


def test_fields_of_older_files_stand_under_claude() -> None:
    assert parse("name: n\nclaude:\n  prompt: x\n  model: opus\n") == Task(instructions="x", name="n", model="opus")
    assert parse("instructions: x\nclaude:\n") == Task(instructions="x")


def test_the_body_of_markdown_is_the_instructions() -> None:
    assert parse("Fix it\n\n- now\n", "t.md") == Task(instructions="Fix it\n\n- now")
    text = "---\nmodel: opus\n---\n\n# Fix: it #12\n---\nnow\n"
    assert parse(text, "t.Markdown") == Task(instructions="# Fix: it #12\n---\nnow", model="opus")
    assert parse("---\r\nmodel: opus\r\n---\r\nFix it\r\nnow\r\n", "t.md").instructions == "Fix it\nnow"
    assert parse("---\n---\nFix it", "t.md") == parse("---\n# x\n...\nFix it", "t.md") == Task(instructions="Fix it")
    assert parse("---\ninstructions: Fix it\n---\n\n", "t.md") == Task(instructions="Fix it")
    assert parse("---\ninstructions:\n---\nFix it\n", "t.md") == Task(instructions="Fix it")


def test_text_is_taken_as_it_is() -> None:
    assert parse("---\nmodel: opus\n---\nfix: it #12", "t.TXT").instructions == "---\nmodel: opus\n---\nfix: it #12"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "---\nmodel: opus\nzz: 1\ntimeout: 5\n---\nFix it",
            f"""
            t.md:3:1: there is no field `zz`
                zz: 1
                ^
              → {ALL_FIELDS}
            t.md:4:10: `timeout` cannot be used: `5` has no unit
                timeout: 5
                         ^
              → say `5m` for minutes or `5s` for seconds
            """,
        ),
        (
            "---\nprompt: a\n---\n\nFix it",
            """
            t.md:2:9: the instructions are given twice: here and as the text that begins in line 4
                prompt: a
                        ^
              → keep one of the two
            """,
        ),
        (
            "---\nFix it\n",
            """
            t.md:1:1: the fields that begin here have no end
                ---
                ^
              → write a line `---` after the last field; if the file has no fields, delete the first line
            """,
        ),
        (
            "---\nFix it\n---\n",
            """
            t.md:2:1: the file holds only a text, not fields
                Fix it
                ^
              → put the name of a field before it, as in `model: opus`
            """,
        ),
        (
            "---\nmodel: opus\n---\n",
            """
            t.md: there are no instructions
              → write at least `instructions: what claude should do`
            """,
        ),
        (
            " \n.\n",
            """
            t.md: the file is empty
              → write at least what claude should do, in your own words
            """,
        ),
    ],
)
def test_markdown_is_refused_with_the_lines_of_the_whole_file(text: str, message: str) -> None:
    assert refusal(text, "t.md") == textwrap.dedent(message).strip()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.docx", "t.docx: a name that ends in `.docx` is not that of a task"),
        ("task", "task: the name has no ending"),
        ("/a.yaml/task", "/a.yaml/task: the name has no ending"),
        ("a\nb\x1b.pdf", r"a\nb\x1b.pdf: a name that ends in `.pdf` is not that of a task"),
    ],
)
def test_other_files_are_no_tasks(name: str, message: str) -> None:
    advice = "  → name a task .yaml, .md or .txt (.yaml, .yml, .md, .markdown, .txt are read)"
    assert refusal("Fix it", name) == f"{message}\n{advice}"


def test_text_must_be_utf8_without_control_characters() -> None:
    with pytest.raises(RejectedError, match="would be “é” in Latin-1"):
        parse_task("t.txt", "café".encode("latin-1"))
    with pytest.raises(RejectedError, match=r"t.md:2:1: .* U\+001B \(ESC\)"):
        parse_task("t.md", b"a\n\x1b[31m")


@pytest.mark.parametrize(
    ("name", "text", "ends"),
    [
        ("t.md", "Fix it\n.\n", True),
        ("t.txt", "Fix it\r\n.\r\n\r\n", True),
        ("t.md", "Fix it.\n", False),
        ("t.md", "Fix\n.\nit", False),
        ("t.md", "---\ndone: true\n---\nFix it", True),
        ("t.md", "---\ndone: no\n---\nFix it", False),
        ("t.yaml", "instructions: x\ndone: true", True),
        ("t.yaml", "instructions: x\ndone: Yes", True),
        ("t.yaml", "instructions: x\ndone: false", False),
        ("t.yaml", "instructions: x\ndone: maybe", False),
        ("t.yaml", "instructions: x\ndone:", False),
        ("t.yaml", "instructions: x\n.\n", False),
        ("t.yaml", "instructions: [\ndone: true", False),
        ("t.docx", ".", False),
    ],
)
def test_a_file_can_say_that_it_is_complete(name: str, text: str, *, ends: bool) -> None:
    assert ends_explicitly(name, text.encode()) is ends


def test_the_mark_of_the_end_is_no_part_of_the_task() -> None:
    assert parse("Fix it\n.\n", "t.md") == parse("Fix it\n.", "t.txt") == Task(instructions="Fix it")
    assert parse("instructions: x\ndone:") == parse("instructions: x\ndone: true") == Task(instructions="x")


def test_the_schema_for_editors_knows_the_other_names_and_places() -> None:
    schema = task_schema()
    json.dumps(schema)
    fields = schema["properties"]
    assert set(fields) == {*KNOWN_FIELDS, "prompt", "done", "claude"}
    assert set(fields["claude"]["properties"]) == set(KNOWN_FIELDS)
    assert fields["tags"]["anyOf"][0] == {"type": "string"}
    assert fields["timeout"]["anyOf"][0]["type"] == "string"
    assert all(field.get("description") for name, field in fields.items() if name != "claude")


LINES = st.lists(
    st.tuples(
        st.sampled_from([*KNOWN_FIELDS, "prompt", "claude", "done", "  model", "modle", "- x", "---", "#", ""]),
        st.sampled_from(
            ["", "x", "yes", "-x", "[a, b]", "{a: b}", "5", "90m", "'", '"\\e"', "|", "a #b", "*a", "nan", "\x00"]
        ),
    ),
    max_size=8,
).map(lambda lines: "\n".join(f"{key}: {value}" for key, value in lines).encode())


@given(
    st.one_of(st.sampled_from(["t.yaml", "t.yml", "t.md", "t.txt"]), st.text(max_size=8)),
    st.one_of(LINES, LINES.map(lambda lines: b"---\n" + lines + b"\n---\nx"), st.binary(max_size=40)),
)
@example("t.yaml", b"instructions: x\nclaude: {a: {b: [c]}}")
def test_nothing_but_a_task_or_a_refusal_comes_of_any_file(name: str, data: bytes) -> None:
    ends_explicitly(name, data)
    try:
        shown = parse_task(name, data).instructions
    except RejectedError as error:
        shown = str(error)
    assert shown.strip()
    assert "Input should" not in shown
    assert "does not fit" not in shown
    assert shown.encode()
