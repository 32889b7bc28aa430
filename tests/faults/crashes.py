"""States of the disk after a power cut: copied at every step of every effect, and varied as filesystems vary them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from faulty import Point
from inboxes import Inbox
from telling import FAST, Told, inbox_of, outcome_of

from dropbox_runner.agent.processes import boot_id
from dropbox_runner.folder.layout import Layout, local_state

INBOX = "inbox"
ELSEWHERE = ("agent", "state", "said", "next")
"""What may lie on another disk."""


@dataclass(frozen=True)
class State:
    """One state of the disk: a copy, and what is done to it."""

    copy: Path
    point: Point
    variant: str = "as it is"
    source: str = ""
    """Where what was moved last came from."""

    def __str__(self) -> str:
        return f"{self.point}: {self.variant}"


@dataclass(frozen=True)
class Camera:
    """Copies everything at each step of an effect."""

    base: Path
    album: Path

    def __call__(self, point: Point) -> None:
        if is_effect(point):
            copy = self.album / f"{len(list(self.album.iterdir())):04}"
            copy.mkdir()
            with nobody_acts(self.base):
                copy_of(self.base, copy)
            (copy / "point").write_text(json.dumps(asdict(point)))


def is_effect(point: Point) -> bool:
    """Whether what happens at this point lies in the inbox and must last."""
    return not (point.reads or point.action == "Look" or point.step.startswith(("ledger", "signal")))


@contextmanager
def nobody_acts(base: Path) -> Iterator[None]:
    """Keep the person still."""
    with (base / "person.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_of(base: Path, copy: Path, names: Iterable[str] = (INBOX, *ELSEWHERE)) -> None:
    """Copy everything of an inbox; the agent may be moving its files about meanwhile."""
    for name in names:
        if (base / name).is_dir():
            with suppress(shutil.Error):
                shutil.copytree(base / name, copy / name, symlinks=True)
        elif (base / name).exists():
            shutil.copy2(base / name, copy / name)


@contextmanager
def states_of(story: str, points: list[Point], pool: ProcessPoolExecutor) -> Iterator[list[State]]:
    """Give every state of the disk that a power cut may leave at these points of a story; no two are the same."""
    album = Path(tempfile.mkdtemp(prefix="dropbox-runner-", dir=FAST))
    try:
        pool.submit(_photograph, story, album).result()
        names = {str(point) for point in points}
        yield [state for state in _states(album) if str(state.point) in names]
    finally:
        shutil.rmtree(album, ignore_errors=True)


def _photograph(story: str, album: Path) -> None:
    with inbox_of(story) as inbox:
        inbox.make()
        inbox.tell(Camera(inbox.base, album))


def _states(album: Path) -> Iterator[State]:
    seen: set[str] = set()
    source = ""
    # One without it is a copy that was being made when the daemon was killed.
    for file in sorted(album.glob("*/point")):
        copy, point = file.parent, Point(**json.loads(file.read_text()))
        if point.step == "move: rename":
            source = point.path
        new = (digest := _digest(copy)) not in seen
        seen.add(digest)
        for variant in _variants(copy, point, new=new):
            yield State(copy, point, variant, source)


def _digest(copy: Path) -> str:
    files = sorted(path for path in copy.rglob("*") if path.name not in ("point", "STATUS.md", "notice.json"))
    said = [(str(path.relative_to(copy)), path.read_bytes() if path.is_file() else b"") for path in files]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _variants(copy: Path, point: Point, *, new: bool) -> Iterator[str]:
    if new:
        yield "as it is"
        if any(copy.glob("inbox/running/*/run-*.jsonl")):
            # Nobody syncs what claude writes.
            yield "logs lost"
            yield "logs cut short"
    match point.step:
        case "write: sync":
            yield from ("half never made", "half empty", "half cut short")
        case "write: rename":
            yield "half never made"
        case "move: sync source":
            yield "in both places"


def after_power_cut(story: str, state: State) -> Told:
    """Go on from a state of the disk, and say what did not hold in the end."""
    with inbox_of(story) as inbox:
        inbox.base.mkdir(exist_ok=True)
        copy_of(state.copy, inbox.base)
        _vary(inbox, state)
        inbox.strict = not state.variant.startswith("logs")
        inbox.twins = state.variant == "in both places"
        return outcome_of(inbox, f"{story}: {state}", after_reboot)


def after_reboot(inbox: Inbox) -> None:
    """Go on in another place and in another boot: what was running has ended."""
    inbox.configure()
    for known in (inbox.base / "state" / "dropbox-runner" / "folders").glob("*"):
        known.rename(known.with_name(_local_name(inbox)))
    for record in inbox.root.glob("*/*/record.json"):
        record.write_bytes(record.read_bytes().replace(boot_id().encode(), b"earlier-boot"))
    inbox.tell(None)


def _local_name(inbox: Inbox) -> str:
    return local_state(Layout.of(inbox.root)).name


def _vary(inbox: Inbox, state: State) -> None:
    target = inbox.base / state.point.path
    match state.variant:
        case "logs lost" | "logs cut short":
            for log in (*inbox.root.glob("running/*/run-*.jsonl"), *inbox.root.glob("running/*/run-*.stderr")):
                data = log.read_bytes()
                log.write_bytes(data[: len(data) // 2] if state.variant == "logs cut short" else b"")
        case "in both places":
            source = inbox.base / state.source
            if target.is_dir():
                shutil.copytree(target, source)
            else:
                shutil.copy2(target, source)
        case "half never made" | "half empty" | "half cut short":
            for half in _parent(inbox, target).glob(f".{target.name}.*.tmp"):
                data = half.read_bytes()
                half.write_bytes(data[: len(data) // 2] if state.variant == "half cut short" else b"")
                if state.variant == "half never made":
                    half.unlink()


def _parent(inbox: Inbox, target: Path) -> Path:
    if "DIGEST" not in target.parts:
        return target.parent
    return next(inbox.base.glob(str(target.parent.relative_to(inbox.base)).replace("DIGEST", "*")))
