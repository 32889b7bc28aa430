"""`dropbox-runner subtask`: an agent hands work over as tasks of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Step, World

pytestmark = pytest.mark.slow


def hands_over(*texts: str) -> list[Step]:
    return [*({"bash": f"dropbox-runner subtask '{text}'"} for text in texts), {"say": "Handed over."}]


def task_of(world: World, name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((world.wait_for(name, "done") / "task.yaml").read_text())
    return content


def begin(world: World, name: str, *steps: Step, task: str = "") -> None:
    world.teach(f"task {name}!", list(steps))
    world.move_in(f"{name}.yaml", f"instructions: task {name}!\n{task}")


def test_what_is_handed_over_runs_after_the_task_that_did_it_has_gone_and_costs_no_more(world: World) -> None:
    world.play([{"say": "Did it."}])
    world.start()  # one at a time
    limits = "model: haiku\nmax_budget_usd: 0.5\ntimeout: 90s\nretries: 0\n"
    begin(world, "big", *hands_over("Write the tests."), task=limits)
    world.wait_for("big", "done")
    sub = task_of(world, "big-write-the-tests")
    assert sub["instructions"].strip() == "Write the tests."
    assert sub["description"] == "handed over by big"
    assert (sub["model"], sub["max_budget_usd"], sub["timeout"]) == ("haiku", 0.5, "90s")
    call = world.calls("Write the tests.")[0]
    assert "--model=haiku" in call["argv"]
    assert call["cwd"] == str(world.root / "running" / "big-write-the-tests" / "work")
    assert len(world.calls("task big!")) == 1


def test_two_that_begin_alike_are_two_tasks(shared: World) -> None:
    first, second = (f"Prove the theorem of the module {name}." for name in "ab")
    begin(shared, "alike", *hands_over(first, second, first))
    name = "alike-prove-the-theorem-of-the"
    told = sorted(task_of(shared, f"{name}{end}")["instructions"].strip() for end in ("", "-2", "-3"))
    assert told == [first, first, second]
    assert len(shared.calls("Prove the theorem")) == 3, "no one took the place of another"


def test_it_works_where_the_task_that_handed_it_over_works(shared: World, tmp_path: Path) -> None:
    task = f"working_dir: {tmp_path}\npermission_mode: acceptEdits\n"
    begin(shared, "there", *hands_over("Paint it."), task=task)
    task_of(shared, "there-paint-it")
    call = shared.calls("Paint it.")[0]
    assert call["cwd"] == str(tmp_path)
    assert "--permission-mode=acceptEdits" in call["argv"]


def test_without_words_it_hands_nothing_over(shared: World) -> None:
    begin(shared, "silent", {"bash": "dropbox-runner subtask ''; echo \"exit $?\""}, {"say": "Tried."})
    done = shared.wait_for("silent", "done")
    assert "exit 2" in (done / "run-1.jsonl").read_text()
    assert shared.where("silent-") is None


def test_outside_a_run_it_says_what_to_do_instead(shared: World) -> None:
    done = shared.run("subtask", "something")
    assert done.returncode == 2
    assert "dropbox-runner add" in done.stderr
