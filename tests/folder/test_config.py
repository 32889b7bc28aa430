"""The settings file: what is wrong with it is said with its place and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbox_runner.core.errors import RefusedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.folder.config import load_settings


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "dropbox-runner" / "config.yaml"
    path.parent.mkdir()
    return path


def refusal(path: Path | None = None, overrides: dict[str, object] | None = None) -> str:
    with pytest.raises(RefusedError) as refused:
        load_settings(path, overrides)
    assert refused.value.exit_code == 78
    return str(refused.value)


def test_without_a_file_everything_has_its_default() -> None:
    assert load_settings() == Settings()


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n"])
def test_an_empty_file_is_no_mistake(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_settings() == Settings()


def test_a_whole_file(file: Path) -> None:
    file.write_text(
        "folder: ~/inbox\nmax_parallel: 3\nsettle: 2s\ntimeout: 1h30m\nretries: 2\nmodel: no\n"
        "allowed_args: [--fork-session]\npass_env:\n  - GH_TOKEN\n"
    )
    settings = load_settings()
    assert settings.max_parallel == 3
    assert settings.settle == 2.0
    assert settings.timeout == 5400.0
    assert settings.model == "no"
    assert settings.allowed_args == ("--fork-session",)
    assert settings.pass_env == ("GH_TOKEN",)


def test_the_command_line_is_laid_over_the_file_where_it_says_something(file: Path) -> None:
    file.write_text("max_parallel: 3\nsettle: 2s\n")
    settings = load_settings(overrides={"settle": 0.5, "max_parallel": None})
    assert (settings.settle, settings.max_parallel) == (0.5, 3)


def test_an_unknown_setting_is_shown_in_its_place_with_what_was_probably_meant(file: Path) -> None:
    file.write_text("settle: 2s\n\nmax_paralel: 2\n")
    said = refusal()
    assert f"{file}:3:1: unknown setting `max_paralel`" in said
    assert "max_paralel: 2\n    ^" in said
    assert "did you mean `max_parallel`?" in said


def test_an_unknown_setting_that_resembles_nothing_gets_the_list(file: Path) -> None:
    file.write_text("zzz: 1\n")
    assert "known settings: allowed_args, allowed_mcp_configs" in refusal()


def test_all_mistakes_are_said_at_once(file: Path) -> None:
    file.write_text("max_paralel: 2\nretries: -1\nsettle: soon\n")
    said = refusal()
    for line, field in ((1, "max_paralel"), (2, "retries"), (3, "settle")):
        assert f"{file}:{line}:" in said
        assert field in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("settle: 5\n", "no unit"),
        ("settle: soon\n", "`soon` is not a length of time"),
        ("max_parallel: 0\n", "greater than or equal to 1"),
        ("max_parallel: many\n", "max_parallel: "),
        ("permission_mode: everything\n", "bypassPermissions"),
        ("allowed_args: --x\n", "allowed_args: "),
        ("allowed_args: [--resume]\n", "`--resume` cannot be left to tasks"),
        ("allowed_args: [--dangerously-skip-permissions]\n", "cannot be left to tasks"),
        ("allowed_args: ['--add-dir=/']\n", "not the name of an option"),
        ("allowed_working_dirs: [code]\n", "`code` must begin with `/` or `~`"),
        ("max_permission_mode: plan\n", "it is less than `permission_mode: bypassPermissions`"),
        ("max_permission_mode: all\n", "max_permission_mode: "),
        ("max_subtasks: -1\n", "max_subtasks: "),
        ("- a\n- b\n", "config.yaml"),
        ("a: [\n", "config.yaml:"),
        ("settle: 1s\nsettle: 2s\n", "settle"),
        ("\x00", "config.yaml"),
    ],
)
def test_a_mistake_is_said_in_words_and_with_the_file(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    said = refusal()
    assert says in said
    assert str(file) in said
    assert "pydantic" not in said.lower()


def test_a_length_of_time_without_unit_is_told_how_to_write_it(file: Path) -> None:
    file.write_text("settle: 5\n")
    assert "5s" in refusal()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    assert refusal(tmp_path / "mine.yaml") == f"there is no settings file {tmp_path / 'mine.yaml'}"


def test_a_named_file_is_read_instead_of_the_usual_one(file: Path, tmp_path: Path) -> None:
    file.write_text("max_parallel: 3\n")
    (tmp_path / "mine.yaml").write_text("retries: 2\n")
    settings = load_settings(tmp_path / "mine.yaml")
    assert (settings.retries, settings.max_parallel) == (2, 1)


def test_a_folder_in_the_place_of_the_file_is_refused_in_one_line(file: Path) -> None:
    file.mkdir()
    said = refusal()
    assert "config.yaml" in said
    assert "\n" not in said


def test_a_bad_option_of_the_command_line_does_not_blame_the_file(file: Path) -> None:
    file.write_text("max_parallel: 3\n")
    said = refusal(overrides={"settle": -1.0})
    assert "settle" in said
    assert str(file) not in said


def test_a_link_in_its_place_is_refused_with_its_whole_name(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(RefusedError, match=f"{file} cannot be read: it is a symbolic link"):
        load_settings(file)


def test_one_value_where_a_list_belongs_is_told_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("allowed_working_dirs: ~/code\n")
    with pytest.raises(RefusedError, match=r"must be a list\n.*\n.*\n.*allowed_working_dirs: \[one, another\]"):
        load_settings(file)


@pytest.mark.parametrize("above", [1, 2])
def test_a_file_that_others_could_replace_or_take_away_is_refused_with_the_mend(file: Path, above: int) -> None:
    file.write_text("max_parallel: 2\n")
    folder = file.parents[above - 1]
    folder.chmod(0o777)
    with pytest.raises(RefusedError, match=f"everybody may write into {folder}, .* Mend it with: chmod o-w {folder}$"):
        load_settings(file)
    folder.chmod(0o755)
    assert load_settings(file).max_parallel == 2
