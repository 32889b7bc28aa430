"""Usage limits, overload, outages, account trouble: the queue waits, says why and until when, and goes on by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness import Step, World, alive, wait_until

pytestmark = pytest.mark.slow

Json = dict[str, Any]
GONE_ON = [{"say": "Finished."}]


def used_up(resets_in: float) -> list[Step]:
    """The subscription's five hours are used up."""
    info = {"status": "rejected", "resetsAt": int(time.time() + resets_in), "rateLimitType": "five_hour"}
    error = {"status": 429, "error": "rate_limit", "api_error": "usage_limit_reached"}
    return [{"rate_limit": info}, {"api_error": error | {"text": "You've hit your 5-hour limit"}}]


def refused(status: int | None, error: str, text: str) -> list[Step]:
    return [{"api_error": {"status": status, "error": error, "text": text}}]


OVERLOADED = refused(529, "overloaded", "API Error: 529 Overloaded")
BAD_KEY = refused(401, "authentication_failed", "Invalid API key · Fix external API key")


def local(world: World, name: str) -> Path | None:
    return next((world.home / "state").rglob(name), None)


def said(world: World) -> Json:
    """What the daemon lets others know."""
    file = local(world, "notice.json")
    content: Json = json.loads(file.read_bytes()) if file is not None else {"waiting": []}
    return content


def waits(world: World, task: str) -> str:
    return next((str(one["reason"]) for one in said(world)["waiting"] if one["name"] == task), "")


def change(file: Path, how: Callable[[Json], Json]) -> None:
    """Let time pass: what lies on disk says when something is to happen."""
    temporary = file.with_name(".changed.tmp")
    temporary.write_text(json.dumps(how(json.loads(file.read_bytes()))))
    temporary.replace(file)


def wait_until_held(world: World, text: str) -> None:
    def held() -> bool:
        return text in str(said(world).get("held"))

    wait_until(held, lambda: f"it never held the queue with {text!r}: {said(world)}\n{world.daemon.log}")


def status_of(world: World) -> Json:
    status: Json = json.loads(world.run("status", "--json", str(world.root)).stdout)
    return status


@pytest.fixture(scope="module")
def one_daemon(tmp_path_factory: pytest.TempPathFactory, template: World) -> Iterator[World]:
    """One daemon for many tests, each with tasks of its own: a daemon takes most of a second to start."""
    world = World(tmp_path_factory.mktemp("queue"))
    world.copy_of(template)
    world.settings(outage_patience="1h", linger_grace="0.3s", api_retries=1)
    world.start("--poll", "0.1", "--max-parallel", "20")
    yield world
    world.end()
    assert not world.errors(), f"the daemon broke down:\n{world.errors()}"


@pytest.fixture
def queue(one_daemon: World) -> Iterator[World]:
    """The inbox of that daemon, with nothing left in it that would be tried again in another test."""
    yield one_daemon
    for folder in (one_daemon.root / "pending").iterdir():
        (folder / "cancel").touch()
    gate = local(one_daemon, "gate.json")
    if gate is not None:
        gate.unlink()
    wait_until(lambda: not list((one_daemon.root / "pending").iterdir()), "pending/ was never emptied")


def drop(world: World, name: str, *turns: list[Step], task: str = "") -> None:
    world.teach(f"task {name}!", *turns)
    world.move_in(f"{name}.yaml", f"instructions: task {name}!\n{task}")


def calls(world: World, name: str) -> list[Json]:
    return world.calls(f"task {name}!")


def wait_until_over(world: World, task: str) -> None:
    """Let the gate's time be over, and the task's own pause."""
    record = world.wait_for(task, "pending") / "record.json"
    change(record, lambda content: {key: value for key, value in content.items() if key != "not_before"})
    # The gate last: the daemon notices at once, and the task is gone from pending/.
    gate = local(world, "gate.json")
    if gate is not None:
        change(gate, lambda content: content | {"until": time.time() - 1})


def went_on_in_its_session(world: World, name: str, runs: int, *texts: str) -> None:
    made = calls(world, name)
    assert [call["resume"] for call in made] == [False] + [True] * (runs - 1)
    assert len({call["session_id"] for call in made}) == 1
    for text in texts:
        assert text in made[-1]["prompt"]


# ---------------------------------------------------------------------------------------------- the usage limit


def test_at_the_usage_limit_nothing_is_started_until_its_reset_or_until_somebody_says_resume(world: World) -> None:
    first = world.start("--max-parallel", "3")
    drop(world, "x", used_up(2 * 3600 + 600), GONE_ON, task="retries: 1\n")

    wait_until_held(world, "usage limit until ")
    status = status_of(world)
    assert "usage limit until " in status["held"]
    assert [row["name"] for row in status["pending"]] == ["x"]
    page = (world.root / "STATUS.md").read_text()
    assert "usage limit until " in page
    shown = world.run("status", str(world.root)).stdout
    assert "usage limit until " in shown
    assert "(in 2 h" in shown
    assert "resume" in shown, "it says how to try at once"

    drop(world, "other", GONE_ON)
    wait_until(lambda: waits(world, "other"), lambda: world.story("other"))
    assert "usage limit" in waits(world, "other")
    assert len(world.calls()) == 1

    # It is the account's limit, and not this process's.
    first.kill()
    world.start("--max-parallel", "3")
    assert "usage limit until " in waits(world, "other")
    assert "usage limit until " in waits(world, "x")
    assert len(world.calls()) == 1

    assert "resumed" in world.run("resume", "--folder", str(world.root)).stdout
    world.wait_for("x", "done")
    world.wait_for("other", "done")
    went_on_in_its_session(world, "x", 2, "usage limit", "Go on")
    record = world.record("x")
    assert [run["verdict"] for run in record["runs"]] == ["limited", "succeeded"]
    assert record["retried"] == 0
    assert local(world, "gate.json") is None
    wait_until(lambda: "usage limit" not in (world.root / "STATUS.md").read_text(), "STATUS.md still speaks of it")


def test_without_a_daemon_status_says_what_would_hold_the_next_one(world: World) -> None:
    daemon = world.start()
    drop(world, "first", used_up(7200))
    wait_until_held(world, "usage limit until")
    daemon.stop()
    shown = world.run("status", str(world.root)).stdout
    assert "no daemon runs" in shown
    assert "usage limit until" in shown
    assert "(in 1 h 59 min)" in shown or "(in 2 h" in shown


def test_when_the_limit_is_reset_everything_goes_on_by_itself(queue: World) -> None:
    drop(queue, "reset", used_up(3600), GONE_ON)
    wait_until_held(queue, "usage limit until ")
    wait_until_over(queue, "reset")
    queue.wait_for("reset", "done")
    went_on_in_its_session(queue, "reset", 2)


def test_a_task_that_was_under_way_ends_well_and_the_limit_holds_all_the_same(queue: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    drop(queue, "slow", [{"wait_for": str(gate)}, *GONE_ON])
    wait_until(lambda: calls(queue, "slow"), lambda: queue.story("slow"))
    drop(queue, "limited", used_up(3600))
    wait_until_held(queue, "usage limit until ")
    gate.touch()
    queue.wait_for("slow", "done")
    drop(queue, "third", GONE_ON)
    wait_until(lambda: waits(queue, "third"), lambda: queue.story("third"))
    assert "usage limit" in waits(queue, "third")
    assert calls(queue, "third") == []


def test_a_question_asked_before_the_limit_was_met_is_asked_and_the_limit_holds(queue: World) -> None:
    drop(queue, "asks", [{"write_question": "Which?"}, *used_up(3600)])
    queue.wait_for("asks", "blocked")
    wait_until_held(queue, "usage limit until ")


# ---------------------------------------------------------------------------------------------- overload and outage


def has_tried(world: World, name: str, tries: int) -> bool:
    return bool(waits(world, name)) and len(calls(world, name)) == tries


def has_been_called(world: World, name: str, times: int) -> bool:
    return len(calls(world, name)) >= times


def test_overload_is_waited_out_with_growing_pauses_and_uses_up_no_retry(queue: World) -> None:
    drop(queue, "tired", OVERLOADED, OVERLOADED, GONE_ON, task="retries: 1\n")
    for tries, least in ((1, 30), (2, 60)):
        wait_until(partial(has_tried, queue, "tired", tries), lambda: queue.story("tired"))
        queue.wait_for("tired", "pending")
        assert "529 Overloaded" in waits(queue, "tired")
        record = queue.record("tired")
        assert (record["throttled"], record["retried"]) == (tries, 0)
        assert least - 5 < record["not_before"] - time.time() <= least * 1.25
        assert not said(queue)["held"], "one task's trouble holds no other"
        wait_until_over(queue, "tired")
        wait_until(partial(has_been_called, queue, "tired", tries + 1), lambda: queue.story("tired"))
    queue.wait_for("tired", "done")
    went_on_in_its_session(queue, "tired", 3, "overloaded")


def test_when_several_are_refused_in_a_row_the_whole_queue_makes_a_short_pause(queue: World) -> None:
    refusal = refused(None, "server_error", "API Error: Connection refused")
    for name in ("far-a", "far-b", "far-c"):
        drop(queue, name, refusal)
    wait_until_held(queue, "overloaded or out of reach")
    assert 0 < said(queue)["held"]["until"] - time.time() <= 31, "it says for how long"
    drop(queue, "far-d", refusal)
    wait_until(lambda: waits(queue, "far-d"), lambda: queue.story("far-d"))
    assert calls(queue, "far-d") == []


def test_after_a_very_long_outage_a_person_is_asked(queue: World) -> None:
    drop(queue, "outage", OVERLOADED, OVERLOADED, GONE_ON)
    wait_until(lambda: "will be tried again" in waits(queue, "outage"), lambda: queue.story("outage"))
    long_ago = time.time() - 7205
    later = {"not_before": 1.0, "throttled_since": long_ago}
    change(queue.path("outage") / "record.json", lambda record: record | later)
    question = (queue.wait_for_question("outage") / "question.md").read_text()
    assert "could not serve this task for 2 h" in question
    assert "529 Overloaded" in question
    queue.answer("outage", "1\n")
    queue.wait_for("outage", "done")
    went_on_in_its_session(queue, "outage", 3)


# ---------------------------------------------------------------------------------------------- the account


def test_whatever_characters_the_api_refuses_with_the_queue_waits_and_says_why(queue: World) -> None:
    drop(queue, "garbled", refused(401, "authentication_failed", "Invalid \ud83d key \0"))
    wait_until_held(queue, "Invalid ")
    queue.wait_for("garbled", "pending")
    assert "\0" not in (queue.root / "STATUS.md").read_text()


def test_trouble_with_the_account_pauses_the_queue_and_one_task_finds_out_when_it_is_over(
    queue: World, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    drop(queue, "first", BAD_KEY, BAD_KEY, [{"wait_for": str(gate)}, *GONE_ON], task="retries: 1\n")
    wait_until_held(queue, "Invalid API key")
    queue.wait_for("first", "pending")
    status = status_of(queue)
    assert "Invalid API key" in status["held"]
    assert "next try" in status["held"]
    assert [row["name"] for row in status["pending"]] == ["first"]
    doctor = queue.run("doctor", str(queue.root))
    assert doctor.returncode == 1
    assert "BAD  account: " in doctor.stdout
    assert "log in with `claude`" in doctor.stdout
    drop(queue, "second", GONE_ON)
    wait_until(lambda: "Invalid API key" in waits(queue, "second"), lambda: queue.story("second"))

    # It looks again by itself, later each time.
    file = local(queue, "gate.json")
    assert file is not None
    assert 55 < json.loads(file.read_bytes())["until"] - time.time() <= 60
    wait_until_over(queue, "first")
    wait_until(lambda: json.loads(file.read_bytes())["tries"] == 2, lambda: queue.story("first"))
    assert 115 < json.loads(file.read_bytes())["until"] - time.time() <= 120
    wait_until(lambda: queue.where("first") == "pending", lambda: queue.story("first"))

    # One at a time, until one has gone well.
    wait_until_over(queue, "first")
    wait_until(lambda: waits(queue, "second") == "waiting for a free place (1 at a time)", lambda: queue.story("first"))
    gate.touch()
    queue.wait_for("first", "done")
    queue.wait_for("second", "done")
    assert not file.exists()
    went_on_in_its_session(queue, "first", 3, "account")
    assert queue.record("first")["retried"] == 0


def test_a_claude_that_has_gone_away_pauses_the_queue_until_it_is_back(queue: World) -> None:
    away = queue.claude.replace(queue.base / "away")
    drop(queue, "gone", GONE_ON)
    wait_until_held(queue, "was not found")
    assert queue.where("gone") in (None, "pending")
    away.replace(queue.claude)
    queue.wait_for("gone", "done")


def test_a_claude_without_what_it_needs_to_run_pauses_the_queue_and_fails_nothing(queue: World) -> None:
    away = queue.claude.replace(queue.base / "away")
    # What npm installs, on a machine whose node is gone.
    queue.claude.write_text("#!/bin/sh\nexec no-such-node cli.js\n")
    queue.claude.chmod(0o755)
    drop(queue, "helpless", GONE_ON)
    wait_until_held(queue, "cannot be run (exit code 127)")
    assert "no-such-node" in status_of(queue)["held"]
    queue.wait_for("helpless", "pending")
    away.replace(queue.claude)
    wait_until_over(queue, "helpless")
    queue.wait_for("helpless", "done")
    assert queue.record("helpless")["retried"] == 0
    assert queue.record("helpless")["runs"][0]["cost_usd"] == 0, "it never asked anybody"


def test_claude_is_told_to_give_up_soon_so_that_a_bad_key_shows(queue: World) -> None:
    drop(queue, "told", GONE_ON)
    queue.wait_for("told", "done")
    assert calls(queue, "told")[0]["env"]["CLAUDE_CODE_MAX_RETRIES"] == "1"


# ---------------------------------------------------------------------------------------------- failures and endings


def test_a_failure_is_tried_again_in_its_session_after_a_pause_and_then_is_final(queue: World) -> None:
    drop(queue, "bad", refused(400, "invalid_request", "API Error: 400 something is wrong"), task="retries: 1\n")
    wait_until(lambda: "will be tried again" in waits(queue, "bad"), lambda: queue.story("bad"))
    assert "something is wrong" in waits(queue, "bad")
    assert 25 < queue.record("bad")["not_before"] - time.time() <= 30 * 1.25
    wait_until_over(queue, "bad")
    failed = queue.wait_for("bad", "failed")
    went_on_in_its_session(queue, "bad", 2, "The run failed", "something is wrong", "try again")
    assert "something is wrong" in (failed / "error.md").read_text()


def test_a_process_that_stays_after_its_result_is_ended_and_the_result_counts(queue: World) -> None:
    drop(queue, "lingers", [{"say": "All done."}, {"linger": 60}])
    done = queue.wait_for("lingers", "done")
    assert json.loads((done / "result.json").read_bytes())["result"] == "All done."
    assert not alive(queue.record("lingers")["runs"][0]["process"]["pid"])


def test_a_timeout_counts_from_the_start_of_the_run_also_when_the_daemon_was_restarted(world: World) -> None:
    first = world.start()
    drop(world, "x", [{"sleep": 60}], task="timeout: 1h\n")
    world.wait_for("x", "running")
    pid = world.agent_pid("x")
    wait_until(world.calls, lambda: world.story("x"))
    first.kill()

    def an_hour_ago(record: Json) -> Json:
        record["runs"][0]["steady"] -= 3601
        return record

    change(world.path("x") / "record.json", an_hour_ago)
    second = world.start()
    failed = world.wait_for("x", "failed")
    assert json.loads((failed / "result.json").read_bytes())["verdict"] == "timed_out"
    assert "timeout (1 h)" in (failed / "error.md").read_text()
    assert not alive(pid)
    assert f"adopted: pid {pid}" in second.log


def test_a_run_in_which_the_model_was_never_asked_is_not_done(queue: World) -> None:
    drop(queue, "empty", [{"turns": 0}, {"cost": 0}])
    failed = queue.wait_for("empty", "failed")
    assert "without having asked the model" in (failed / "error.md").read_text()


# ---------------------------------------------------------------------------------------------- sessions


def forget(world: World, name: str) -> None:
    """As claude does after 30 days."""
    (world.state_dir / "sessions" / f"{calls(world, name)[0]['session_id']}.json").unlink()


def test_a_forgotten_session_in_which_work_was_done_is_begun_again_only_when_a_person_says_so(queue: World) -> None:
    drop(queue, "forgotten", [{"write_question": "Which?"}, {"cost": 2.0}])
    blocked = queue.wait_for("forgotten", "blocked")
    forget(queue, "forgotten")
    queue.teach("task forgotten!", [{"say": "All over again."}, {"cost": 1.5}])
    queue.answer("forgotten", "the first\n")

    def asked_again() -> bool:
        return any("no longer knows the session" in one.read_text() for one in blocked.glob("question.md"))

    wait_until(asked_again, lambda: queue.story("forgotten"))
    assert len(calls(queue, "forgotten")) == 2
    queue.answer("forgotten", "1\n")
    done = queue.wait_for("forgotten", "done")
    before, again = calls(queue, "forgotten")[0], calls(queue, "forgotten")[-1]
    assert not again["resume"]
    assert again["session_id"] != before["session_id"]
    assert json.loads((done / "result.json").read_bytes())["cost_usd"] == pytest.approx(3.5)


def test_a_session_that_never_came_to_be_is_started_without_asking_anybody(queue: World, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    drop(queue, "early", [{"no_session": True}, {"wait_for": str(gate)}, {"kill": "KILL"}])
    wait_until(lambda: calls(queue, "early"), lambda: queue.story("early"))
    queue.teach("task early!", GONE_ON)
    gate.touch()
    queue.wait_for("early", "done")
    assert [call["resume"] for call in calls(queue, "early")] == [False, True, False]
