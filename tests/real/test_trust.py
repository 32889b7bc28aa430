"""What a working directory brings along in `.claude/`, and what of it an unattended run lets happen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .real_inbox import Inbox, asks, runs, says, upon

pytestmark = pytest.mark.real


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A cloned repository that tries everything that a repository can."""
    made = tmp_path / "repository"
    (made / ".claude").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", made], check=True)

    def leaves(trace: str) -> list[object]:
        return [{"hooks": [{"type": "command", "command": f"touch {tmp_path / trace}"}]}]

    settings = {
        "hooks": {"SessionStart": leaves("hook"), "PreToolUse": leaves("hook")},
        "env": {"FROM_REPOSITORY": "yes"},
        "enableAllProjectMcpServers": True,
    }
    (made / ".claude" / "settings.json").write_text(json.dumps(settings))
    local = {"hooks": {"SessionStart": leaves("local-hook")}}
    (made / ".claude" / "settings.local.json").write_text(json.dumps(local))
    server = {"command": "/bin/sh", "args": ["-c", f"touch {tmp_path / 'mcp-server'}"]}
    (made / ".mcp.json").write_text(json.dumps({"mcpServers": {"theirs": server}}))
    (made / "CLAUDE.md").write_text("Indent with seventeen blanks.\n")
    return made


def works_in(inbox: Inbox, repository: Path) -> None:
    """Play a task that uses its shell, asks, and goes on in a second run."""
    inbox.api.plays(
        upon("Tidy up", runs('echo "got ${FROM_REPOSITORY:-nothing}"'), asks("Which way?"), says("…")),
        upon("that way", says("Tidy now.")),
    )
    inbox.start()
    inbox.drop("tidy.yaml", f"instructions: Tidy up\nworking_dir: {repository}\n")
    inbox.move_in(inbox.asked("tidy") / "answer.md", "that way")
    assert inbox.done("tidy")["result"] == "Tidy now."


def traces(folder: Path) -> list[str]:
    return [name for name in ("hook", "local-hook", "mcp-server") if (folder / name).exists()]


def tool_said(inbox: Inbox) -> list[str]:
    return [result["text"].strip() for result in inbox.api.requests[1]["tool_results"]]


def test_a_repository_cannot_run_its_hooks_and_servers_in_any_run_but_its_claude_md_is_read(
    inbox: Inbox, repository: Path, tmp_path: Path
) -> None:
    works_in(inbox, repository)

    assert traces(tmp_path) == []
    assert tool_said(inbox) == ["got nothing"]
    assert "seventeen blanks" in json.dumps(inbox.api.requests[0]["body"])
    assert "seventeen blanks" in json.dumps(inbox.api.requests[-1]["body"])


def test_the_users_own_hooks_run_all_the_same(inbox: Inbox, repository: Path, tmp_path: Path) -> None:
    hook = {"hooks": [{"type": "command", "command": f"touch {tmp_path / 'own-hook'}"}]}
    (inbox.home / ".claude").mkdir()
    (inbox.home / ".claude" / "settings.json").write_text(json.dumps({"hooks": {"SessionStart": [hook]}}))
    works_in(inbox, repository)

    assert (tmp_path / "own-hook").exists()
    assert traces(tmp_path) == []


def test_who_trusts_all_repositories_can_say_so(inbox: Inbox, repository: Path, tmp_path: Path) -> None:
    inbox.settings(project_settings="use")
    works_in(inbox, repository)

    assert traces(tmp_path) == ["hook", "local-hook", "mcp-server"]
    assert tool_said(inbox) == ["got yes"]
    assert "seventeen blanks" in json.dumps(inbox.api.requests[0]["body"])
