"""The whole story: dropped, run, asked, answered, asked again, answered, done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness import World, wait_until

COLOUR = {"text": "Which colour shall it be?", "options": ["red", "dark blue"]}
SIZE = {"text": "And how large?"}


def question(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "question.json").read_bytes())
    return data


@pytest.mark.parametrize("options", [(), ("--poll", "0.2")], ids=["with the watcher", "only looking now and then"])
def test_dropped_run_asked_answered_asked_again_answered_done(world: World, options: tuple[str, ...]) -> None:
    world.play(
        [{"say": "Let me see."}, {"ask": COLOUR}, {"say": "I have asked."}],
        [{"ask": SIZE}],
        [{"write": {"path": "box.txt", "text": "a box"}}, {"say": "The box is made."}],
        rules={"second task": [[{"say": "Me too."}]]},
    )
    daemon = world.start(*options)
    dropped = "instructions: |\n  Paint a box.\n# thanks\n"
    world.move_in("paint box.yaml", dropped)

    # It asks.
    folder = world.wait_for_question("paint-box")
    assert not (world.root / "paint box.yaml").exists()
    assert (folder / "task.yaml").read_text() == dropped
    asked = question(folder)
    assert (asked["number"], asked["run"]) == (1, 1)
    assert (asked["text"], asked["options"]) == (COLOUR["text"], COLOUR["options"])
    text = (folder / "question.md").read_text()
    assert "Which colour shall it be?" in text
    assert "2. dark blue" in text
    assert "answer.md" in text

    # Answered by the number of an option, it goes on and asks again.
    world.answer("paint-box", "2\n")
    wait_until(lambda: len(world.calls("Paint a box")) == 2, lambda: world.story("paint-box"))
    folder = world.wait_for("paint-box", "blocked")
    wait_until(lambda: question(folder)["number"] == 2, lambda: world.story("paint-box"))
    assert (folder / "answer-1.md").read_text() == "2\n"
    assert json.loads((folder / "question-1.json").read_bytes()) == asked

    # The first answer does not answer the second question, however often it is looked at.
    world.move_in("other.md", "second task\n")
    world.wait_for("other", "done")
    assert world.where("paint-box") == "blocked"
    assert not (folder / "answer.md").exists()

    world.answer("paint-box", "as large as a cat\n", name="answer.txt")
    folder = world.wait_for("paint-box", "done")
    assert (folder / "answer-2.txt").read_text() == "as large as a cat\n"
    assert (folder / "work" / "box.txt").read_text() == "a box"

    result = json.loads((folder / "result.json").read_bytes())
    assert result["verdict"] == "succeeded"
    assert result["result"] == "The box is made."
    assert (result["runs"], result["questions"]) == (3, 2)
    assert result["cost_usd"] == pytest.approx(3 * 0.0008)
    assert result["cost_complete"] is True
    assert result["dropped_as"] == "paint box.yaml"
    assert (folder / "result.md").read_text().startswith("The box is made.\n")
    assert not (folder / "error.md").exists()
    assert not (folder / "question.json").exists()

    # One session, started once, resumed twice.
    calls = world.calls("Paint a box")
    assert len({call["session_id"] for call in calls}) == 1
    assert calls[0]["session_id"] == result["session_id"]
    assert [call["resume"] for call in calls] == [False, True, True]
    for call in calls:
        session = [one for one in call["argv"] if one.startswith(("--session-id", "--resume"))]
        assert len(session) == 1, "told to start and to resume at once"
        assert call["cwd"] == str(world.root / "running" / "paint-box" / "work")
        assert call["env"]["DROPBOX_RUNNER_INBOX"] == str(world.root)
    prompts = [call["prompt"] for call in calls]
    assert "Paint a box." in prompts[0]
    assert "> Which colour shall it be?" in prompts[1]
    assert "dark blue" in prompts[1]
    assert "as large as a cat" in prompts[2]
    assert "> And how large?" in prompts[2]
    assert "dark blue" not in prompts[2]

    assert daemon.stop() == 0
    said = [line.split(" ", 1)[1] for line in daemon.log.splitlines() if " paint-box: " in line]
    arrows = [line.split(" (")[0] for line in said]
    assert arrows == [
        "paint-box: pending",
        "paint-box: pending → running",
        "paint-box: running → blocked",
        "paint-box: blocked → pending",
        "paint-box: pending → running",
        "paint-box: running → blocked",
        "paint-box: blocked → pending",
        "paint-box: pending → running",
        "paint-box: running → done",
    ]


def test_until_everything_is_drained(world: World) -> None:
    world.play(
        [{"say": "fine"}],
        rules={"wonder": [[{"ask": COLOUR}]], "fail": [[{"api_error": {"status": 400, "text": "API Error: 400"}}]]},
    )
    for name in ("a", "b", "wonder"):
        world.move_in(f"{name}.txt", f"{name}\n")
    assert world.launch("--drain", "--max-parallel", "2").wait() == 0
    assert {name: world.where(name) for name in ("a", "b", "wonder")} == {"a": "done", "b": "done", "wonder": "blocked"}
    world.move_in("fail.txt", "fail\n")
    assert world.launch("--drain").wait() == 1, "one task has failed in that time"
    assert "API Error: 400" in (world.path("fail") / "error.md").read_text()
