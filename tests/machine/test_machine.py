"""Whatever happens, in whatever order: nothing is lost, nothing is run twice, nothing is called done that is not.

Hypothesis invents what people, agents, clocks, disks and daemons do; this says what must hold all the same. A failure
is printed as a short program that shows it again.
"""

from __future__ import annotations

import functools
import itertools
import logging
import random
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faulty_disk import Ear
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from pretend_claude import Claude
from small_world import STATES, SmallWorld

from dropbox_runner.daemon.doorbell import Doorbell

ANY = st.integers(0, 5)
"""Which of several: taken modulo their number."""
NAMES = st.sampled_from(["a.yaml", "b.yaml", "c.yaml"])
LIVE = ("pending", "running", "blocked")
_AT_MOST = 5
"""Tasks that have not ended: more make each step slower and no story more interesting."""
_LONGEST_RETRY = 61
"""Seconds after which whatever the system refused is tried again."""
_PATIENCE = 40
"""How often everything is put right, with hours in between, until a task that has not ended is called stranded."""


LOOKS = st.sampled_from([2, 2, 3, 4, 1, 0])


def happens(**choices: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of something that happens, after which the daemon (a new one, if need be) looks a few times."""

    def rule_of(what: Callable[..., None]) -> Any:
        @functools.wraps(what)
        def happening(self: Life, looks: int, **chosen: Any) -> None:
            what(self, **chosen)
            if looks > 1 and self.world.service is None:
                self.world.start()
            self._look_on(looks)
            self._check()

        return rule(looks=LOOKS, **choices)(happening)  # type: ignore[call-overload]

    return rule_of


class Stage:
    """What all runs of the state machine share: where they may write, and what they count."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.bell = Doorbell()
        self.ear = Ear()
        self.worlds = itertools.count(1)
        self.steps = 0
        self._dice = random.Random(0)

    def begin(self) -> SmallWorld:
        """Make a new world, in which the same happens as in each other if the same is done."""
        self._dice.seed(0)
        return SmallWorld(self.base / str(next(self.worlds)), self.bell)

    def uuid4(self) -> uuid.UUID:
        """Draw an id: pauses depend on ids, and a life that differs when it is told again proves nothing."""
        return uuid.UUID(int=self._dice.getrandbits(128), version=4)


class Life(RuleBasedStateMachine):
    """The life of an inbox."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.world = stage.begin()
        stage.ear.disk = self.world.disk
        logging.getLogger("dropbox_runner").addHandler(self.world.journal)
        self.fine = True
        self.written = itertools.count(1)
        self.dropped: list[tuple[str, bytes, int]] = []
        self.half: dict[Path, bytes] = {}
        """Files that are still being written, and what is missing."""

    # ---------------------------------------------------------------- tasks

    def _text(self) -> bytes:
        return f"instructions: do piece {next(self.written)} of the work\n".encode()

    def _few(self) -> bool:
        return len(self.world.folders(*LIVE)) < _AT_MOST

    def _note(self, path: Path, data: bytes) -> None:
        self.dropped.append((path.name, data, path.stat().st_mtime_ns))

    @precondition(_few)
    @happens(name=NAMES)
    def a_task_is_moved_in(self, name: str) -> None:
        path, data = self.world.root / name, self._text()
        self.world.move_in(path, data)
        self.half.pop(path, None)
        self._note(path, data)

    @precondition(_few)
    @happens(name=NAMES, ending=st.sampled_from([b"", b"", b"name: [\n", b"\ndone: true\n"]))
    def a_task_is_written_in_place(self, name: str, ending: bytes) -> None:
        path, data = self.world.root / name, self._text() + ending
        self.world.write(path, data)
        self.half.pop(path, None)
        self._note(path, data)

    @precondition(_few)
    @happens(name=NAMES, shown=st.sampled_from([0, 10, 22]))
    def a_task_is_half_written(self, name: str, shown: int) -> None:
        path, data = self.world.root / name, self._text()
        self.world.write(path, data[:shown])
        self.half[path] = data[shown:]

    @precondition(lambda self: self.half)
    @happens(which=ANY)
    def the_other_half_is_written(self, which: int) -> None:
        path = list(self.half)[which % len(self.half)]
        rest = self.half.pop(path)
        if path.exists():
            self.world.write(path, path.read_bytes() + rest)
            self._note(path, path.read_bytes())

    @precondition(lambda self: self.dropped and self._few())
    @happens(which=ANY)
    def a_sync_tool_brings_a_file_back(self, which: int) -> None:
        name, data, mtime = self.dropped[-1 - which % len(self.dropped)]
        if not (self.world.root / name).exists():
            self.world.move_in(self.world.root / name, data, mtime)

    # ---------------------------------------------------------------- the folders

    def _is_task(self, *states: str) -> bool:
        return bool(self.world.folders(*states))

    def _pick(self, which: int, *states: str) -> Path:
        folders = self.world.folders(*states)
        return folders[which % len(folders)]

    @precondition(lambda self: self._is_task(*STATES))
    @happens(which=ANY, state=st.sampled_from(STATES), told=st.booleans())
    def a_task_is_moved_by_hand(self, which: int, state: str, *, told: bool) -> None:
        folder = self._pick(which, *STATES)
        if not (self.world.root / state / folder.name).exists():
            self.world.move(folder, state, told=told)

    @precondition(lambda self: self._is_task(*STATES))
    @happens(which=ANY)
    def a_task_is_thrown_away(self, which: int) -> None:
        self.world.throw_away(self._pick(which, *STATES))

    @precondition(lambda self: self._is_task("pending"))
    @happens(which=ANY)
    def a_file_is_taken_back(self, which: int) -> None:
        for path in self._pick(which, "pending").glob("task.*"):
            self.world.take_out(path)

    @precondition(lambda self: self._is_task(*LIVE))
    @happens(which=ANY)
    def a_task_is_called_off(self, which: int) -> None:
        (self._pick(which, *LIVE) / "cancel").touch()

    @happens()
    def the_queue_is_paused(self) -> None:
        (self.world.root / "PAUSE").touch()

    @precondition(lambda self: (self.world.root / "PAUSE").exists())
    @happens()
    def the_queue_goes_on(self) -> None:
        (self.world.root / "PAUSE").unlink()

    # ---------------------------------------------------------------- answers

    @precondition(lambda self: self._is_task("blocked", "running"))
    @happens(
        which=ANY,
        name=st.sampled_from(["answer.md", "answer.txt"]),
        words=st.sampled_from(
            ["Answer {} is this\n", "Answer {} is this\n.\n", "1\n", "done", "allow", "stop", "20", "", " \n"]
        ),
        moved=st.booleans(),
    )
    def it_is_answered(self, which: int, name: str, words: str, *, moved: bool) -> None:
        data = words.format(next(self.written)).encode()
        path = self._pick(which, "blocked", "running") / name
        (self.world.move_in if moved else self.world.write)(path, data)
        if b"Answer" not in data:
            self.world.given.discard(data)

    # ---------------------------------------------------------------- the agents

    def _works(self) -> bool:
        return bool(self.world.machine.alive)

    def _agent(self, which: int) -> Claude:
        alive = self.world.machine.alive
        return alive[which % len(alive)]

    def _at_work(self, which: int) -> Claude | None:
        """An agent that has got as far as working; None if it has ended on the way there, or is done already."""
        agent = self._agent(which)
        if not agent.began:
            self.world.machine.begin(agent)
        if agent.alive and not agent.worked:
            self.world.machine.work(agent)
        return agent if agent.alive and not agent.over else None

    @precondition(_works)
    @happens(which=ANY)
    def an_agent_begins(self, which: int) -> None:
        if not self._agent(which).began:
            self.world.machine.begin(self._agent(which))

    @precondition(_works)
    @happens(which=ANY, behind=st.booleans(), deaf=st.booleans())
    def an_agent_works(self, which: int, *, behind: bool, deaf: bool) -> None:
        if (agent := self._at_work(which)) is not None:
            agent.deaf = deaf
            self.world.machine.left_behind |= {agent.run} if behind else set()

    @precondition(_works)
    @happens(which=ANY, lingers=st.booleans(), twice=st.booleans())
    def an_agent_succeeds(self, which: int, *, lingers: bool, twice: bool) -> None:
        if (agent := self._at_work(which)) is not None:
            for _ in range(1 + twice):
                self.world.machine.succeed(agent)
            self.world.machine.successes.add(agent.task)
            if not lingers:
                self.world.machine.end(agent, 0)

    @precondition(_works)
    @happens(
        which=ANY, text=st.sampled_from(["Which?", '{"text": "Which?", "options": ["A", "B"]}', ""]), dies=st.booleans()
    )
    def an_agent_asks(self, which: int, text: str, *, dies: bool) -> None:
        if (agent := self._at_work(which)) is not None:
            self.world.machine.ask(agent, text)
            if not dies:
                self.world.machine.succeed(agent)
            self.world.machine.end(agent, -9 if dies else 0)

    @precondition(_works)
    @happens(which=ANY)
    def an_agent_is_denied_something(self, which: int) -> None:
        if (agent := self._at_work(which)) is not None:
            denial = {"tool_name": "Bash", "tool_use_id": "x", "tool_input": {"command": "make"}}
            self.world.machine.succeed(agent, permission_denials=[denial])
            self.world.machine.end(agent, 0)

    @precondition(_works)
    @happens(
        which=ANY,
        trouble=st.sampled_from(["limit", "overloaded", "account", "nonsense", "money"]),
        worked=st.booleans(),
    )
    def an_agent_fails(self, which: int, trouble: str, *, worked: bool) -> None:
        agent = self._agent(which)
        if worked:
            self._at_work(which)
        elif not agent.began:
            self.world.machine.begin(agent)
        if not agent.alive or agent.over:
            return
        resets = int(self.world.wall.timestamp()) + 3600
        window = {"status": "rejected", "resetsAt": resets, "rateLimitType": "five_hour"}
        error: dict[str, object] = {
            "limit": {"error": "rate_limit", "api_error_status": 429, "api_error": "usage_limit_reached"}
            | {"api_error_params": {"rate_limit_info": window}},
            "overloaded": {"error": "overloaded", "api_error_status": 529},
            "account": {"error": "authentication_failed", "api_error_status": 401},
        }.get(trouble, {"error": "invalid_request", "api_error_status": 400})
        more: dict[str, object] = {"api_error_status": error["api_error_status"]}
        if trouble == "money":
            more = {"subtype": "error_max_budget_usd", "result": None, "errors": ["Reached maximum budget"]}
        self.world.machine.fail(agent, error, **more)
        self.world.machine.end(agent, 1)

    @precondition(_works)
    @happens(which=ANY, code=st.sampled_from([-9, 1, 0, 143, 127]), half=st.booleans())
    def an_agent_dies(self, which: int, code: int, *, half: bool) -> None:
        agent = self._agent(which)
        if half:
            self.world.machine.say_half_a_line(agent)
        self.world.machine.end(agent, code)

    @precondition(_works)
    @happens(which=ANY)
    def an_agent_dies_just_after_its_prompt_was_saved(self, which: int) -> None:
        agent = self._agent(which)
        if not agent.began:
            self.world.machine.begin(agent)
        if agent.alive:
            self.world.machine.save(agent)
            self.world.machine.end(agent, -9)

    @precondition(lambda self: self._runs())
    @happens()
    def nothing_can_be_started_for_a_while(self) -> None:
        self.world.machine.refuses = True
        self._look_on(3)
        self.world.machine.refuses = False

    # ---------------------------------------------------------------- the daemon, the computer, the time

    def _look_on(self, looks: int) -> None:
        for _ in range(looks):
            self.world.tick()
            self.world.pass_time(2)

    def _runs(self) -> bool:
        return self.world.service is not None

    @precondition(_runs)
    @happens()
    def the_daemon_is_killed(self) -> None:
        self.world.service = None

    @precondition(_runs)
    @happens(after=st.integers(0, 25))
    def the_daemon_is_killed_in_the_middle(self, after: int) -> None:
        self.world.disk.dies_at = after

    @precondition(_runs)
    @happens()
    def the_daemon_is_stopped(self) -> None:
        assert self.world.service is not None
        self.world.disk.mend()
        self.world.service.stop()
        for _ in range(4):
            self.world.tick()
            self.world.pass_time(10)
        if self._runs():
            self._check(["the daemon was stopped, and agents go on"] if self.world.machine.alive else [])
        self.world.service = None

    @happens()
    def the_computer_is_rebooted(self) -> None:
        self.world.machine.reboot()
        self.world.service = None
        self.world.steady = 5.0

    @happens(seconds=st.sampled_from([1, 6, 21, 100, 4000, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @happens(days=st.sampled_from([-1, 1, None]))
    def the_clock_is_set(self, days: int | None) -> None:
        if days is not None:
            self.world.wall += timedelta(days=days)
            return
        right, self.world.wall = self.world.wall, datetime(1970, 1, 1, tzinfo=UTC)
        self._look_on(3)
        self.world.wall = right

    # ---------------------------------------------------------------- the disk

    @precondition(_runs)
    @happens(full=st.booleans(), tries=ANY)
    def the_disk_fails_for_a_while(self, *, full: bool, tries: int) -> None:
        self.world.disk.full, self.world.disk.broken = full, not full
        self._look_on(tries)
        self.world.disk.mend()

    @precondition(_runs)
    @happens(after=st.integers(0, 25))
    def one_effect_fails(self, after: int) -> None:
        self.world.disk.fails_at = after

    @happens(what=st.sampled_from(["", "running", "pending", "blocked"]), kills=st.booleans())
    def a_folder_goes_away_and_comes_back(self, what: str, *, kills: bool) -> None:
        there = self.world.root / what
        meanwhile = there.rename(self.world.outside / f"away-{there.name}")
        self._look_on(2)
        if kills and self.world.machine.alive:
            self.world.machine.end(self._agent(0), -9)
        self._look_on(2)
        if not there.exists():
            meanwhile.rename(there)
            return
        for path in meanwhile.iterdir():  # it has been made anew by a daemon that did not know of anything in it
            path.rename(there / path.name)
        meanwhile.rmdir()

    # ---------------------------------------------------------------- what must hold

    def _check(self, wrongs: list[str] | None = None) -> None:
        self.stage.steps += 1
        found = self.world.wrongs() if wrongs is None else wrongs
        self.fine = not found
        assert not found, "\n".join([*found, "", "What the daemon said:", *self.world.journal.said])

    @precondition(_runs)
    @rule()
    def the_daemon_comes_to_rest(self) -> None:
        self.world.disk.mend()
        self.world.pass_time(_LONGEST_RETRY)
        self.world.settle()
        before = self.world.snapshot()
        busy = [f"at rest, a second look does {self.world.plan.actions}"] if self.world.tick() else []
        changed = sorted(dict(self.world.snapshot().items() ^ before.items()))
        busy += [f"at rest, a second look changes {changed}"] if changed else []
        self._check(busy + self.world.wrongs_at_rest())

    def teardown(self) -> None:
        """Put everything right: then every task must come to its end."""
        try:
            if self.fine:
                self._put_right()
        finally:
            logging.getLogger("dropbox_runner").removeHandler(self.world.journal)
            self.stage.ear.disk = None
            self.world.close()
            shutil.rmtree(self.world.base)

    def _put_right(self) -> None:
        self.world.wall += timedelta(days=3)
        (self.world.root / "PAUSE").unlink(missing_ok=True)
        while self.half:
            self.the_other_half_is_written(which=0, looks=0)
        if self.world.service is None:
            self.world.start()
        for _ in range(_PATIENCE):
            self.the_daemon_comes_to_rest()
            if not self.world.folders(*LIVE) and not list(self.world.root.glob("*.yaml")):
                return
            self.world.pass_time(2 * 3600)
            for folder in self.world.folders("blocked"):
                self._help(folder)
            self.world.settle()
            for number in reversed(range(len(self.world.machine.alive))):
                self.an_agent_succeeds(which=number, lingers=False, twice=False, looks=0)
                if number < len(self.world.machine.alive) and self._agent(number).over:
                    self.world.machine.end(self._agent(number), 0)
        left = [str(path.relative_to(self.world.root)) for path in self.world.folders(*LIVE)]
        self._check([f"stranded for ever: {left}; {self.world.plan.waiting}"])

    def _help(self, folder: Path) -> None:
        """Do what the task waits for."""
        topic = ((self.world.record(folder) or {}).get("asking") or {}).get("topic")
        if not (folder / "question.json").exists():
            self.world.move(folder, "pending")
            return
        for path in folder.glob("answer.*"):
            self.world.take_out(path)
        self.world.move_in(folder / "answer.md", {"money": b"1000", "session": b"1"}.get(str(topic), b"Go on.\n"))


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Stage:
    # Nobody pulls a plug here, and waiting for the disk is all it costs.
    monkeypatch.setattr("os.fsync", lambda _: None)
    logging.getLogger("dropbox_runner").setLevel(logging.INFO)
    stage = Stage(tmp_path_factory.mktemp("life"))
    monkeypatch.setattr("uuid.uuid4", stage.uuid4)
    return stage


def live(stage: Stage, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Life(stage),  # type: ignore[arg-type]  # whatever makes one will do
        settings=settings(
            max_examples=examples,
            derandomize=True,  # a change is judged by the same lives as the one before it; other seeds are run by hand
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            # Not `explain`: it traces every line, and takes minutes for it.
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_short_life_loses_nothing_and_runs_nothing_twice(stage: Stage) -> None:
    live(stage, examples=10, steps=30)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_long_lives_lose_nothing_and_run_nothing_twice(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    live(stage, examples=150, steps=150)
    record_property("figure: steps of the state machine", stage.steps)
    record_property("figure: lives of the state machine", next(stage.worlds) - 1)
