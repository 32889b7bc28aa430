"""From a task to claude's arguments: everything as one argument, and everything again on resume."""

from __future__ import annotations

import pytest

from dropbox_runner.agent.command import Granted, Session, command_line
from dropbox_runner.core.prompts import OUTLIVING_TOOLS, PREAMBLE, SAFE_ASK_RULE
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.task import Task

SID = "b5865b94-4c16-441c-b74d-40f54c3f532c"
FIRST, LATER = Session(SID, resume=False), Session(SID, resume=True)


def arguments(
    session: Session = FIRST,
    settings: Settings | None = None,
    dirs: tuple[str, ...] = (),
    fields: dict[str, object] | None = None,
) -> list[str]:
    task = Task.model_validate({"instructions": "do it"} | (fields or {}))
    return command_line("/opt/claude", task, settings or Settings(), session, Granted(dirs, (), task.max_budget_usd))


USUAL = [
    "/opt/claude",
    "-p",
    "--verbose",
    f"--session-id={SID}",
    "--output-format=stream-json",
    "--permission-mode=bypassPermissions",
    "--setting-sources=user",
    f"--allowedTools={SAFE_ASK_RULE}",
    *(f"--disallowedTools={tool}" for tool in OUTLIVING_TOOLS),
    f"--append-system-prompt={PREAMBLE}",
]


def test_a_task_with_nothing_but_instructions() -> None:
    assert arguments() == USUAL


@pytest.mark.parametrize(
    ("fields", "added"),
    [
        ({"model": "opus"}, ["--model=opus"]),
        ({"effort": "high"}, ["--effort=high"]),
        ({"fallback_model": "haiku"}, ["--fallback-model=haiku"]),
        ({"max_budget_usd": 0.5}, ["--max-budget-usd=0.5"]),
        ({"max_budget_usd": 20}, ["--max-budget-usd=20"]),
        ({"allowed_tools": ["Bash(git *)", "Read"]}, ["--allowedTools=Bash(git *)", "--allowedTools=Read"]),
        ({"disallowed_tools": ["WebFetch"]}, ["--disallowedTools=WebFetch"]),
        ({"mcp_config": ["/a.json", "/b.json"]}, ["--mcp-config=/a.json", "--mcp-config=/b.json"]),
        ({"additional_args": ["--fork-session"]}, ["--fork-session"]),
        # None of these is claude's business.
        ({"name": "n", "description": "d", "tags": ["t"], "priority": "high", "timeout": "2h", "retries": 3}, []),
        ({"depends_on": ["x"], "not_before": "2026-01-01", "notify": ["done"], "verify": ["make"]}, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_field_adds(fields: dict[str, object], added: list[str]) -> None:
    given = arguments(fields=fields)
    assert [one for one in given if one not in USUAL] == added
    assert [one for one in USUAL if one not in given] == []


@pytest.mark.parametrize(
    ("fields", "settings", "expected"),
    [
        ({}, {"permission_mode": "acceptEdits"}, "--permission-mode=acceptEdits"),
        ({"permission_mode": "plan"}, {"permission_mode": "acceptEdits"}, "--permission-mode=plan"),
        ({}, {"model": "haiku"}, "--model=haiku"),
        ({"model": "opus"}, {"model": "haiku"}, "--model=opus"),
        ({"system_prompt_append": "Be brief."}, {}, f"--append-system-prompt={PREAMBLE}\n\nBe brief."),
        ({"system_prompt_append": "Be brief.", "skip_planning": True}, {}, "--append-system-prompt=Be brief."),
    ],
    ids=str,
)
def test_the_task_outranks_the_settings(fields: dict[str, object], settings: dict[str, object], expected: str) -> None:
    given = arguments(settings=Settings.model_validate(settings), fields=fields)
    option = expected.partition("=")[0] + "="
    assert [one for one in given if one.startswith(option)] == [expected]


def test_without_preamble_and_words_of_its_own_there_is_no_system_prompt() -> None:
    assert not [one for one in arguments(fields={"skip_planning": True}) if one.startswith("--append-system-prompt")]


def test_directories_are_named() -> None:
    given = arguments(dirs=("/a b", "/c"))
    assert [one for one in given if one.startswith("--add-dir")] == ["--add-dir=/a b", "--add-dir=/c"]


@pytest.mark.parametrize("session", [FIRST, LATER])
def test_what_a_working_directory_brings_along_is_ignored_unless_the_settings_say_otherwise(session: Session) -> None:
    trusting = Settings(project_settings="use")
    assert "--setting-sources=user" in arguments(session)
    assert not [one for one in arguments(session, trusting) if one.startswith("--setting-sources")]


EVERYTHING: dict[str, object] = {
    "model": "opus",
    "effort": "high",
    "fallback_model": "haiku",
    "max_budget_usd": 1,
    "permission_mode": "plan",
    "allowed_tools": ["Bash(git *)"],
    "disallowed_tools": ["WebFetch"],
    "mcp_config": ["/a.json"],
    "system_prompt_append": "Be brief.\n--model=evil",
    "additional_args": ["--fork-session"],
}


def test_a_later_run_is_told_everything_again_but_resumes() -> None:
    first = arguments(FIRST, dirs=("/a",), fields=EVERYTHING)
    later = arguments(LATER, dirs=("/a",), fields=EVERYTHING)
    assert f"--session-id={SID}" in first
    assert f"--resume={SID}" in later
    # The system prompt is recorded with the first request; claude would ignore it now.
    only_first = [one for one in first if one not in later and not one.startswith("--append-system-prompt=")]
    assert only_first == [f"--session-id={SID}"]
    assert [one for one in later if one not in first] == [f"--resume={SID}"]


@pytest.mark.parametrize("session", [FIRST, LATER])
def test_never_both_ways_to_name_a_session(session: Session) -> None:
    given = arguments(session, fields=EVERYTHING)
    assert len([one for one in given if one.startswith(("--session-id", "--resume", "-r", "-c", "--continue"))]) == 1


def test_every_option_is_one_argument_with_its_value_inside() -> None:
    given = arguments(dirs=("/a",), fields=EVERYTHING)
    assert given[:3] == ["/opt/claude", "-p", "--verbose"]
    assert all(one.startswith("--") and "=" in one for one in given[3:-1])


@pytest.mark.parametrize("value", ["--dangerously-skip-permissions", "-c", "--resume=x", "a b", "x;y", "$(reboot)"])
def test_a_value_can_never_become_an_option(value: str) -> None:
    given = arguments(fields={"system_prompt_append": value, "skip_planning": True})
    assert value not in given
    assert f"--append-system-prompt={value}" in given


def test_the_prompt_is_not_on_the_command_line() -> None:
    assert not [one for one in arguments() if "do it" in one]
