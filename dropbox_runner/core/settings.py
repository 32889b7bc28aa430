"""Settings: what the person who owns the machine allows. They live outside the folder on purpose.

The folder may ask; only the settings may allow.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dropbox_runner.core.durations import format_duration, parse_duration

PermissionMode = Literal["default", "manual", "acceptEdits", "plan", "dontAsk", "bypassPermissions", "auto"]

Seconds = Annotated[
    float,
    Field(allow_inf_nan=False),
    BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value),
]
"""A duration as people write it (`90s`, `2h`), or a number of seconds when it comes from the command line."""


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
    permission_mode: PermissionMode = "bypassPermissions"
    """For a task that names none. The default lets claude work unattended."""
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
    min_free_mb: int = Field(default=100, ge=0)
    """Megabytes that must be free on the folder's disk before a run is started."""
    allowed_args: tuple[str, ...] = ()
    """Options of claude that a task may ask for with `additional_args`, such as `--fork-session`."""
    trusted_group: str | None = None
    """A group whose members may write into the folder as well: every task that they drop runs as this user."""
    pass_env: tuple[str, ...] = ()
    """Names of further environment variables that agents get; a trailing `*` is a wildcard."""


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
