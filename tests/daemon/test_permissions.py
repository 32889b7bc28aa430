"""What claude was not allowed to do becomes a question, and the answer grants exactly that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import Step, World, wait_until

pytestmark = pytest.mark.slow

Json = dict[str, Any]
NOT_ALLOWED = {"say": "I was not allowed to."}


def denied(command: str) -> Step:
    return {"denied": {"tool": "Bash", "input": {"command": command, "description": "x"}}}


def begin(world: World, name: str, *turns: list[Step], task: str = "") -> Path:
    """Drop a task of which claude is denied something; wait for the question."""
    world.teach(f"task {name}!", *turns)
    world.move_in(f"{name}.yaml", f"instructions: task {name}!\npermission_mode: dontAsk\n{task}")
    return world.wait_for_question(name)


def allowed(call: Json) -> list[str]:
    """The rules that a run was given, but for the one that every run has."""
    rules = [one.partition("=")[2] for one in call["argv"] if one.startswith("--allowedTools=")]
    settings = [one.partition("=")[2] for one in call["argv"] if one.startswith("--settings=")]
    rules += [rule for one in settings for rule in json.loads(one)["permissions"]["allow"]]
    return [rule for rule in rules if rule != "Bash(dropbox-runner ask *)"]


def result(world: World, name: str, state: str = "done") -> Json:
    content: Json = json.loads((world.wait_for(name, state) / "result.json").read_bytes())
    return content


def test_what_was_denied_is_asked_and_allowed_for_the_rest_of_the_task(shared: World) -> None:
    folder = begin(
        shared,
        "granted",
        [denied("touch a; touch b"), NOT_ALLOWED],
        [{"write_question": "And now?"}],
        [{"say": "All made."}],
    )
    question = json.loads((folder / "question.json").read_bytes())
    assert question["by"] == "dropbox-runner"
    assert question["options"] == ["allow", "deny", "done"]
    text = (folder / "question.md").read_text()
    assert "run the command: touch a; touch b" in text
    assert "Bash(touch a; touch b)" in text
    assert "1. allow" in text
    status = json.loads(shared.run("status", "--json", str(shared.root)).stdout)
    assert next(row for row in status["asking"] if row["name"] == "granted")["options"] == ["allow", "deny", "done"]

    shared.answer("granted", "1\n")
    wait_until(lambda: len(shared.calls("task granted!")) == 2, lambda: shared.story("granted"))
    shared.wait_for("granted", "blocked")
    shared.answer("granted", "go on\n")
    assert result(shared, "granted")["result"] == "All made."
    calls = shared.calls("task granted!")
    assert [call["resume"] for call in calls] == [False, True, True]
    assert [allowed(call) for call in calls] == [[], ["Bash(touch a; touch b)"], ["Bash(touch a; touch b)"]]
    assert "You may now do" in calls[1]["prompt"]
    shown = shared.run("show", "granted", "--folder", str(shared.root)).stdout
    assert "allowed by you" in shown
    assert "Bash(touch a; touch b)" in shown


@pytest.mark.parametrize(("name", "answer"), [("refused", "deny"), ("advised", "Write it to the log instead.")])
def test_any_other_answer_lets_it_go_on_without_and_reaches_it(shared: World, name: str, answer: str) -> None:
    begin(shared, name, [denied("rm x"), NOT_ALLOWED], [{"say": "Done without."}])
    shared.answer(name, f"{answer}\n")
    assert result(shared, name)["result"] == "Done without."
    last = shared.calls(f"task {name}!")[-1]
    assert answer in last["prompt"]
    assert allowed(last) == []


def test_done_takes_it_as_it_is_with_what_claude_said_last(shared: World) -> None:
    begin(shared, "taken", [denied("rm x"), NOT_ALLOWED])
    shared.answer("taken", "done\n")
    ended = result(shared, "taken")
    assert (ended["verdict"], ended["result"], ended["runs"]) == ("succeeded", "I was not allowed to.", 1)
    assert (shared.path("taken") / "answer-1.md").read_text() == "done\n"


def test_of_several_denials_those_with_a_rule_are_allowed_together(shared: World) -> None:
    write: Step = {"denied": {"tool": "Write", "input": {"file_path": "/some where/x.txt", "content": "…"}}}
    folder = begin(
        shared,
        "several",
        [denied("touch $(echo c) x"), write, denied("rm *"), denied("touch $(echo c) x"), NOT_ALLOWED],
        [{"say": "All made."}],
    )
    text = (folder / "question.md").read_text()
    assert text.count("touch $(echo c) x\n") == 1, "each once"
    assert "write the file /some where/x.txt" in text
    assert "none allows exactly this" in text
    shared.answer("several", "allow\n")
    result(shared, "several")
    assert allowed(shared.calls("task several!")[-1]) == [
        "Edit(//some where/x.txt)",
        "Bash(touch $(echo c) x)",
    ], "nothing that a shell could widen"


def test_a_command_that_would_let_more_through_cannot_be_allowed(shared: World) -> None:
    folder = begin(shared, "wide", [denied("a) Bash(rm *"), NOT_ALLOWED], [{"say": "Without."}])
    question = json.loads((folder / "question.json").read_bytes())
    assert question["options"] == ["deny", "done"]
    shared.answer("wide", "allow\n")
    result(shared, "wide")
    assert allowed(shared.calls("task wide!")[-1]) == []


def test_what_is_denied_although_it_was_allowed_is_not_offered_a_second_time(shared: World) -> None:
    write: Step = {"denied": {"tool": "Write", "input": {"file_path": "/x.txt", "content": "…"}}}
    begin(shared, "again", [write, NOT_ALLOWED], [write, NOT_ALLOWED], [{"say": "Without."}])
    shared.answer("again", "allow\n")
    wait_until(lambda: len(shared.calls("task again!")) == 2, lambda: shared.story("again"))
    folder = shared.wait_for("again", "blocked")
    question = json.loads((folder / "question.json").read_bytes())
    assert (question["number"], question["options"]) == (2, ["deny", "done"])
    assert "none allows exactly this" in question["text"]


def test_a_denial_of_the_strangest_kind_is_asked_about_and_can_be_answered(shared: World) -> None:
    strange: Step = {"denied": {"tool": "WebFetch", "input": {"url": "http://[x \ud83d \0"}}}
    begin(
        shared, "strange", [strange, denied("echo \0 \ud83d"), denied("x" * 200_000), NOT_ALLOWED], [{"say": "Fine."}]
    )
    shared.answer("strange", "deny\n")
    assert result(shared, "strange")["result"] == "Fine."


def test_a_question_of_claudes_own_comes_before_what_was_denied(shared: World) -> None:
    folder = begin(shared, "both", [denied("rm x"), {"write_question": "May I?"}], [{"say": "Fine."}])
    assert json.loads((folder / "question.json").read_bytes())["text"] == "May I?"
    shared.answer("both", "no\n")
    assert result(shared, "both")["verdict"] == "succeeded"


@pytest.mark.parametrize(("setting", "state"), [("fail", "failed"), ("ignore", "done")])
def test_nobody_is_asked_where_the_settings_decide(world: World, setting: str, state: str) -> None:
    world.settings(on_denial=setting)
    world.play([denied("rm x"), NOT_ALLOWED])
    world.start()
    world.move_in("x.yaml")
    ended = result(world, "x", state)
    assert ended["verdict"] == ("succeeded" if state == "done" else "denied")
    assert ended["result"] == "I was not allowed to."
    if state == "failed":
        assert "claude was not allowed to run the command: rm x" in (world.path("x") / "error.md").read_text()
