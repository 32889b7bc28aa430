"""The command line for one run of claude.

Every option is one argument, `--opt=value`: a value can then never become an option of its own, and the options that
take several values cannot swallow what follows. The prompt is not here at all; it goes through stdin.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from dropbox_runner.core.prompts import OUTLIVING_TOOLS, PREAMBLE, SAFE_ASK_RULE
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task


@dataclass(frozen=True)
class Session:
    """Which conversation a run belongs to."""

    id: str
    resume: bool
    """Whether it exists already. The CLI refuses to start one twice, and forgets everything if not told to resume."""

    @property
    def option(self) -> str:
        """The argument that names it. No other process has the same."""
        return f"--{'resume' if self.resume else 'session-id'}={self.id}"


@dataclass(frozen=True)
class Granted:
    """What a run gets beyond what its task file says."""

    directories: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """Permissions that a person has granted in an answer."""
    budget_usd: float | None = None
    """What is left of the task's budget."""


def command_line(claude: str, task: Task, settings: Settings, session: Session, granted: Granted) -> list[str]:
    """Return the arguments for one run.

    Everything but the model and the system prompt must be passed again on resume: claude does not keep it.
    """
    whole = [rule for rule in granted.rules if _splits(rule)]
    allowed = (*task.allowed_tools, *(rule for rule in granted.rules if rule not in whole), SAFE_ASK_RULE)
    denied = (*task.disallowed_tools, *OUTLIVING_TOOLS)
    options: list[tuple[str, str | None]] = [
        ("output-format", "stream-json"),
        ("permission-mode", task.permission_mode or settings.permission_mode),
        ("model", task.model or settings.model),
        ("effort", task.effort),
        ("fallback-model", task.fallback_model),
        ("max-budget-usd", f"{granted.budget_usd:.6g}" if granted.budget_usd is not None else None),
        # Else the hooks of a cloned repository run unasked, and its `env` can send the account's key elsewhere. The
        # user's own settings and MCP servers stay: `--strict-mcp-config` would switch those off as well.
        ("setting-sources", "user" if settings.project_settings == "ignore" else None),
        *(("add-dir", path) for path in granted.directories),
        *(("allowedTools", rule) for rule in allowed),
        *(("disallowedTools", rule) for rule in denied),
        ("settings", json.dumps({"permissions": {"allow": whole}}) if whole else None),
        *(("mcp-config", config) for config in task.mcp_config),
        # Recorded by claude with the first request; on resume it would be ignored without a word.
        ("append-system-prompt", None if session.resume else _system_prompt(task)),
    ]
    given = [f"--{name}={value}" for name, value in options if value is not None]
    return [claude, "-p", "--verbose", session.option, *given, *task.additional_args]


def _splits(rule: str) -> bool:
    """Say whether claude would read several rules out of one value of `--allowedTools`.

    It cuts at blanks and commas behind any closing bracket, so that `Bash(echo $(true), Bash, (x))` would allow every
    command (measured on claude 2.1.330). A list in `--settings` is taken as it is.
    """
    inside = False
    for char in rule:
        if not inside and (char == "," or char.isspace()):
            return True
        inside = (inside or char == "(") and char != ")"
    return False


def _system_prompt(task: Task) -> str | None:
    parts = [PREAMBLE if not task.skip_planning else "", task.system_prompt_append or ""]
    return "\n\n".join(part for part in parts if part) or None
