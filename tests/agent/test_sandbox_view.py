"""From what a run may see to bubblewrap's arguments, and what a program needs to be there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dropbox_runner.agent.program import programs
from dropbox_runner.agent.sandbox import View, confined, needed

VIEW = View(hidden=(Path("/home/u"), Path("/tmp"), Path("/home/u/inbox")))


def mounts(view: View) -> list[str]:
    """What is laid over the read-only system, in order."""
    given = confined(view, ["claude"])
    given = given[given.index("/proc", given.index("--proc")) + 1 : given.index("--")]
    pairs, rest = [], iter(given)
    for option in rest:
        path = next(rest)
        assert option == "--tmpfs" or next(rest) == path, "inside and outside have the same name"
        pairs.append(f"{option} {path}")
    return pairs


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["--tmpfs /tmp", "--tmpfs /home/u", "--tmpfs /home/u/inbox"]),
        (
            {"write": (Path("/home/u/project"),), "read": (Path("/home/u/project/.git"), Path("/srv"))},
            [
                *("--tmpfs /tmp", "--ro-bind /srv", "--tmpfs /home/u", "--tmpfs /home/u/inbox"),
                *("--bind /home/u/project", "--ro-bind /home/u/project/.git"),
            ],
        ),
        # Whoever shows the whole home still does not show the inbox, with the other tasks.
        (
            {"read": (Path("/home/u"),)},
            ["--tmpfs /tmp", "--tmpfs /home/u", "--ro-bind /home/u", "--tmpfs /home/u/inbox"],
        ),
    ],
    ids=["nothing", "some", "the whole home"],
)
def test_outer_folders_come_first_so_that_the_inner_ones_hold(more: dict[str, object], expected: list[str]) -> None:
    assert mounts(replace(VIEW, **more)) == expected  # type: ignore[arg-type]


def test_the_command_is_one_that_agents_can_outlive_the_daemon_with_and_not_get_out_of() -> None:
    given = confined(VIEW, ["/opt/claude", "-p", "--resume=x"])
    assert given[0] == "bwrap"
    assert given[-3:] == ["/opt/claude", "-p", "--resume=x"]
    assert "--unshare-pid" in given
    assert given[given.index("--cap-drop") + 1] == "ALL"
    assert "--die-with-parent" not in given, "the parent is the daemon"
    assert "--unshare-net" not in given, "claude has to reach its API"


def test_what_a_program_needs_is_its_links_its_target_and_its_interpreter(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "node_modules" / "@anthropic-ai" / "claude-code"
    package.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "bin")
    (package / "cli.js").write_text("#!/usr/bin/env -S node --flag\n")
    (tmp_path / "bin" / "claude").symlink_to("../lib/node_modules/@anthropic-ai/claude-code/cli.js")
    node = tmp_path / "bin" / "node"
    node.write_bytes(b"\x7fELF")
    node.chmod(0o755)
    found = list(programs(tmp_path / "current" / "claude", str(tmp_path / "bin")))

    assert found == [tmp_path / "bin" / "claude", package / "cli.js", node]
    hidden = View(hidden=(tmp_path,))
    assert needed(hidden, found) == (tmp_path / "bin", tmp_path / "lib" / "node_modules")
    assert needed(View(hidden=(Path("/elsewhere"),)), found) == (), "what is seen anyway needs nothing"


def test_a_program_that_lies_in_the_home_itself_does_not_open_it(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_bytes(b"\x7fELF")
    assert needed(View(hidden=(tmp_path,)), [program]) == (program,)
    assert needed(View(hidden=(tmp_path,)), [tmp_path]) == ()


@pytest.mark.parametrize(
    "first_line", [b"#!\n", b"", b"#! \xff\n", b"#!/usr/bin/env\n", b"#!/usr/bin/env no-such-program\n"]
)
def test_a_script_with_a_strange_first_line_is_only_itself(tmp_path: Path, first_line: bytes) -> None:
    script = tmp_path / "claude"
    script.write_bytes(first_line)
    assert next(programs(script, "/usr/bin")) == script


def test_links_that_go_round_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert set(programs(tmp_path / "a", "")) == {tmp_path / "a", tmp_path / "b"}


def test_our_own_python_is_found() -> None:
    assert Path(sys.executable).resolve() in set(programs(Path(sys.executable), ""))
