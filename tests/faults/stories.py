"""The stories that are told while something goes wrong. Together they hold every action of the daemon."""

from __future__ import annotations

import signal
from collections.abc import Callable

from inboxes import Do, Inbox, Scenario

TASK = "instructions: do the work\n"
LATER = "instructions: do the newer work\n"
_WAIT = "wait_for go\n"


def _always(_: Inbox) -> bool:
    return True


def _drop(text: str = TASK, name: str = "x.yaml", mtime: int | None = None) -> Callable[[Inbox], None]:
    return lambda inbox: inbox.drop(name, text, mtime)


def _answer(text: str) -> Callable[[Inbox], None]:
    return lambda inbox: inbox.put("blocked/x/answer.md", text)


def _asks(inbox: Inbox) -> bool:
    return inbox.asks("x")


def _works(inbox: Inbox) -> bool:
    return inbox.works("x")


def _queued(inbox: Inbox) -> bool:
    return inbox.queued("x")


def _is(state: str, task: str = "x") -> Callable[[Inbox], bool]:
    return lambda inbox: inbox.where(task) == state


def _cancel(state: str) -> Callable[[Inbox], None]:
    return lambda inbox: inbox.put(f"{state}/x/cancel", "")


def _hand_back(inbox: Inbox) -> None:
    inbox.put("done/x/answer.md", "make it shorter\n")
    (inbox.root / "done" / "x").rename(inbox.root / "pending" / "x")


def _move_away(inbox: Inbox) -> None:
    (inbox.root / "running" / "x").rename(inbox.root / "pending" / "x")
    inbox.allow("go")


def _answer_too_early(inbox: Inbox) -> None:
    inbox.put("running/x/answer.md", "a word before\n")


def _kept_as_late(inbox: Inbox) -> bool:
    return any(inbox.root.glob("*/x/late-answer-*"))


def _go(inbox: Inbox) -> None:
    inbox.allow("go")


def _pause(inbox: Inbox) -> None:
    inbox.put("PAUSE", "")


def _unpause(inbox: Inbox) -> None:
    (inbox.root / "PAUSE").unlink()


def _stop(inbox: Inbox) -> None:
    inbox.end(signal.SIGTERM)
    inbox.allow("go")


def _die(inbox: Inbox) -> None:
    inbox.end(signal.SIGKILL)
    inbox.allow("go")


def _limit_is_over(inbox: Inbox) -> None:
    for gate in inbox.base.glob("state/dropbox-runner/folders/*/gate/gate.json"):
        gate.unlink()


def _take_away(inbox: Inbox) -> None:
    (inbox.root / "running" / "x").rename(inbox.base / "taken-away")


def _take_back(inbox: Inbox) -> None:
    (inbox.root / "pending" / "x" / "task.yaml").rename(inbox.base / "taken-back.yaml")


def _limited(inbox: Inbox) -> bool:
    return any(inbox.base.glob("state/dropbox-runner/folders/*/gate/gate.json")) and inbox.where("x") == "pending"


def _edited(inbox: Inbox) -> bool:
    return not (inbox.root / "x.yaml").exists()


_API_ERROR = 'error=true; text="API Error: {0}"; more=\',"api_error_status":{0}{1}\'\n'
_DENIED = 'denied=\'{"tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"make"}}\'\n'
_ASK = 'ask "Which one?"\n'
_DIES = "kill -KILL $$\n"

STORIES = (
    Scenario("startup", (Do(_always, _drop()),), {"x": "done"}, from_the_start=True, told=("do the work",)),
    Scenario(
        "question",
        (Do(_always, _drop()), Do(_asks, _answer("the blue one\n"))),
        {"x": "done"},
        {"x.0": _ASK},
        told=("do the work", "the blue one"),
    ),
    Scenario("rejected", (Do(_always, _drop("instructions: [1\n")),), {"x": "failed"}, starts=frozenset()),
    Scenario(
        "copy",
        (Do(_always, _drop(mtime=1_700_000_000)), Do(_is("done"), _drop(mtime=1_700_000_000))),
        {"x": "done", "x-2": "failed"},
    ),
    Scenario(
        "edited pending",
        (
            Do(_always, _pause),
            Do(_always, _drop()),
            Do(_queued, _drop(LATER)),
            Do(lambda inbox: _queued(inbox) and not (inbox.root / "x.yaml").exists(), _unpause),
        ),
        {"x": "done"},
        told=("newer work",),
    ),
    Scenario(
        "edited blocked",
        (Do(_always, _drop()), Do(_asks, _drop(LATER))),
        {"x": "done"},
        {"x.0": _ASK},
        told=("newer work",),
    ),
    Scenario(
        "edited running",
        (Do(_always, _drop()), Do(_works, _drop(LATER)), Do(_edited, _go)),
        {"x": "done"},
        {"x.0": _WAIT},
        told=("newer work",),
    ),
    Scenario(
        "cancelled pending",
        (Do(_always, _pause), Do(_always, _drop()), Do(_queued, _cancel("pending"))),
        {"x": "failed"},
        starts=frozenset(),
    ),
    Scenario(
        "cancelled blocked",
        (Do(_always, _drop()), Do(_asks, _cancel("blocked"))),
        {"x": "failed"},
        {"x.0": _ASK},
    ),
    Scenario(
        "cancelled running",
        (Do(_always, _drop()), Do(_works, _cancel("running"))),
        {"x": "failed"},
        {"x.0": _WAIT},
    ),
    Scenario(
        "denied",
        (Do(_always, _drop()), Do(_asks, _answer("allow\n"))),
        {"x": "done"},
        {"x.0": _DENIED},
    ),
    Scenario(
        "retried",
        (Do(_always, _drop(TASK + "retries: 2\n")),),
        {"x": "done"},
        {"x.0": _API_ERROR.format(400, "")},
    ),
    Scenario("broken", (Do(_always, _drop()),), {"x": "failed"}, {"x.0": _API_ERROR.format(400, "")}),
    Scenario(
        "limited",
        (Do(_always, _drop()), Do(_limited, _limit_is_over)),
        {"x": "done"},
        {"x.0": _API_ERROR.format(429, ',"api_error":"usage_limit_reached"')},
    ),
    Scenario(
        "overloaded",
        (Do(_always, _drop()),),
        {"x": "done"},
        {"x.0": _API_ERROR.format(529, "")},
    ),
    Scenario(
        "out of money",
        (
            Do(_always, _drop(TASK + "max_budget_usd: 0.1\n")),
            Do(_asks, _answer("the blue one\n")),
            Do(lambda inbox: _asks(inbox) and "asking" in inbox.record("x"), _answer("10\n")),
        ),
        {"x": "done"},
        {"x.0": _ASK},
        told=("the blue one",),
    ),
    Scenario(
        "handed back",
        (Do(_always, _drop()), Do(_is("done"), _hand_back)),
        {"x": "done"},
        told=("make it shorter",),
    ),
    Scenario("stopped", (Do(_always, _drop()), Do(_works, _stop, brief=False)), {"x": "done"}, {"x.0": _WAIT}),
    Scenario("adopted", (Do(_always, _drop()), Do(_works, _die, brief=False)), {"x": "done"}, {"x.0": _WAIT}),
    Scenario(
        "moved away",
        (Do(_always, _drop()), Do(_works, _move_away)),
        {"x": "done"},
        {"x.0": _WAIT},
    ),
    Scenario(
        "deleted",
        (Do(_always, _drop()), Do(_works, _take_away)),
        {},
        {"x.0": _WAIT},
        gone=(TASK,),
    ),
    Scenario(
        "taken back",
        (Do(_always, _pause), Do(_always, _drop()), Do(_queued, _take_back)),
        {},
        starts=frozenset(),
        gone=(TASK,),
    ),
    Scenario(
        "answered too early",
        (
            Do(_always, _drop()),
            Do(_works, _answer_too_early),
            Do(_kept_as_late, _go),
            Do(_asks, _answer("the blue one\n")),
        ),
        {"x": "done"},
        {"x.0": _WAIT + _ASK},
        told=("a word before", "the blue one"),
    ),
    Scenario("cut off", (Do(_always, _drop()),), {"x": "done"}, {"x.0": f'echo turn >>"$finished"\n{_DIES}'}),
    Scenario(
        "given up",
        (Do(_always, _drop()), Do(_asks, _answer("stop\n"))),
        {"x": "failed"},
        {"x.0": _DIES},
        settings={"max_cut_off": "0"},
    ),
    Scenario(
        "timed out",
        (Do(_always, _drop(TASK + "timeout: 1s\n")),),
        {"x": "failed"},
        {"x.0": "trap '' TERM\nwait_for never\n"},
        settings={"stop_grace": "0.1s"},
    ),
)
