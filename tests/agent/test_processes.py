"""Real processes: started, known beyond doubt, adopted, ended, swept up."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from dropbox_runner.agent import processes
from dropbox_runner.agent.agents import Agents, Launch
from dropbox_runner.agent.environment import MARK
from dropbox_runner.agent.processes import (
    boot_id,
    identify,
    innermost,
    is_alive,
    leader,
    marked,
    send,
    sweep,
)
from dropbox_runner.core.run import ProcessId

T = TypeVar("T")


def wait_until(condition: Callable[[], T], failure: str) -> T:
    """Poll until the condition holds; say the sentence if it never does."""
    end = time.monotonic() + 20
    while not (result := condition()):
        assert time.monotonic() < end, failure
        time.sleep(0.005)
    return result


@pytest.fixture
def run_id() -> Iterator[str]:
    """The mark of one run; whatever carries it is gone afterwards, also when a test fails."""
    name = uuid.uuid4().hex
    yield name
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == name:
                process.kill()


def begin(agents: Agents, run_id: str, launch: Launch) -> ProcessId:
    process = agents.start(run_id, launch)
    assert process is not None
    return process


def launch(folder: Path, run_id: str, script: str) -> Launch:
    prompt = folder / "prompt"
    prompt.write_text("the prompt\n")
    return Launch(
        arguments=["/bin/sh", "-c", script],
        environment={MARK: run_id, "PATH": "/usr/bin:/bin"},
        working_dir=folder,
        stdin=prompt,
        stdout=folder / "out",
        stderr=folder / "err",
    )


def wait_readable(agents: Agents) -> None:
    poll = select.poll()
    for descriptor in agents.descriptors():
        poll.register(descriptor, select.POLLIN)
    assert poll.poll(20_000), "nothing woke us when the process ended"


# ---------------------------------------------------------------------------------------------- starting


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 143", 143)]
)
def test_the_end_wakes_us_and_the_exit_code_is_known(tmp_path: Path, run_id: str, script: str, code: int) -> None:
    agents = Agents()
    agents.start(run_id, launch(tmp_path, run_id, script))
    assert agents.watches(run_id)
    wait_readable(agents)
    assert agents.exit_code(run_id) == code
    assert agents.descriptors() == [], "an end that has been noticed must not wake us again and again"
    assert agents.exit_code(run_id) == code
    agents.forget(run_id)
    assert not agents.watches(run_id)
    assert agents.exit_code(run_id) is None, "afterwards there is nothing to be known any more"


def test_input_and_output_are_files_and_nobody_elses(tmp_path: Path, run_id: str) -> None:
    agents = Agents()
    agents.start(run_id, launch(tmp_path, run_id, "cat; echo oops >&2; pwd; ls -l /proc/self/fd | wc -l"))
    wait_readable(agents)
    agents.exit_code(run_id)
    agents.forget(run_id)
    said = (tmp_path / "out").read_text().splitlines()
    assert said[:2] == ["the prompt", str(tmp_path)]
    assert int(said[2]) <= 5, "it has inherited open files of ours"
    assert (tmp_path / "err").read_text() == "oops\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_try_wrote_is_never_overwritten(tmp_path: Path, run_id: str) -> None:
    (tmp_path / "out").write_text("before\n")
    agents = Agents()
    agents.start(run_id, launch(tmp_path, run_id, "echo after"))
    wait_readable(agents)
    agents.exit_code(run_id)
    agents.forget(run_id)
    assert (tmp_path / "out").read_text() == "before\nafter\n"


def test_it_leads_a_session_of_its_own_so_that_a_ctrl_c_for_us_does_not_reach_it(tmp_path: Path, run_id: str) -> None:
    agents = Agents()
    process = begin(agents, run_id, launch(tmp_path, run_id, "exec sleep 60"))
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert send(process, signal.SIGTERM)
    wait_readable(agents)
    assert agents.exit_code(run_id) == -15


@pytest.mark.parametrize("broken", ["no such program", "no such folder"])
def test_what_cannot_be_started_raises_and_is_not_watched(tmp_path: Path, run_id: str, broken: str) -> None:
    usual = launch(tmp_path, run_id, "exit 0")
    wrong = {
        "no such program": Launch(**(vars(usual) | {"arguments": ["/no/such/program"]})),
        "no such folder": Launch(**(vars(usual) | {"working_dir": tmp_path / "none"})),
    }[broken]
    agents = Agents()
    with pytest.raises(FileNotFoundError):
        agents.start(run_id, wrong)
    assert not agents.watches(run_id)
    assert marked(run_id) == []


def test_ordinary_signals_have_their_usual_meaning_in_it(tmp_path: Path, run_id: str) -> None:
    # Python ignores SIGPIPE; an agent whose tools inherited that would hang in `yes | head`.
    agents = Agents()
    agents.start(run_id, launch(tmp_path, run_id, "grep SigIgn /proc/self/status"))
    wait_readable(agents)
    agents.exit_code(run_id)
    agents.forget(run_id)
    assert int((tmp_path / "out").read_text().split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


# ---------------------------------------------------------------------------------------------- who is who


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_pid_start_and_boot(stranger: subprocess.Popen[bytes]) -> None:
    known = identify(stranger.pid)
    assert known is not None
    assert is_alive(known)
    assert known.boot == boot_id()
    assert identify(stranger.pid) == known, "it is the same one however often we look"


def test_one_that_only_waits_to_be_reaped_is_gone(stranger: subprocess.Popen[bytes]) -> None:
    known = identify(stranger.pid)
    assert known is not None
    stranger.kill()
    wait_until(lambda: not is_alive(known), "it is dead and still counts as alive")
    assert identify(stranger.pid) is None


@pytest.mark.parametrize(
    "mistaken", [{"started": 1}, {"boot": "another-boot"}, {"pid": 2**22 - 1}], ids=["recycled", "rebooted", "nobody"]
)
def test_a_signal_never_reaches_somebody_else(
    stranger: subprocess.Popen[bytes], tmp_path: Path, run_id: str, mistaken: dict[str, object]
) -> None:
    known = identify(stranger.pid)
    assert known is not None
    wrong = known.but(**mistaken)
    assert not is_alive(wrong)
    assert not send(wrong, signal.SIGKILL)
    assert not Agents().adopt(run_id, wrong)
    assert stranger.poll() is None, "a stranger was killed"
    assert is_alive(known)


def test_a_process_with_a_nasty_name_is_known_too(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b c"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        known = identify(process.pid)
        assert known is not None
        assert is_alive(known)
        assert send(known, signal.SIGKILL)
        assert process.wait() == -9


# ---------------------------------------------------------------------------------------------- adopting


def test_an_adopted_run_wakes_us_when_it_ends_and_its_exit_code_is_unknown(tmp_path: Path, run_id: str) -> None:
    first = Agents()
    process = begin(first, run_id, launch(tmp_path, run_id, "exec sleep 60"))
    second = Agents()
    assert second.adopt(run_id, process)
    assert second.watches(run_id)
    assert send(process, signal.SIGKILL)
    wait_readable(second)
    assert second.exit_code(run_id) is None
    assert second.descriptors() == []
    first.exit_code(run_id)
    first.forget(run_id)


def test_one_that_is_gone_is_not_adopted(tmp_path: Path, run_id: str) -> None:
    first = Agents()
    process = begin(first, run_id, launch(tmp_path, run_id, "exit 0"))
    wait_readable(first)
    first.exit_code(run_id)
    first.forget(run_id)
    second = Agents()
    assert not second.adopt(run_id, process)
    assert not second.watches(run_id)


# ---------------------------------------------------------------------------------------------- marks and left-overs


def test_the_leader_is_found_by_its_mark_and_its_shell_commands_are_not_taken_for_it(
    tmp_path: Path, run_id: str
) -> None:
    agents = Agents()
    process = begin(agents, run_id, launch(tmp_path, run_id, "setsid --wait sleep 60 & setsid sleep 61 & wait"))
    wait_until(lambda: len(marked(run_id)) >= 3, "its children never came up")
    log = tmp_path / "out"
    assert leader(run_id, log) == process
    assert leader("no such run", log) is None
    sweep(run_id)
    agents.exit_code(run_id)
    agents.forget(run_id)


_FORKS = """
import os, sys, time
if not os.fork():
    time.sleep(60)  # still the same words: it has not become another program yet
open(sys.argv[1], "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize("wraps", ["exec ", "", "sh -c '\"$@\"; true' sh "], ids=["nothing", "a shell", "two shells"])
def test_what_is_wrapped_is_found_below_its_wrappers_and_its_own_forks_are_not_taken_for_it(
    tmp_path: Path, run_id: str, wraps: str
) -> None:
    up = tmp_path / "up"
    (tmp_path / "forks.py").write_text(_FORKS)
    agents = Agents()
    wrapper = f'{wraps}"$@"; true' if wraps != "exec " else 'exec "$@"'
    words = [sys.executable, "-I", "forks.py", str(up), "--session-id=x"]
    usual = launch(tmp_path, run_id, wrapper)
    started = agents.start(run_id, Launch(**(vars(usual) | {"arguments": ["/bin/sh", "-c", wrapper, "sh", *words]})))
    wait_until(up.exists, "it never came up")
    assert started is not None
    found = innermost(started, "--session-id=x")

    assert psutil.Process(found.pid).cmdline() == words
    assert len(psutil.Process(found.pid).children()) == 1, "its fork was taken for it"
    assert (found == started) is (wraps == "exec ")
    assert innermost(started, "--session-id=y") == started
    sweep(run_id)
    agents.exit_code(run_id)
    agents.forget(run_id)


def test_what_a_run_has_left_behind_is_not_taken_for_the_run(tmp_path: Path, run_id: str) -> None:
    agents = Agents()
    # It has left its session, lost its parent, and leads: as the run itself does after its daemon was killed.
    begin(agents, run_id, launch(tmp_path, run_id, "setsid sleep 60 >/dev/null 2>&1 &"))
    wait_readable(agents)
    agents.exit_code(run_id)
    agents.forget(run_id)
    wait_until(lambda: marked(run_id), "what it has left behind never came up")
    assert leader(run_id, tmp_path / "out") is None
    sweep(run_id)


def test_a_leader_that_is_just_becoming_another_program_is_not_taken_for_gone(
    tmp_path: Path, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = Agents()
    process = begin(agents, run_id, launch(tmp_path, run_id, "sleep 60"))
    # For the instant in which it becomes another program it has no environment; also here, so it is waited for.
    looks: list[list[ProcessId]] = [[], wait_until(lambda: marked(run_id), "the agent never came up")]
    monkeypatch.setattr(processes, "marked", lambda *_: looks.pop(0))
    assert leader(run_id, tmp_path / "out") == process
    monkeypatch.undo()
    sweep(run_id)
    agents.exit_code(run_id)
    agents.forget(run_id)


_STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").close()
time.sleep(60)
"""


def test_everything_that_carries_the_mark_is_swept_and_nothing_else(
    tmp_path: Path, run_id: str, stranger: subprocess.Popen[bytes]
) -> None:
    up = tmp_path / "up"
    (tmp_path / "stubborn.py").write_text(_STUBBORN)
    agents = Agents()
    script = f"(setsid sleep 60 &); (nohup sleep 61 >/dev/null 2>&1 &); {sys.executable} -I stubborn.py {up}; exit 0"
    process = begin(agents, run_id, launch(tmp_path, run_id, script))
    other = subprocess.Popen(["/bin/sleep", "60"], env={MARK: f"{run_id}x"})
    wait_until(up.exists, "the stubborn one never came up")
    wait_readable(agents)
    agents.exit_code(run_id)
    agents.forget(run_id)
    left = {one.pid for one in marked(run_id)}
    assert process.pid not in left
    assert len(left) == 3
    swept = sweep(run_id)
    assert {int(one.split()[0]) for one in swept} == left
    assert {one.split()[1] for one in swept} >= {"sleep"}
    assert marked(run_id) == []
    assert stranger.poll() is None
    assert other.poll() is None, "a process of another run was swept"
    other.kill()
    other.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can see what another user's process carries")
def test_another_users_process_is_left_alone_whatever_it_carries(run_id: str) -> None:
    command = ["setpriv", "--reuid=65534", "--clear-groups", "/bin/sleep", "60"]
    other = subprocess.Popen(command, env={"PATH": os.defpath, MARK: run_id})
    wait_until(lambda: psutil.Process(other.pid).uids().effective == 65534, "it never became another user's")
    assert sweep(run_id) == ()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_sweeping_where_nothing_is_left_costs_no_time(run_id: str) -> None:
    begin = time.monotonic()
    assert sweep(run_id) == ()
    assert time.monotonic() - begin < processes._SWEEP_GRACE


def test_what_is_started_while_we_sweep_is_swept_too(tmp_path: Path, run_id: str) -> None:
    # Told to end, it starts its own successor: as supervisors do.
    script = "trap '(setsid sleep 60 &) ; exit 0' TERM; touch up; while :; do sleep 0.01; done"
    agents = Agents()
    agents.start(run_id, launch(tmp_path, run_id, script))
    wait_until((tmp_path / "up").exists, "it never came up")
    sweep(run_id)
    assert marked(run_id) == []
    agents.exit_code(run_id)
    agents.forget(run_id)


def test_an_unknown_process_is_nobody() -> None:
    assert identify(2**22 - 1) is None
    assert not is_alive(ProcessId(pid=2**22 - 1, started=1, boot=boot_id()))
