"""Settings: what the person who owns the machine allows. They live outside the folder on purpose.

The folder may ask; only the settings may allow.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from dropbox_runner.core.durations import format_duration, parse_duration
from dropbox_runner.core.taskfields import PermissionMode
from dropbox_runner.core.wrapping import check_launcher

_THE_RUNNERS_OWN = (
    *("-p", "--print", "-r", "--resume", "-c", "--continue", "--session-id", "--no-session-persistence", "--bg"),
    *("--input-format", "--output-format", "--max-budget-usd", "--permission-mode"),
    *("--dangerously-skip-permissions", "--allow-dangerously-skip-permissions"),
)
"""Options of claude on which a run, its session or its limits stand; other fields and settings are there for them."""

Seconds = Annotated[
    float,
    Field(allow_inf_nan=False),
    BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value),
]
"""A duration as people write it (`90s`, `2h`), or a number of seconds when it comes from the command line."""

Directory = Annotated[str, Field(pattern=r"^[/~]")]
"""A path from the root or from the home: a daemon has no working directory that anybody means."""


def _checked(launcher: tuple[str, ...]) -> tuple[str, ...]:
    check_launcher(launcher)
    return launcher


def is_the_runners_own(option: str) -> bool:
    """Say whether this option of claude cannot be left to a task; `-rID` is `-r` with its value."""
    return (option if option.startswith("--") else option[:2]) in _THE_RUNNERS_OWN


def _option(text: str) -> str:
    if not re.fullmatch(r"--?[A-Za-z][\w-]*", text, re.ASCII):
        raise ValueError(f"`{text}` is not the name of an option; write it like `--name`, without a value")
    if is_the_runners_own(text):
        raise ValueError(f"`{text}` cannot be left to tasks: the runner itself decides it for each run")
    return text


def _place(text: str) -> str:
    if not text.startswith(("/", "~")):
        raise ValueError(f"`{text}` must begin with `/` or `~`")
    return text


class Settings(BaseModel):
    """config.yaml together with what the command line overrides. Every field has a safe default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str | None = None
    """The folder that commands without a DIR mean."""
    claude: str = "claude"
    """The claude command: a name to be looked up or a path."""
    max_parallel: int = Field(default=1, ge=1, le=64)
    """How many agents may work at the same time."""
    settle: Seconds = Field(default=5.0, ge=0)
    """How long a task file that was written in place must have been quiet."""
    answer_settle: Seconds = Field(default=20.0, ge=0)
    """The same for an answer: people think between two saves."""
    poll: Seconds = Field(default=30.0, gt=0)
    """How often the folders are looked at when nothing has rung; a lost event costs at most this."""
    stop_grace: Seconds = Field(default=10.0, ge=0)
    """Between SIGTERM and SIGKILL."""
    timeout: Seconds | None = Field(default=None, gt=0)
    """Wall clock for one run of a task that names none; nothing: no limit."""
    retries: int = Field(default=0, ge=0, le=10)
    """Automatic retries after a failure, for a task that names none."""
    max_cut_off: int = Field(default=3, ge=0, le=100)
    """How often in a row a run that was cut off is resumed before a person is asked."""
    permission_mode: PermissionMode = PermissionMode.BYPASS_PERMISSIONS
    """For a task that names none. The default lets claude work unattended."""
    max_permission_mode: PermissionMode | None = None
    """The most that a task may ask for; nothing: no more than `permission_mode`."""
    model: str | None = None
    on_denial: Literal["ask", "fail", "ignore"] = "ask"
    """When a run ends well, but claude was not allowed something on the way."""
    outage_patience: Seconds = Field(default=12 * 3600.0, gt=0)
    """How long a task is tried again while the API cannot serve it, before a person is asked."""
    daily_budget_usd: float | None = Field(default=None, gt=0)
    """When so much has been spent since midnight, nothing is started until the next."""
    max_starts_per_hour: int | None = Field(default=None, gt=0)
    """How many runs are started within any hour."""
    linger_grace: Seconds = Field(default=60.0, gt=0)
    """How long claude may stay alive after its result, with nothing more in its log, before it is ended."""
    api_retries: int = Field(default=4, ge=0, le=15)
    """How often claude itself repeats a request that the API refused (15 is its own ceiling)."""
    allowed_working_dirs: tuple[Annotated[str, AfterValidator(_place)], ...] | None = None
    """Where, and below which, a task may name its `working_dir` and `context_files`; nothing: anywhere."""
    allowed_args: tuple[Annotated[str, AfterValidator(_option)], ...] = ()
    """Options of claude that a task may ask for with `additional_args`, such as `--fork-session`."""
    allowed_tools: tuple[str, ...] = ()
    """Rules that a task may ask for although it may not bypass permissions; word for word."""
    allowed_mcp_configs: tuple[str, ...] = ()
    """The same for `mcp_config`: whatever that names is started without any permission."""
    max_subtasks: int = Field(default=20, ge=0, le=1000)
    """How many tasks one task may hand over."""
    max_subtask_depth: int = Field(default=2, ge=0, le=10)
    """How deep they may be handed on; 1: a sub-task hands nothing over."""
    min_free_mb: int = Field(default=100, ge=0)
    """Megabytes that must be free on the folder's disk before a run is started."""
    trusted_group: str | None = None
    """A group whose members may write into the folder as well: every task that they drop runs as this user."""
    project_settings: Literal["ignore", "use"] = "ignore"
    """What becomes of the settings, hooks and MCP servers that a working directory brings along in `.claude/`."""
    sandbox: Literal["none", "bubblewrap"] = "none"
    """Whether claude works in a sandbox: most of the home out of sight, the system not to be changed."""
    sandbox_read: tuple[Directory, ...] = ()
    """What agents see in the sandbox besides, without being able to change it."""
    sandbox_write: tuple[Directory, ...] = ()
    """What they may change there besides."""
    launcher: Annotated[tuple[str, ...], AfterValidator(_checked)] = ()
    """A command that starts claude for us: it gets claude's command line as its last arguments."""
    pass_env: tuple[str, ...] = ()
    """Names of further environment variables that agents get; a trailing `*` is a wildcard."""

    @field_validator("max_permission_mode")
    @classmethod
    def _not_below_the_usual(cls, most: PermissionMode | None, info: ValidationInfo) -> PermissionMode | None:
        usual = info.data.get("permission_mode")
        if most is not None and isinstance(usual, PermissionMode) and usual.rank > most.rank:
            raise ValueError(f"it is less than `permission_mode: {usual}`, which tasks get that name none")
        return most

    @property
    def ceiling(self) -> PermissionMode:
        """The most that a task may be allowed to do without asking."""
        return self.max_permission_mode or self.permission_mode


def changes(before: Settings, after: Settings) -> tuple[str, ...]:
    """Say which settings differ: `max_parallel 1 → 2`."""
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in Settings.model_fields]
    return tuple(f"{name} {_shown(name, old)} → {_shown(name, new)}" for name, old, new in pairs if old != new)


def _shown(name: str, value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, float) and not name.endswith("_usd"):
        return format_duration(value)  # whatever else is no whole number is a time
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
