"""The real claude in the sandbox: it works, asks, goes on in its session, and sees nothing of the home."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from .real_inbox import Inbox, asks, read_json, runs, says, upon, waits_for

pytestmark = pytest.mark.real


@pytest.fixture
def confined(inbox: Inbox, tmp_path: Path) -> Inbox:
    """An inbox whose agents work in the sandbox."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    inbox.settings(sandbox="bubblewrap", sandbox_read=[str(tmp_path / "gate")])
    (tmp_path / "gate").mkdir()
    return inbox


@pytest.mark.parametrize("mode", ["bypassPermissions", "dontAsk"])
def test_it_asks_and_goes_on_in_its_session_with_the_answer(confined: Inbox, mode: str) -> None:
    (confined.home / "secret").write_text("SECRET")
    # As a user has it who has used claude before: this file it replaces by renaming.
    (confined.home / ".claude.json").write_text(json.dumps({"numStartups": 7}))
    confined.api.plays(
        upon("Set up storage", asks("Which database?", "postgres"), says("…")),
        upon("postgres", runs("pwd; cat ~/secret"), says("Set up: {{tool_result}}")),
    )
    confined.start()
    confined.drop("shop.yaml", f"instructions: Set up storage\npermission_mode: {mode}\n")
    blocked = confined.asked("shop")
    assert read_json(blocked / "question.json")["text"] == "Which database?"
    confined.move_in(blocked / "answer.md", "1\n")
    confined.arrives("shop", "done" if mode == "bypassPermissions" else "blocked")

    assert len(confined.api.sessions) == 1
    assert "assistant" in confined.api.requests[-1]["roles"], "the conversation so far goes with it"
    assert "SECRET" not in json.dumps(confined.api.requests[-1]["body"])
    assert read_json(confined.home / ".claude.json") == {"numStartups": 7}
    assert list((confined.home / ".claude" / "projects").rglob("*.jsonl"))
    assert confined.marked() == []


def test_it_ends_orderly_when_told_to_and_goes_on_in_its_session(confined: Inbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate" / "open"
    confined.api.plays(
        upon("Set up storage", waits_for(gate), says("(nobody opened the gate)")),
        upon("was stopped", runs("touch finished; ls"), says("Finished: {{tool_result}}")),
    )
    confined.start()
    confined.drop("shop.yaml", "instructions: Set up storage\n")
    confined.claude_at_work(gate)
    assert confined.stop(signal.SIGTERM) == 0
    assert confined.marked() == []
    assert read_json(confined.root / "pending" / "shop" / "record.json")["runs"][0]["exit_code"] == 143
    confined.start()
    result = confined.done("shop")

    assert (result["verdict"], result["result"], result["runs"]) == ("succeeded", "Finished: finished", 2)
    assert len(confined.api.sessions) == 1


def test_it_goes_on_without_its_daemon_and_the_next_one_takes_it_over(confined: Inbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate" / "open"
    confined.api.plays(upon("Set up storage", waits_for(gate), says("Ready.")))
    confined.start()
    confined.drop("shop.yaml", "instructions: Set up storage\n")
    confined.claude_at_work(gate)
    confined.stop(signal.SIGKILL)
    confined.start()
    confined.wait("the daemon to adopt the run", lambda: "adopted" in confined.log)
    gate.touch()
    result = confined.done("shop")

    assert (result["verdict"], result["result"], result["runs"]) == ("succeeded", "Ready.", 1)
