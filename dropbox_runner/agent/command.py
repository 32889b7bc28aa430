"""The command line for one run of claude.

Every option is one argument, `--opt=value`: a value can then never become an option of its own, and the options that
take several values cannot swallow what follows. The prompt is not here at all; it goes through stdin.
"""

from __future__ import annotations

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


def command_line(claude: str, task: Task, settings: Settings, session: Session, add_dirs: tuple[str, ...]) -> list[str]:
    """Return the arguments for one run.

    Everything but the model and the system prompt must be passed again on resume: claude does not keep it.
    """
    allowed = (*task.allowed_tools, SAFE_ASK_RULE)
    denied = (*task.disallowed_tools, *OUTLIVING_TOOLS)
    options: list[tuple[str, str | None]] = [
        ("output-format", "stream-json"),
        ("resume" if session.resume else "session-id", session.id),
        ("permission-mode", task.permission_mode or settings.permission_mode),
        ("model", task.model or settings.model),
        ("effort", task.effort),
        ("fallback-model", task.fallback_model),
        ("max-budget-usd", f"{task.max_budget_usd:g}" if task.max_budget_usd is not None else None),
        *(("add-dir", path) for path in add_dirs),
        *(("allowedTools", rule) for rule in allowed),
        *(("disallowedTools", rule) for rule in denied),
        *(("mcp-config", config) for config in task.mcp_config),
        ("append-system-prompt", _system_prompt(task)),
    ]
    given = [f"--{name}={value}" for name, value in options if value is not None]
    return [claude, "-p", "--verbose", *given, *task.additional_args]


def _system_prompt(task: Task) -> str | None:
    parts = [PREAMBLE if not task.skip_planning else "", task.system_prompt_append or ""]
    return "\n\n".join(part for part in parts if part) or None
