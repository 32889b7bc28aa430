"""Settings: what they are when nobody says anything, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dropbox_runner.core.settings import Settings


def test_the_defaults_are_those_of_the_design() -> None:
    settings = Settings()
    assert settings.settle == 5.0
    assert settings.answer_settle == 20.0
    assert settings.max_parallel == 1
    assert settings.retries == 0
    assert settings.max_cut_off == 3
    assert settings.permission_mode == "bypassPermissions"
    assert settings.timeout is None
    assert settings.allowed_args == (), "a task may ask for nothing that nobody has allowed"
    assert settings.allowed_working_dirs is None, "a task may work wherever its user may"
    assert settings.ceiling == "bypassPermissions"
    assert settings.pass_env == ()


@pytest.mark.parametrize(
    ("given", "ceiling"),
    [
        ({"permission_mode": "acceptEdits"}, "acceptEdits"),
        ({"permission_mode": "plan", "max_permission_mode": "auto"}, "auto"),
        ({"permission_mode": "manual", "max_permission_mode": "dontAsk"}, "dontAsk"),
    ],
)
def test_who_lowers_the_usual_mode_lowers_what_tasks_may_ask_for(given: dict[str, str], ceiling: str) -> None:
    assert Settings.model_validate(given).ceiling == ceiling


@pytest.mark.parametrize(
    ("field", "written", "seconds"),
    [
        ("settle", "90s", 90.0),
        ("settle", "500 s", 500.0),
        ("answer_settle", "2m", 120.0),
        ("timeout", "2h", 7200.0),
        ("poll", 0.2, 0.2),
        ("stop_grace", 0, 0.0),
    ],
)
def test_durations_are_written_as_people_do(field: str, written: object, seconds: float) -> None:
    assert getattr(Settings.model_validate({field: written}), field) == seconds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("settle", "5"),
        ("settle", "soon"),
        ("settle", -1),
        ("poll", 0),
        ("timeout", 0),
        ("max_parallel", 0),
        ("max_parallel", 65),
        ("max_parallel", "many"),
        ("retries", -1),
        ("retries", 11),
        ("permission_mode", "everything"),
        ("max_paralel", 2),
        ("allowed_args", "--x"),
        ("api_retries", 16),
    ],
)
def test_what_nobody_can_mean_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({field: value})


@pytest.mark.parametrize("endless", [float("inf"), float("nan")])
def test_a_daemon_that_never_looks_is_refused(endless: float) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"poll": endless})


def test_a_whole_file() -> None:
    settings = Settings.model_validate(
        {"folder": "~/inbox", "allowed_args": ["--fork-session"], "pass_env": ["GH_*"], "model": "opus"}
    )
    assert settings.folder == "~/inbox"
    assert settings.allowed_args == ("--fork-session",)


def test_settings_do_not_change_under_way() -> None:
    with pytest.raises(ValidationError):
        Settings().max_parallel = 2  # type: ignore[misc]
