"""Real filesystems lose their power at each step of each transition, and keep what had been called durable.

The inbox lies on a filesystem in a file. At each step that file is cloned as it is at this moment: what the filesystem
has not written yet is lost, as in a power cut. The clone is mounted, its journal is replayed, and a daemon goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import disks
import pytest
from crashes import ELSEWHERE, INBOX, after_reboot, copy_of, is_effect, nobody_acts
from faulty import Point
from inboxes import Inbox
from stories import STORIES
from telling import FAST, Told, outcome_of, summary, tellers

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(disks.why_not()), reason=f"a power cut cannot be played here: {disks.why_not()}"),
]

TOLD = ("question", "rejected", "cancelled pending", "edited blocked")
"""Between them these make every kind of transition."""
_NOTHING_NEW = ("create", "fill", "unlink", "make")
"""Steps before which nothing has happened since the last one."""


@dataclass
class Cutter:
    """At the daemon's elbow: clones the disk at each step, with a list of what is durable by now."""

    base: Path
    image: Path
    album: Path
    durable: dict[str, str] = field(default_factory=dict)
    """Path → the digest of the file, `folder`, or `absent`."""
    source: str = ""

    def __call__(self, point: Point) -> None:
        if not is_effect(point):
            return
        if point.path.startswith(f"{INBOX}/"):
            self._note(point)
        if not point.step.endswith(_NOTHING_NEW):
            cut = self.album / f"{len(list(self.album.iterdir())):04}"
            cut.mkdir()
            with nobody_acts(self.base):
                disks.clone(self.image, cut / "image")
                copy_of(self.base, cut, ELSEWHERE)
            (cut / "point").write_text(json.dumps(asdict(point)))
            (cut / "durable").write_text(json.dumps(self.durable))

    def _note(self, point: Point) -> None:
        match point.step:
            case "write: rename" | "remove: unlink":
                self.durable.pop(point.path, None)
            case "write: done":
                self.durable[point.path] = _digest(self.base / point.path)
            case "move: rename":
                self.source = point.path
                self._moved(point.path)
            case "move: sync target":
                self._moved(point.path)
            case "move: done":
                self.durable[point.path] = _digest(self.base / point.path)
                if (self.base / point.path).is_dir():
                    self.durable[self.source] = "absent"

    def _moved(self, source: str) -> None:
        # What lies in a folder goes with it; where to is only certain when it has arrived.
        self.durable = {path: what for path, what in self.durable.items() if not f"{path}/".startswith(f"{source}/")}


def _digest(path: Path) -> str:
    if path.is_dir():
        return "folder"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with tellers() as pool:
        yield pool


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    # In memory where there is room: it is the filesystems that are asked here, not the disk below them.
    roomy = FAST is not None and shutil.disk_usage(FAST).free > 4 << 30
    with tempfile.TemporaryDirectory(dir=FAST if roomy else tmp_path) as folder, disks.disks(Path(folder)) as place:
        yield place


@pytest.mark.parametrize("kind", disks.KINDS)
def test_a_power_cut_at_each_step_loses_nothing_and_runs_nothing_twice(
    kind: str, place: Path, tmp_path: Path, pool: ProcessPoolExecutor, record_property: Callable[[str, object], None]
) -> None:
    seen: set[tuple[str, str, str]] = set()
    going: list[Future[Told]] = []
    for story in TOLD:
        album = _cuts(story, kind, place, tmp_path, pool)
        for cut in sorted(album.iterdir()):
            if (shape := _shape(cut)) not in seen:
                seen.add(shape)
                going.append(pool.submit(_go_on, story, kind, cut, tmp_path / f"{story}-{cut.name}"))
                if kind == disks.ONE_AT_A_TIME:
                    going[-1].result()
    ends = [one.result() for one in going]
    record_property(f"figure: power cuts on {kind}", len(ends))
    broken = [one for one in ends if one.trouble]
    assert not broken, summary(broken, of=len(ends))


def _shape(cut: Path) -> tuple[str, str, str]:
    point = json.loads((cut / "point").read_text())
    return point["action"], point["step"], Path(point["path"]).name


def _cuts(story: str, kind: str, place: Path, tmp_path: Path, pool: ProcessPoolExecutor) -> Path:
    """Tell a story on such a filesystem, and return the folder with everything that was cut off on the way."""
    album, image, base = place / f"{story}.cuts", place / "image", tmp_path / "told"
    album.mkdir()
    disks.make(image, kind)
    with disks.mounted(image, base / INBOX, kind):
        pool.submit(_tell, story, base, image, album).result()
    shutil.rmtree(base)
    return album


def _tell(story: str, base: Path, image: Path, album: Path) -> None:
    inbox = _inbox(story, base)
    inbox.make()
    inbox.tell(Cutter(base, image, album))


def _inbox(story: str, base: Path) -> Inbox:
    return Inbox(base, next(one for one in STORIES if one.name == story))


def _go_on(story: str, kind: str, cut: Path, base: Path) -> Told:
    inbox = _inbox(story, base)
    inbox.twins = True
    point = Point(**json.loads((cut / "point").read_text()))
    with disks.mounted(cut / "image", base / INBOX, kind):
        copy_of(cut, base, ELSEWHERE)
        told = outcome_of(inbox, f"{story}: power cut at {point}", lambda inbox: _check_and_go_on(inbox, cut))
    shutil.rmtree(base)
    shutil.rmtree(cut)
    return told


def _check_and_go_on(inbox: Inbox, cut: Path) -> None:
    for path, what in json.loads((cut / "durable").read_text()).items():
        found = _digest(inbox.base / path)
        assert found == what, f"{path} was durable before the power cut: {what}, found: {found}"
    after_reboot(inbox)
