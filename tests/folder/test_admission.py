"""What a task asks for, held against settings and disk: refused with its line and the setting that would help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.settings import Settings
from dropbox_runner.folder.admission import admitted, is_within

TIGHT = {"permission_mode": "acceptEdits"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a folder `code` in it, and a folder `other` beside it."""
    home = tmp_path / "home"
    (home / "code" / "shop").mkdir(parents=True)
    (home / "notes.md").touch()
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def refusal(text: str, **settings: object) -> str:
    with pytest.raises(RejectedError) as caught:
        admitted(
            "t.yaml",
            f"instructions: x\n{text}\n".encode(),
            Settings.model_validate({"allowed_working_dirs": ["~"]} | settings),
        )
    return str(caught.value)


def allowed(text: str, **settings: object) -> None:
    admitted(
        "t.yaml",
        f"instructions: x\n{text}\n".encode(),
        Settings.model_validate({"allowed_working_dirs": ["~"]} | settings),
    )


# ---------------------------------------------------------------------------------------------- where


@pytest.mark.parametrize("path", ["~", "~/code", "~/code/shop/..", "{home}/code", "{home}//code/./shop/"])
def test_where_the_home_is_allowed_a_task_may_work_in_it(home: Path, path: str) -> None:
    allowed(f"working_dir: {path.format(home=home)}")


@pytest.mark.parametrize(
    "path", ["/", "/etc", "{home}/..", "{home}/../other", "~/../other", "{home}-2", "/proc/self/cwd"]
)
def test_a_task_may_not_work_elsewhere_where_the_settings_name_folders(home: Path, path: str) -> None:
    path = path.format(home=home)
    said = refusal(f"working_dir: {path}")
    assert said.startswith("t.yaml:2:14: `working_dir` may not name ")
    assert f"    working_dir: {path}\n" in said
    assert "`allowed_working_dirs` of the settings (~)" in said
    assert "may not name" not in said or "there is no" not in said, "what is elsewhere is not told"


def test_a_link_counts_as_what_it_leads_to(home: Path, tmp_path: Path) -> None:
    (home / "link").symlink_to(tmp_path / "other")
    assert f"(which leads to {tmp_path / 'other'})" in refusal("working_dir: ~/link")
    allowed("working_dir: ~/link", allowed_working_dirs=[str(tmp_path / "other")])
    (home / "code" / "to-home").symlink_to(home)
    assert "may not name" in refusal("working_dir: ~/code/to-home", allowed_working_dirs=["~/code"])


def test_as_it_comes_a_task_may_work_wherever_its_user_may() -> None:
    allowed("working_dir: /etc\ncontext_files: /etc/passwd", allowed_working_dirs=None)


def test_several_folders_can_be_allowed_or_none(tmp_path: Path) -> None:
    both = ["~/code", str(tmp_path / "other")]
    allowed(f"working_dir: {tmp_path / 'other'}", allowed_working_dirs=both)
    allowed("working_dir: ~/code/shop", allowed_working_dirs=both)
    assert "~/code, " in refusal("working_dir: ~", allowed_working_dirs=both)
    assert "(none)" in refusal("working_dir: ~", allowed_working_dirs=[])
    allowed("tags: own folder", allowed_working_dirs=[])


def test_context_files_are_held_to_the_same_folders() -> None:
    allowed("context_files: [~/notes.md, ~/code]")
    said = refusal("context_files:\n  - ~/notes.md\n  - /etc/passwd")
    assert said.startswith("t.yaml:4:5: `context_files` may not name /etc/passwd")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("code", "holds no whole path: `code`"),
        ("./code", "holds no whole path"),
        ("../x", "holds no whole path"),
        ("~nobody-of-this-name/x", "holds no whole path: `~nobody-of-this-name/x`"),
        ("~/none", "there is no folder ~/none"),
        ("~/notes.md", "there is no folder ~/notes.md"),
        ("~/" + "x" * 300, "there is no folder ~/xxx"),
        ("~/" + "x/" * 3000, "there is no folder ~/x/"),
        ("~/" + "x" * 9000, "longer than 8 KiB"),
    ],
)
def test_what_is_no_folder_at_all_is_said_in_its_line(path: str, says: str) -> None:
    said = refusal(f"working_dir: {path}")
    assert says in said
    assert said.startswith("t.yaml:2:14: `working_dir` ")


def test_a_folder_that_nobody_may_look_into_is_no_bug(home: Path) -> None:
    (home / "loop").symlink_to(home / "loop")
    assert "there is no folder" in refusal("working_dir: ~/loop/x")


def test_a_name_that_only_begins_like_an_allowed_folder_is_not_in_it(home: Path) -> None:
    assert is_within(str(home), [str(home)])
    assert is_within(f"{home}/a/b", [str(home)])
    assert not is_within(f"{home}x", [str(home)])
    assert not is_within(str(home.parent), [str(home)])
    assert is_within("/x", ["/"])
    assert not is_within("/x", [])


# ---------------------------------------------------------------------------------------------- what


@pytest.mark.parametrize("mode", ["plan", "default", "manual", "dontAsk", "acceptEdits"])
def test_a_task_may_ask_for_as_much_as_is_usual_or_less(mode: str) -> None:
    allowed(f"permission_mode: {mode}", **TIGHT)


@pytest.mark.parametrize("mode", ["auto", "bypassPermissions"])
def test_a_task_may_not_raise_its_mode_above_what_is_usual(mode: str) -> None:
    said = refusal(f"permission_mode: {mode}", **TIGHT)
    assert said.startswith(f"t.yaml:2:18: `permission_mode` may not be `{mode}`: no more than `acceptEdits`")
    assert f"`max_permission_mode: {mode}` in the settings" in said
    allowed(f"permission_mode: {mode}", **TIGHT, max_permission_mode="bypassPermissions")


def test_as_it_comes_everything_may_be_asked_for_but_further_options() -> None:
    allowed("permission_mode: bypassPermissions\nallowed_tools: Bash\nmcp_config: x.json")


@pytest.mark.parametrize(
    ("field", "value", "setting"),
    [
        ("allowed_tools", "Bash(git *)", "allowed_tools"),
        ("mcp_config", "/srv/mcp.json", "allowed_mcp_configs"),
        ("additional_args", "--fork-session", "allowed_args"),
    ],
)
def test_what_goes_past_the_mode_must_be_listed(field: str, value: str, setting: str) -> None:
    said = refusal(f"{field}:\n  - {value}", **TIGHT)
    assert said.startswith(f"t.yaml:3:5: `{field}` asks for `{value}`")
    assert f"put `{value}` into `{setting}` of the settings" in said
    allowed(f"{field}: {value}", **TIGHT, **{setting: [value]})
    assert "asks for" in refusal(f"{field}: [{value}, {value}2]", **TIGHT, **{setting: [value]})


@pytest.mark.parametrize(
    "argument", ["--resume=abc", "--dangerously-skip-permissions", "-c", "--add-dir=/", "--fork-session=x --resume"]
)
def test_options_that_nobody_has_allowed_are_refused(argument: str) -> None:
    assert "is not allowed on this machine" in refusal(f'additional_args: ["{argument}"]')


@pytest.mark.parametrize("argument", ["--resume=abc", "-c", "-rabc", "--dangerously-skip-permissions"])
def test_no_setting_is_named_that_could_not_hold_what_is_asked_for(argument: str) -> None:
    option = argument.partition("=")[0]
    with pytest.raises(ValidationError, match="cannot be left to tasks"):
        Settings(allowed_args=(option,))
    assert f"put `{option}` into `allowed_args`" not in refusal(f'additional_args: ["{argument}"]')


@pytest.mark.parametrize("argument", ["go on", "--", "-", "--x y", "=x", "/clear", "--x\\ny"])
def test_what_is_no_option_never_reaches_the_command_line(argument: str) -> None:
    said = refusal(f'additional_args: ["--fork-session", "{argument}"]', allowed_args=["--fork-session"])
    assert "must be an option such as `--name=value`, in one piece" in said


@pytest.mark.parametrize(
    "line", ["system_prompt_append: |\n  " + "x" * 100_000, "allowed_tools: " + "x" * 9000, "model: " + "é" * 5000]
)
def test_what_no_command_line_could_hold_is_refused_before_it_is_tried(line: str) -> None:
    assert "is longer than" in refusal(line)


def test_all_that_is_not_allowed_is_told_at_once() -> None:
    said = refusal("working_dir: /etc\npermission_mode: auto\nadditional_args: --x", **TIGHT)
    assert [line.split(": ")[0] for line in said.splitlines() if line.startswith("t.yaml")] == [
        "t.yaml:2:14",
        "t.yaml:3:18",
        "t.yaml:4:18",
    ]


def test_a_folder_that_is_not_readable_is_said_to_be_missing(home: Path) -> None:
    (home / "closed" / "inner").mkdir(parents=True)
    (home / "closed").chmod(0)
    try:
        if os.geteuid() != 0:
            assert "there is no folder" in refusal("working_dir: ~/closed/inner")
    finally:
        (home / "closed").chmod(0o700)
