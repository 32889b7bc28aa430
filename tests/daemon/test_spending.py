"""What tasks may cost: over all their runs, per day, per hour; and what is shown of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import Step, World, wait_until

from dropbox_runner.core.clock import Now
from dropbox_runner.core.settings import Settings
from dropbox_runner.daemon.spending import Spending
from dropbox_runner.folder.ledger import Ledger

pytestmark = pytest.mark.slow

Json = dict[str, Any]
BUDGET_SPENT: Step = {"result": {"subtype": "error_max_budget_usd"}}


def costing(dollars: float, *steps: Step) -> list[Step]:
    return [{"say": "Working."}, *steps, {"cost": dollars}]


def begin(world: World, name: str, *turns: list[Step], task: str = "") -> None:
    world.teach(f"task {name}!", *turns)
    world.move_in(f"{name}.yaml", f"instructions: task {name}!\n{task}")


def budgets(world: World, name: str) -> list[float]:
    """What each run was allowed to spend."""
    given = [
        one for call in world.calls(f"task {name}!") for one in call["argv"] if one.startswith("--max-budget-usd=")
    ]
    return [float(one.partition("=")[2]) for one in given]


def asks(world: World, name: str, number: int) -> Path:
    """Wait for its question of this number."""

    def there() -> bool:
        try:
            content = json.loads((world.root / "blocked" / name / "question.json").read_bytes())
        except OSError:
            return False
        return bool(content["number"] == number)

    wait_until(there, lambda: f"{name} never asked question {number}:\n{world.story(name)}")
    return world.wait_for_question(name)


def result(world: World, name: str, state: str = "done") -> Json:
    content: Json = json.loads((world.wait_for(name, state) / "result.json").read_bytes())
    return content


def status(world: World) -> Json:
    content: Json = json.loads(world.run("status", "--json", str(world.root)).stdout)
    return content


def reason(world: World, name: str) -> str:
    notice = json.loads(next((world.home / "state").rglob("notice.json")).read_bytes())
    return next((str(one["reason"]) for one in notice["waiting"] if one["name"] == name), "")


def test_a_budget_holds_over_all_runs_and_is_raised_by_a_new_total(shared: World) -> None:
    begin(
        shared,
        "bounded",
        costing(0.4, {"write_question": "Which?"}),
        costing(0.7, BUDGET_SPENT),
        costing(0.2),
        task="max_budget_usd: 1.0\n",
    )
    asks(shared, "bounded", 1)
    shared.answer("bounded", "the first\n")
    text = (asks(shared, "bounded", 2) / "question.md").read_text()
    assert "$1.10 of its budget of $1.00" in text
    assert "new total" in text

    # Too little: it stays, and says why.
    shared.answer("bounded", "1\n")
    wait_until(lambda: "$1.10 have been spent already" in reason(shared, "bounded"), lambda: shared.story("bounded"))
    assert shared.where("bounded") == "blocked"
    assert "the new total must be more" in reason(shared, "bounded")

    shared.answer("bounded", "2\n")
    ended = result(shared, "bounded")
    assert ended["cost_usd"] == pytest.approx(1.3)
    assert budgets(shared, "bounded") == pytest.approx([1.0, 0.6, 0.9])
    assert "has been raised" in shared.calls("task bounded!")[-1]["prompt"]
    assert shared.record("bounded")["budget_usd"] == 2


def test_stop_ends_a_task_that_has_spent_its_budget(shared: World) -> None:
    begin(shared, "stopped", costing(0.7, BUDGET_SPENT), task="max_budget_usd: 0.5\n")
    asks(shared, "stopped", 1)
    shared.answer("stopped", "stop\n")
    ended = result(shared, "stopped", "failed")
    assert (ended["verdict"], ended["runs"]) == ("cancelled", 1)


def test_an_answer_to_claude_does_not_start_a_run_that_nothing_is_left_for(shared: World) -> None:
    begin(shared, "overdrawn", costing(0.7, {"write_question": "Which?"}), costing(0.1), task="max_budget_usd: 0.5\n")
    asks(shared, "overdrawn", 1)
    shared.answer("overdrawn", "the second one\n")
    text = (asks(shared, "overdrawn", 2) / "question.md").read_text()
    assert "$0.70 of its budget of $0.50" in text
    assert len(shared.calls("task overdrawn!")) == 1
    shared.answer("overdrawn", "$2\n")
    result(shared, "overdrawn")
    assert "the second one" in shared.calls("task overdrawn!")[-1]["prompt"], "the first answer is not lost"


def test_the_cost_of_a_killed_run_is_shown_as_unknown_and_never_as_nothing(shared: World) -> None:
    begin(shared, "killed", [{"say": "Working."}, {"kill": "KILL"}], costing(0.25))
    ended = result(shared, "killed")
    assert (ended["cost_usd"], ended["cost_complete"]) == (pytest.approx(0.25), False)
    assert "| Cost | at least $0.25 |" in (shared.path("killed") / "result.md").read_text()
    shown = shared.run("show", "killed", "--folder", str(shared.root)).stdout
    assert "unknown" in shown
    assert "at least $0.25" in shown
    assert "1 run of unknown cost" in shared.run("status", str(shared.root)).stdout


def test_a_run_that_is_stopped_by_moving_its_folder_has_cost_something_too(world: World) -> None:
    world.play([{"say": "Working."}, {"sleep": 60}])
    world.start()
    world.move_in("x.yaml")
    world.agent_pid("x")
    wait_until(world.calls, lambda: world.story("x"))
    world.path("x").rename(world.root / "blocked" / "x")
    wait_until(lambda: world.record("x")["runs"][0].get("verdict"), lambda: world.story("x"))
    assert status(world)["cost_unknown_runs"] == 1
    assert "1 run of unknown cost" in world.run("status", str(world.root)).stdout


def test_while_a_task_waits_its_unknown_costs_are_told_as_well(shared: World) -> None:
    begin(
        shared,
        "partly",
        [{"say": "Working."}, {"kill": "KILL"}],
        costing(0.25, {"write_question": "Which?"}),
        costing(0.4, BUDGET_SPENT),
        task="max_budget_usd: 0.5\n",
    )
    asks(shared, "partly", 1)
    [row] = [one for one in status(shared)["asking"] if one["name"] == "partly"]
    assert (row["cost_usd"], row["cost_complete"]) == (pytest.approx(0.25), False)
    assert "at least $0.25" in shared.run("status", str(shared.root)).stdout
    shared.answer("partly", "the first\n")
    assert (
        "It has spent at least $0.65 of its budget of $0.50" in (asks(shared, "partly", 2) / "question.md").read_text()
    )


def test_when_the_days_budget_is_spent_nothing_more_is_started(world: World) -> None:
    world.settings(daily_budget_usd=0.4)
    world.play(costing(0.5))
    world.start()
    world.move_in("first.yaml")
    world.wait_for("first", "done")
    world.move_in("second.yaml")
    wait_until(lambda: "the daily budget is spent" in reason(world, "second"), lambda: world.story("second"))
    seen = status(world)
    assert "$0.50 of $0.40" in seen["held"]
    assert "midnight" in seen["held"]
    assert "dropbox-runner resume" not in world.run("status", str(world.root)).stdout, "that would change nothing"
    assert seen["spent_today_usd"] == pytest.approx(0.5)
    assert seen["spent_total_usd"] == pytest.approx(0.5)
    assert seen["lately"][0]["cost_usd"] == pytest.approx(0.5)
    assert world.where("second") == "pending"
    assert len(world.calls()) == 1


def test_no_more_runs_are_started_within_an_hour_than_the_settings_say(world: World) -> None:
    world.settings(max_starts_per_hour=2)
    world.play([{"say": "Done."}])
    for name in ("a", "b", "c", "d"):
        world.move_in(f"{name}.yaml", f"instructions: {name}\n")
    first = world.start("--max-parallel", "4")
    world.wait_for("a", "done")
    world.wait_for("b", "done")
    wait_until(lambda: "within an hour" in reason(world, "d"), lambda: world.story("d"))
    first.kill()
    world.start("--max-parallel", "4")
    assert [world.where(name) for name in ("c", "d")] == ["pending", "pending"]
    assert len(world.calls()) == 2


def test_runs_that_were_started_tomorrow_because_the_clock_was_set_back_hold_nothing(tmp_path: Path) -> None:
    ledger, wall = Ledger(tmp_path / "ledger.sqlite"), datetime(2026, 1, 2, 12, tzinfo=UTC)
    spending = Spending(ledger, Settings(max_starts_per_hour=2))
    for minute in (-5, 24 * 60 - 1, 24 * 60):
        ledger.note_start(str(minute), (wall + timedelta(minutes=minute)).timestamp())
    now = Now(wall=wall, steady=0.0, boot="b")
    assert spending.wait(now) is None
    assert spending.starts_left(now) == 1
