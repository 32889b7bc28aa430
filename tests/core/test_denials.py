"""Rules grant exactly what was denied, or there is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_runner.agent.command import Granted, Session, command_line
from dropbox_runner.core import asking
from dropbox_runner.core.denials import Denial, denials
from dropbox_runner.core.question import Questions, parse_questions, to_json
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task


def denied(tool: str, granted: tuple[str, ...] = (), **given: object) -> Denial:
    [one] = denials([{"tool_name": tool, "tool_use_id": "t", "tool_input": given}], granted)
    return one


def bash(command: str) -> str | None:
    return denied("Bash", command=command).rule


EXACT = [
    "touch a",
    "touch a; touch b",
    "touch a && touch b || true",
    "echo $(date) > now; cat now",
    "touch $(echo c)",
    "for i in 1 2; do\n  touch f$i\ndone",
    "cat > x <<EOF\nhello (world)\nEOF",
    'python3 -c "print(1)"',
    "git commit -m 'fix (all) of it, at last'",
    "FOO=1 touch a",
    "ls | wc -l",
]


@pytest.mark.parametrize("command", EXACT)
def test_a_command_is_granted_as_exactly_itself(command: str) -> None:
    assert bash(command) == f"Bash({command})"


@pytest.mark.parametrize(
    "command",
    [
        "rm *",
        "a) Bash(rm *",
        "a) Bash(rm -rf /",
        "touch a), Bash(rm",
        "echo ) (",
        "echo (",
        "echo ')'",
        "echo '('",
        "npm run:*",
        r"echo \(a\)",
        r"echo a\\b",
        "",
        "   ",
        "\n",
        "echo \0",
        "echo \ud83d",
        "echo " + "x" * 200_000,
    ],
    ids=lambda command: repr(command[:25]),
)
def test_a_command_that_no_rule_allows_alone_is_not_granted_at_all(command: str) -> None:
    assert bash(command) is None


def as_claude_splits(value: str) -> list[str]:
    """How claude 2.1.330 reads one value of --allowedTools (measured): the first closing bracket ends the brackets."""
    found, current, inside = [], "", False
    for char in value:
        if char in " ," and not inside:
            found.append(current)
            current = ""
            continue
        inside = (inside or char == "(") and char != ")"
        current += char
    return [one for one in [*found, current] if one.strip()]


commands = st.lists(
    st.sampled_from(
        [
            "touch",
            "a",
            "b",
            " ",
            "  ",
            ";",
            "&&",
            "$(",
            "(",
            ")",
            ",",
            "*",
            "\n",
            "\\",
            '"',
            "'",
            "Bash",
            "Bash(",
            ":",
            "|",
        ]
    )
).map("".join) | st.text(max_size=30)


@given(commands)
@example("echo $(true), Bash, (x)")
@example("echo (x),Bash,(y)")
@example("(true) Bash (true)")
@example(" touch a ")
def test_every_command_gets_the_rule_of_exactly_itself_or_none(command: str) -> None:
    rule = bash(command)
    if rule is None:
        return
    assert rule == f"Bash({command.strip()})"
    assert "*" not in rule
    depth = 0
    for char in rule[len("Bash") :]:
        depth += (char == "(") - (char == ")")
        assert depth >= 0
    assert depth == 0
    assert not re.search(r"\\[\\()]", rule)


@given(commands)
@example("echo $(true), Bash, (x)")
@example("echo (x),Bash,(y)")
@example("(true) Bash (true)")
def test_nothing_but_the_granted_rule_reaches_claude(command: str) -> None:
    rule = bash(command)
    if rule is None:
        return
    arguments = command_line(
        "claude", Task(instructions="x"), Settings(), Session("s", resume=True), Granted(rules=(rule,))
    )
    given = [one.partition("=")[2] for one in arguments if one.startswith("--allowedTools=")]
    read = [part for value in given for part in as_claude_splits(value)]

    assert set(read) <= {rule, "Bash(dropbox-runner ask *)"}
    assert rule in read or any(one.startswith("--settings=") for one in arguments)


def test_a_file_is_granted_by_its_absolute_path_alone() -> None:
    assert denied("Write", file_path="/a b/c, d.txt").rule == "Edit(//a b/c, d.txt)"
    assert denied("Edit", file_path="/x/y.py", old_string="(", new_string="*").rule == "Edit(//x/y.py)"
    assert denied("NotebookEdit", notebook_path="/x/n.ipynb").rule == "Edit(//x/n.ipynb)"
    assert denied("Read", file_path="/etc/hosts").rule == "Read(//etc/hosts)"


@pytest.mark.parametrize(
    "path", ["relative", "~/x", "/a/*", "/a/**", "/a/[b]", "/a/{b,c}", "/a)b", "/a(b", "/a\\b", "/a\nb"]
)
def test_a_path_that_could_mean_more_than_itself_is_not_granted(path: str) -> None:
    assert denied("Write", file_path=path).rule is None


@pytest.mark.parametrize("path", ["/home/me", "/home/me/", "/"])
def test_a_folder_that_claude_took_for_a_file_is_not_granted_with_all_that_lies_in_it(path: str) -> None:
    tried = [{"tool_name": "Read", "tool_input": {"file_path": path}}]
    [one] = denials(tried, (), is_folder=lambda asked: asked == "/home/me")

    assert one.rule is None
    assert denials(tried, (), is_folder=lambda _: False)[0].rule == ("Read(//home/me)" if path == "/home/me" else None)


def test_in_plan_mode_no_rule_lets_a_file_be_written_so_none_is_offered() -> None:
    tried = [
        {"tool_name": "Write", "tool_input": {"file_path": "/x/y"}},
        {"tool_name": "Read", "tool_input": {"file_path": "/x/y"}},
        {"tool_name": "Bash", "tool_input": {"command": "touch y"}},
    ]
    assert [one.rule for one in denials(tried, (), planning=True)] == [None, "Read(//x/y)", "Bash(touch y)"]


def test_a_page_is_granted_by_its_host() -> None:
    assert denied("WebFetch", url="https://example.org/a?b=c").rule == "WebFetch(domain:example.org)"
    assert denied("WebFetch", url="https://user@*.org/").rule is None
    assert denied("WebFetch", url="nonsense").rule is None


def test_the_words_say_what_it_was_and_the_rule_of_another_tool_is_not_guessed() -> None:
    assert denied("Bash", command="touch a").words == "run the command: touch a"
    assert denied("Write", file_path="/x").words == "write the file /x"
    other = denied("mcp__shop__buy", amount=3)
    assert other.rule is None
    assert "mcp__shop__buy" in other.words
    assert "3" in other.words


def test_what_was_granted_and_denied_all_the_same_is_not_offered_again() -> None:
    assert denied("Write", ("Edit(//x)",), file_path="/x").rule is None
    assert denied("Write", ("Edit(//y)",), file_path="/x").rule == "Edit(//x)"


def test_each_thing_is_listed_once_in_the_order_it_was_tried() -> None:
    tried = [{"tool_name": "Bash", "tool_input": {"command": name}} for name in ("b", "a", "b")]

    assert [one.rule for one in denials(tried, ())] == ["Bash(b)", "Bash(a)"]


def test_a_command_of_megabytes_is_shown_by_its_beginning_and_never_granted() -> None:
    huge = denied("Bash", command="cat > x <<E\n" + "z" * 20_000_000 + "\nE")

    assert huge.rule is None
    assert huge.words.startswith("run the command: cat > x <<E\nzzz")
    assert "20,000,0" in huge.words
    assert len(huge.words) < 2000


def test_of_very_many_things_those_that_do_not_fit_on_a_page_are_counted_and_not_granted() -> None:
    tried = [{"tool_name": "Bash", "tool_input": {"command": f"touch {n} {'x' * 2000}"}} for n in range(100)]
    *shown, last = denials(tried, ())

    asked = Questions(number=1, run=1, asked_at="t", questions=(asking.denied((*shown, last)),), by_runner=True)
    [question], understood = parse_questions(to_json(asked).encode())
    assert understood
    assert question.options == ("allow", "deny", "done")
    assert all(one.rule and one.rule in question.text for one in shown)
    assert f"{100 - len(shown)} more" in last.words
    assert last.rule is None


@pytest.mark.parametrize(
    "reported",
    [
        {},
        {"tool_name": None, "tool_input": None},
        {"tool_name": "Bash"},
        {"tool_name": "Bash", "tool_input": {"command": ["ls"]}},
        {"tool_name": "Write", "tool_input": {"file_path": 3}},
        {"tool_name": "WebFetch", "tool_input": {"url": "http://[bad"}},
        {"tool_name": ["Bash"], "tool_input": {"command": "ls"}},
    ],
)
def test_a_report_of_another_shape_is_shown_and_grants_nothing(reported: dict[str, object]) -> None:
    [one] = denials([reported], ())

    assert one.words
    assert one.rule is None
