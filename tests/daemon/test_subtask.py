"""`dropbox-runner subtask`: an agent hands work over as tasks of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Step, World, wait_until


def wait_for(world: World, name: str, *states: str) -> Path:
    """As in the harness, but patiently: such a story starts a dozen programs, one after the other."""
    wait_until(lambda: world.where(name) in states, lambda: world.story(name), 60.0)
    return world.path(name)


pytestmark = pytest.mark.slow


def hands_over(*texts: str) -> list[Step]:
    return [*({"bash": f"dropbox-runner subtask '{text}'"} for text in texts), {"say": "Handed over."}]


def task_of(world: World, name: str) -> dict[str, Any]:
    _, front, text = (wait_for(world, name, "done") / "task.md").read_text().split("---\n", 2)
    fields: dict[str, Any] = yaml.safe_load(front)
    return fields | {"instructions": text}


def begin(world: World, name: str, *steps: Step, task: str = "") -> None:
    world.teach(f"task {name}!", list(steps))
    world.move_in(f"{name}.yaml", f"instructions: task {name}!\n{task}")


def test_what_is_handed_over_runs_after_the_task_that_did_it_has_gone_and_costs_no_more(world: World) -> None:
    world.play([{"say": "Did it."}])
    world.start()  # one at a time
    limits = "model: haiku\nmax_budget_usd: 0.5\ntimeout: 90s\nretries: 0\n"
    begin(world, "big", *hands_over("Write the tests."), task=limits)
    wait_for(world, "big", "done")
    sub = task_of(world, "big-write-the-tests")
    assert sub["instructions"].strip() == "Write the tests."
    assert sub["description"] == "handed over by big"
    assert (sub["model"], sub["timeout"], sub["parent"]) == ("haiku", "90s", "big")
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
    done = wait_for(shared, "silent", "done")
    assert "exit 2" in (done / "run-1.jsonl").read_text()
    assert shared.where("silent-") is None


def test_outside_a_run_it_says_what_to_do_instead(shared: World) -> None:
    done = shared.run("subtask", "something")
    assert done.returncode == 2
    assert "dropbox-runner add" in done.stderr


# ---------------------------------------------------------------------------------------------- what it may do


def tries(*commands: str) -> list[Step]:
    """Each command, with what it said and how it ended, in the agent's log."""
    return [*({"bash": f"{command}; echo exit $?"} for command in commands), {"say": "Tried."}]


def log_of(world: World, name: str) -> str:
    return (wait_for(world, name, "done") / "run-1.jsonl").read_text()


def test_a_sub_task_knows_its_parent_and_the_parent_its_sub_tasks(shared: World) -> None:
    begin(shared, "family", *hands_over("Paint the fence."))
    wait_for(shared, "family-paint-the-fence", "done")
    assert shared.record("family-paint-the-fence")["parent"] == "family"
    assert shared.record("family-paint-the-fence")["depth"] == 1
    assert [one["name"] for one in shared.record("family")["subtasks"]] == ["family-paint-the-fence"]
    child = shared.run("show", "family-paint-the-fence", "--folder", str(shared.root)).stdout
    assert "handed over by  family" in child
    assert "family-paint-the-fence" in shared.run("show", "family", "--folder", str(shared.root)).stdout


def test_each_sub_task_gets_a_share_of_the_budget_and_the_parent_keeps_what_is_left(shared: World) -> None:
    turns = [*hands_over("One.", "Two."), {"cost": 1.0}, {"write_question": "Go on?"}]
    shared.teach("task rich!", turns, [{"say": "Done."}])
    shared.move_in("rich.yaml", "instructions: task rich!\nmax_budget_usd: 9\n")
    wait_for(shared, "rich-one", "done")
    wait_for(shared, "rich-two", "done")
    assert "--max-budget-usd=2.25" in shared.calls("One.")[0]["argv"]
    assert "--max-budget-usd=1.68" in shared.calls("Two.")[0]["argv"]
    wait_for(shared, "rich", "blocked")
    shared.answer("rich", "yes\n.\n")
    wait_for(shared, "rich", "done")
    left = 9 - 2.25 - 1.68 - 1.0
    assert f"--max-budget-usd={left:g}" in shared.calls("task rich!")[1]["argv"]
    assert "$2.25 (its share of that of rich)" in shared.run("show", "rich-one", "--folder", str(shared.root)).stdout


def test_nothing_is_handed_over_by_a_sub_task_of_a_sub_task(shared: World) -> None:
    shared.teach("Level one.", tries("dropbox-runner subtask 'Level two.'"))
    shared.teach("Level two.", tries("dropbox-runner subtask 'Level three.'"))
    begin(shared, "deep", *hands_over("Level one."))
    said = log_of(shared, "deep-level-one-level-two")
    assert "exit 1" in said
    assert "that is a sub-task itself, and hands nothing on" in said
    assert "max_subtask_depth" in said
    assert not shared.calls("Level three.")
    assert shared.where("deep-level-one-level-two-level-three") == "failed"


def test_the_number_of_sub_tasks_is_bounded(world: World) -> None:
    world.settings(max_subtasks=3)
    world.play([{"say": "Did it."}])
    world.start("--max-parallel", "5")
    begin(world, "many", *tries(*(f"dropbox-runner subtask 'Number {number}.'" for number in range(5))))
    said = log_of(world, "many")
    assert "it has handed over 3 tasks" in said
    assert len(world.record("many")["subtasks"]) == 3
    assert [wait_for(world, f"many-number-{number}", "done", "failed").parent.name for number in range(5)] == [
        *("done", "done", "done"),
        *("failed", "failed"),
    ]


def test_when_nothing_is_left_of_the_budget_nothing_is_handed_over(shared: World) -> None:
    begin(shared, "poor", *tries("dropbox-runner subtask 'Spend it.'"), task="max_budget_usd: 0.02\n")
    assert "$0.02 of the budget of poor are left" in log_of(shared, "poor")
    assert not shared.calls("Spend it.")


def test_what_its_parent_may_not_do_a_sub_task_may_not_ask_for(shared: World, tmp_path: Path) -> None:
    asks = {
        "mode": ("permission_mode: bypassPermissions", "cannot be `bypassPermissions`: strict may do no more than"),
        "tools": ("allowed_tools: Bash", "asks for `Bash`, which strict does not have"),
        "mcp": ("mcp_config: /x.json", "asks for `/x.json`, which strict does not have"),
        "denied": ("tags: x", "must hold what strict may not use either"),
        "place": (f"working_dir: {tmp_path}\ndisallowed_tools: WebFetch", "leads out of where strict works"),
        "files": (f"context_files: {tmp_path}\ndisallowed_tools: WebFetch", "leads out of where strict works"),
    }
    limits = "permission_mode: acceptEdits\ndisallowed_tools: WebFetch\n"
    begin(shared, "strict", {"say": "Done."}, task=limits)
    wait_for(shared, "strict", "done")
    for name, (text, says) in asks.items():
        usual = "" if "permission_mode" in text else "permission_mode: acceptEdits\n"
        shared.move_in(f"beyond-{name}.yaml", f"instructions: beyond!\nparent: strict\n{usual}{text}\n")
        error = (wait_for(shared, f"beyond-{name}", "failed") / "error.md").read_text()
        assert says in error
    assert not shared.calls("beyond!")
    assert "subtasks" not in shared.record("strict") or not shared.record("strict")["subtasks"]


def test_a_parent_that_is_not_there_is_said(shared: World) -> None:
    shared.move_in("orphan.yaml", "instructions: x\nparent: nobody\n")
    error = (wait_for(shared, "orphan", "failed") / "error.md").read_text()
    assert "orphan.yaml:2:9: `parent` names a task that is not there" in error
    shared.move_in("climber.yaml", "instructions: x\nparent: ../../etc\n")
    assert "`parent` cannot be `../../etc`" in (wait_for(shared, "climber", "failed") / "error.md").read_text()


def test_a_long_text_of_any_content_is_handed_over_as_it_is(shared: World) -> None:
    text = "---\nmodel: opus\n---\n- [ ] fix: it #12\n" + "line of text: %YAML @x *y\n" * 8000
    (shared.base / "long.txt").write_text(text)
    begin(shared, "wordy", {"bash": f"dropbox-runner subtask --name long < {shared.base}/long.txt"}, {"say": "Done."})
    folder = wait_for(shared, "wordy-long", "done")
    assert text.strip() in (folder / "run-1.prompt.md").read_text()
    assert "--model=opus" not in shared.calls("- [ ] fix: it #12")[0]["argv"]
