"""`sandbox: bubblewrap`: what an agent in it can reach, and that everything else goes on as without it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from harness import World, alive, wait_until

pytestmark = pytest.mark.slow

MARK = "DROPBOX_RUNNER_RUN_ID"


@pytest.fixture
def confined(world: World) -> World:
    """A world whose agents work in the sandbox."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    confine(world)
    return world


def confine(world: World, **more: object) -> None:
    # The stand-in's own files; the real claude keeps its sessions in its configuration folder.
    needed = {"sandbox_read": [str(world.base / "scenario.json")], "sandbox_write": [str(world.state_dir)]}
    settings = {"sandbox": "bubblewrap"} | needed | more
    world.settings(**{name: json.dumps(value) for name, value in settings.items()})


def agents(world: World) -> list[int]:
    """Everything that belongs to a run of this world."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if MARK in environment and environment.get("HOME") == str(world.home):
            found.append(process.pid)
    return [pid for pid in found if alive(pid)]


# ---------------------------------------------------------------------------------------------- what it can reach


def test_nothing_of_the_home_is_seen_and_nothing_outside_can_be_changed(confined: World) -> None:
    secret = confined.home / ".ssh" / "id_ed25519"
    secret.parent.mkdir()
    secret.write_text("SECRET")
    beside = confined.base / "beside.txt"
    beside.write_text("BESIDE")
    (confined.home / ".claude.json").write_text('{"mcpServers": {}}')
    script = f"""
        cat {secret}; cat {beside}; cat {confined.config}; ls {confined.root}; ls /run/user; ls /root
        echo lost > {confined.home}/new; echo lost > /usr/new; echo lost > /tmp/new-of-{confined.base.name}
        echo '{{"mcpServers": "mine"}}' > ~/.claude.json; mv ~/.claude.json ~/x; mv ~/x ~/.claude.json
        echo kept > ~/.claude/kept
        mount -o remount,rw /
        for file in task.yaml record.json cancel; do echo x >> $DROPBOX_RUNNER_TASK_DIR/$file; done
        dropbox-runner subtask "look at {secret}"
        echo the end
    """
    confined.play([{"bash": f"( {script} ) > printed 2>&1; true"}, {"say": "Done."}])
    confined.start()
    confined.move_in("look.yaml", "instructions: look\n")
    done = confined.wait_for("look", "done")
    printed = (done / "work" / "printed").read_text()

    assert "SECRET" not in printed
    assert "BESIDE" not in printed
    assert "sandbox_write" not in printed
    assert "pending" not in printed
    assert "`subtask` is not possible in the sandbox" in printed
    assert printed.endswith("the end\n")
    assert not (confined.home / "new").exists()
    assert not Path("/usr/new").exists()
    assert not Path(f"/tmp/new-of-{confined.base.name}").exists()
    assert (confined.home / ".claude.json").read_text() == '{"mcpServers": {}}'
    assert (confined.home / ".claude" / "kept").exists()
    # What says what its next run may see and do is not the agent's to change.
    assert (done / "task.yaml").read_text() == "instructions: look\n"
    assert not (done / "cancel").exists()


def test_it_asks_and_goes_on_in_the_folder_that_the_task_names_and_leaves_nothing_behind(confined: World) -> None:
    project, notes = confined.home / "project", confined.home / "notes"
    for folder in (project, notes):
        folder.mkdir()
    (notes / "n.txt").write_text("a note\n")
    confined.play(
        [
            {"bash": f"pwd > first; cat {notes}/n.txt > read; echo x > {notes}/n.txt; true"},
            {"bash": "env -i setsid sleep 4711 >/dev/null 2>&1 & (setsid sleep 4711 &); sleep 0.2"},
            {"ask": {"text": "Which way?", "options": ["left"]}},
            {"say": "…"},
        ],
        [{"bash": "pwd > second"}, {"say": "Went left."}],
    )
    confined.start()
    confined.move_in("walk.yaml", f"instructions: walk\nworking_dir: ~/project\ncontext_files: [{notes}]\n")
    blocked = confined.wait_for("walk", "blocked")
    assert json.loads((blocked / "question.json").read_text())["text"] == "Which way?"
    # Even the one that had shed its mark.
    wait_until(lambda: not sleepers(), "what it left behind goes on")
    confined.answer("walk", "1")
    confined.wait_for("walk", "done")

    assert (project / "first").read_text() == (project / "second").read_text() == f"{project}\n"
    assert (project / "read").read_text() == "a note\n"
    assert (notes / "n.txt").read_text() == "a note\n", "context is to be read"
    assert len({call["session_id"] for call in confined.calls()}) == 1
    assert not list(confined.home.glob("state/**/asking/*")), "its folder for questions goes with the run"


def test_it_cannot_have_shown_to_its_next_run_what_it_has_put_a_link_to(confined: World) -> None:
    project, secret = confined.home / "project", confined.home / "secret"
    for folder in (project / "docs", secret):
        folder.mkdir(parents=True)
    (secret / "s.txt").write_text("SECRET")
    confined.play(
        [{"bash": f"rm -r docs; ln -s {secret} docs"}, {"ask": {"text": "Go on?"}}, {"say": "…"}],
        [{"bash": "cat docs/s.txt > got; ls docs/ >> got; true"}, {"say": "Done."}],
    )
    confined.start()
    confined.move_in("x.yaml", "instructions: x\nworking_dir: ~/project\ncontext_files: [~/project/docs]\n")
    confined.wait_for("x", "blocked")
    confined.answer("x", "yes")
    confined.wait_for("x", "done")

    assert (project / "got").read_text() == ""


def test_links_in_the_home_lead_where_they_do_outside(confined: World) -> None:
    there = confined.base / "disk"
    for name in ("claude", "notes", "tools"):
        (there / name).mkdir(parents=True)
        (there / name / "f").write_text(f"{name}\n")
    (confined.home / ".claude").symlink_to(there / "claude")
    (confined.home / "notes").symlink_to(there / "notes")
    (confined.home / "tools").symlink_to(there / "tools")
    confine(confined, sandbox_write=["~/tools", str(confined.state_dir)])
    confined.play(
        [{"bash": "cat ~/notes/f ~/.claude/f ~/tools/f > got; echo new >> ~/tools/f; true"}, {"say": "Done."}]
    )
    confined.start()
    confined.move_in("x.yaml", "instructions: x\ncontext_files: [~/notes]\n")
    done = confined.wait_for("x", "done")

    assert (done / "work" / "got").read_text() == "notes\nclaude\ntools\n"
    assert (there / "tools" / "f").read_text() == "tools\nnew\n"


def sleepers() -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"4711"]:
            found.append(line.parent.name)
    return found


@pytest.mark.parametrize("folder", ["~/", "/", "/tmp", "INBOX/pending", "~/config/dropbox-runner"])
def test_a_task_cannot_have_a_folder_that_would_open_the_sandbox(confined: World, folder: str) -> None:
    confined.start()
    named = folder.replace("INBOX", str(confined.root))
    for field in ("working_dir", "context_files", "mcp_config"):
        confined.move_in(f"{field}.yaml", f"instructions: x\n{field}: {named}\n")
        said = (confined.wait_for(field, "failed") / "error.md").read_text()
        assert "cannot be given to an agent in the sandbox" in said
        assert f"{field}.yaml:2:" in said, "with its place"
    assert confined.calls() == []


def test_a_file_of_mcp_servers_is_no_way_to_have_something_else_shown(confined: World) -> None:
    code, key = confined.home / "code", confined.home / ".ssh" / "id_ed25519"
    for path in (code / "mcp.json", key):
        path.parent.mkdir()
        path.write_text('{"mcpServers": {}}')
    confine(confined, allowed_working_dirs=[str(code)])
    confined.start()
    confined.move_in("fine.yaml", f"instructions: x\nmcp_config: {code}/mcp.json\n")
    confined.move_in("x.yaml", "instructions: x\nmcp_config: ~/.ssh/id_ed25519\n")
    assert "`allowed_mcp_configs`" in (confined.wait_for("x", "failed") / "error.md").read_text()
    confined.wait_for("fine", "done")


# ---------------------------------------------------------------------------------------------- its life


def test_it_is_told_to_end_and_not_killed_when_the_daemon_stops_and_goes_on_after(confined: World) -> None:
    up = confined.state_dir / "up"
    confined.play([{"touch": str(up)}, {"bash": "sleep 300"}], [{"say": "Finished after all."}])
    daemon = confined.start()
    confined.move_in("x.yaml", "instructions: x\n")
    wait_until(up.exists, lambda: f"it never worked:\n{confined.story('x')}")
    assert daemon.stop() == 0

    run = confined.record("x")["runs"][0]
    # claude's own way to end on SIGTERM; killed, it would be 137 and its session would lack the last step.
    assert (run["verdict"], run["exit_code"]) == ("stopped", 143)
    assert "Exit code 137" in (confined.path("x") / "run-1.jsonl").read_text()
    assert "killing it" not in daemon.log
    assert agents(confined) == []
    confined.start()
    assert json.loads((confined.wait_for("x", "done") / "result.json").read_text())["runs"] == 2


def test_one_that_does_not_listen_is_killed_with_all_it_has_started(confined: World) -> None:
    confine(confined, stop_grace="0.3s")
    up = confined.state_dir / "up"
    confined.play([{"ignore_sigterm": True}, {"bash": "(setsid sleep 300 &)"}, {"touch": str(up)}, {"sleep": 300}])
    confined.start()
    confined.move_in("x.yaml", "instructions: x\n")
    wait_until(up.exists, lambda: f"it never worked:\n{confined.story('x')}")
    (confined.path("x") / "cancel").touch()
    failed = confined.wait_for("x", "failed")

    assert json.loads((failed / "result.json").read_text())["verdict"] == "cancelled"
    assert agents(confined) == []


def test_it_outlives_a_daemon_that_was_killed_and_the_next_one_takes_it_over(confined: World) -> None:
    up, gate = confined.state_dir / "up", confined.state_dir / "gate"
    confined.play([{"touch": str(up)}, {"wait_for": str(gate)}, {"say": "Ready."}])
    daemon = confined.start()
    confined.move_in("x.yaml", "instructions: x\n")
    wait_until(up.exists, lambda: f"it never worked:\n{confined.story('x')}")
    pid = confined.agent_pid("x")
    daemon.kill()
    second = confined.start()
    second.wait_for_log("adopted")
    assert alive(pid)
    gate.touch()
    done = confined.wait_for("x", "done")

    assert json.loads((done / "result.json").read_text())["runs"] == 1
    assert len(confined.calls()) == 1


# ---------------------------------------------------------------------------------------------- when it does not work


def fake_bwrap(world: World, script: str) -> Path:
    """A bwrap of which only some things work."""
    folder = world.base / "fake"
    folder.mkdir()
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    world.environment["PATH"] = f"{folder}:{world.environment['PATH']}"
    return program


def test_without_it_nothing_is_started_and_the_reason_and_the_mend_are_said_once(confined: World) -> None:
    broken = fake_bwrap(confined, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    daemon = confined.start("--poll=0.2")
    confined.move_in("x.yaml", "instructions: x\n")
    confined.wait_until_queued("x")
    daemon.wait_for_log("uid map: Permission denied (it needs unprivileged user namespaces")
    looked = confined.run("doctor")

    assert "BAD  sandbox: bwrap: setting up uid map" in looked.stdout
    assert "`sandbox: none` does without" in looked.stdout
    assert "uid map" in confined.run("status").stdout
    assert confined.calls() == []
    assert confined.where("x") == "pending"
    broken.unlink()
    confined.wait_for("x", "done")
    assert daemon.log.count("uid map") == 1
    assert "ok   sandbox: bubblewrap, and it holds" in confined.run("doctor").stdout


def test_a_sandbox_that_lets_through_what_it_must_keep_away_is_none(confined: World) -> None:
    fake_bwrap(confined, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    daemon = confined.start()
    confined.move_in("x.yaml", "instructions: x\n")
    daemon.wait_for_log("what it must keep away can be reached in it")

    assert confined.calls() == []


def test_one_that_fails_at_the_run_itself_fails_no_task_but_holds_the_queue(confined: World) -> None:
    fake_bwrap(confined, 'case "$*" in *.probe*) exit 0 ;; esac; echo "bwrap: out of mounts" >&2; exit 1')
    daemon = confined.start()
    confined.move_in("x.yaml", "instructions: x\n")
    daemon.wait_for_log("before claude was started (exit code 1): bwrap: out of mounts")
    confined.wait_for("x", "pending")

    assert confined.record("x")["runs"][0]["verdict"] == "account"
    assert confined.calls() == []
    assert daemon.stop(signal.SIGTERM) == 0
