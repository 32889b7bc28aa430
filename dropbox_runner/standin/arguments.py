"""The part of claude's command line that the stand-in understands, and what claude says to the parts that are wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FLAGS = {"-p": "print", "--print": "print", "--verbose": "verbose", "-v": "version", "--version": "version"}

_TAKES_VALUE = frozenset(
    {
        "add-dir",
        "agent",
        "agents",
        "allowedTools",
        "allowed-tools",
        "append-system-prompt",
        "betas",
        "disallowedTools",
        "disallowed-tools",
        "effort",
        "fallback-model",
        "input-format",
        "json-schema",
        "max-budget-usd",
        "max-turns",
        "mcp-config",
        "model",
        "name",
        "output-format",
        "permission-mode",
        "permission-prompt-tool",
        "permission-prompts",
        "resume",
        "session-id",
        "setting-sources",
        "settings",
        "system-prompt",
        "tools",
    }
)
"""Options whose value may also be the next argument. Of any other only `--opt=value` can be told from a prompt."""

_MODES = ("acceptEdits", "auto", "bypassPermissions", "manual", "dontAsk", "plan")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_OURS = ("stand-in-scenario", "stand-in-state")


class Refusal(Exception):  # noqa: N818 - it is what claude does, not what went wrong in here
    """Claude does not even start: a line on stderr, exit 1, and nothing on stdout but what is given here."""

    def __init__(self, message: str, *, stdout: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.stdout = stdout


class Arguments(NamedTuple):
    """One command line, taken apart."""

    argv: tuple[str, ...]
    """As claude would have got it: without our own two options."""
    flags: frozenset[str]
    options: dict[str, str]
    """The last value of each option, without its dashes. Everything that was given is in argv."""
    prompt: str
    """What stood on the command line itself; more may come through stdin."""
    scenario: Path | None
    state: Path | None

    @property
    def resume(self) -> str | None:
        """The session to be continued."""
        return self.options.get("resume")

    @property
    def session_id(self) -> str | None:
        """The session to be made."""
        return self.options.get("session-id")

    @property
    def permission_mode(self) -> str:
        """As the init line names it."""
        mode = self.options.get("permission-mode", "default")
        return "default" if mode == "manual" else mode


def parse(argv: list[str]) -> Arguments:
    """Take a command line apart; what is unknown is kept, nothing is refused yet."""
    flags: set[str] = set()
    options: dict[str, str] = {}
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "--":
            words += rest
            break
        if word in _FLAGS:
            flags.add(_FLAGS[word])
        elif not word.startswith("--"):
            words.append(word)
        elif equals:
            options[name] = value
        elif name in _TAKES_VALUE and rest:
            options[name] = rest.pop(0)
        else:
            options[name] = ""
    scenario, state = (Path(options[name]) if options.get(name) else None for name in _OURS)
    return Arguments(
        argv=tuple(word for word in argv if not word.startswith(tuple(f"--{name}=" for name in _OURS))),
        flags=frozenset(flags),
        options={name: value for name, value in options.items() if name not in _OURS},
        prompt=" ".join(words),
        scenario=scenario,
        state=state,
    )


def check(arguments: Arguments) -> None:
    """Refuse what claude refuses before it looks at prompt and session, in its words."""
    mode = arguments.options.get("permission-mode", "default")
    if mode not in (*_MODES, "default"):
        allowed = f"Allowed choices are {', '.join(_MODES)}."
        raise Refusal(f"error: option '--permission-mode <mode>' argument '{mode}' is invalid. {allowed}")
    if "print" not in arguments.flags or arguments.options.get("output-format") != "stream-json":
        raise Refusal("Error: The stand-in is not Claude: it only knows --print --output-format=stream-json --verbose")
    if "verbose" not in arguments.flags:
        raise Refusal("Error: When using --print, --output-format=stream-json requires --verbose")
    if arguments.session_id is not None and arguments.resume is not None:
        raise Refusal("Error: --session-id with --continue or --resume also needs --fork-session.")
    if arguments.session_id is not None and not is_uuid(arguments.session_id):
        raise Refusal("Error: Invalid session ID. Must be a valid UUID.")


def is_uuid(text: str) -> bool:
    """Whether a session could have this id; with that it is also fit to be a file's name."""
    return _UUID.fullmatch(text.lower()) is not None
