"""Look: turn what lies in the folders, and what is known of processes and writers, into one picture for `decide`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from dropbox_runner.agent.agents import Agents
from dropbox_runner.agent.environment import INBOX
from dropbox_runner.core.answer import parse_answer
from dropbox_runner.core.asking import problem
from dropbox_runner.core.clock import Now
from dropbox_runner.core.names import folder_name, in_folder
from dropbox_runner.core.question import parse_questions
from dropbox_runner.core.record import Record
from dropbox_runner.core.run import Run
from dropbox_runner.core.seen import Drop, Look, Seen, conflicts_first
from dropbox_runner.core.settings import Settings
from dropbox_runner.core.settle import EMPTY, Wait
from dropbox_runner.core.states import State
from dropbox_runner.core.task import ends_explicitly
from dropbox_runner.daemon.arrivals import Arrivals
from dropbox_runner.daemon.holding import Holding
from dropbox_runner.daemon.lingering import Lingering
from dropbox_runner.daemon.rewriting import Rewriting, trouble
from dropbox_runner.folder import durable
from dropbox_runner.folder.ground import MB_TO_TAKE, Ground, lack_of_room
from dropbox_runner.folder.layout import QUESTION, WORK, Layout
from dropbox_runner.folder.locks import lock_on, locks_among
from dropbox_runner.folder.scan import Found, Inbox, Scanner
from dropbox_runner.folder.taskfolder import TaskFolder, is_bare

_AT_ONCE: Final = 2000
"""So many finished files are handed on by one look. Each takes milliseconds to take, and meanwhile nobody looks."""
_SETTLING: Final = 2000
"""So many files are watched growing quiet at a time; the next ones follow when these are taken."""

_TO_BE_REMOVED: Final = 18
"""So many settle times a task may lie in two places: Syncthing tells of removals a minute later than of the rest."""


class Looker:
    """Looks at everything once."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        agents: Agents,
        arrivals: Arrivals,
        holding: Holding,
        ground: Ground,
        lingering: Lingering,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._agents = agents
        self._arrivals = arrivals
        self._lingering = lingering
        self._holding = holding
        self._rewriting = Rewriting()
        self._ground = ground
        self._scanner = Scanner(layout)
        self._looked = False
        self._queued: Mapping[str, tuple[Found, Seen]] = {}

    def look(self, now: Now, *, refused: int = 0) -> Look:
        """Return what there is now. OSError when the folders cannot be read, RefusedError when they are not ours.

        `refused` is how many finished files could not be taken before: they must not hold up the others.
        """
        self._ground.check(self._scanner.occupied)
        root = self._layout.root
        inbox = self._scanner.inbox()
        drops = self._drops(inbox, _AT_ONCE + refused, now)
        found = self._scanner.tasks()
        more_at = {one.name: at for one in inbox.left_alone if (at := self._more_until(one.name, now)) is not None}
        left = tuple(one for one in inbox.left_alone if one.name not in more_at)
        left += self._scanner.loose + tuple(one for task in found for one in task.left_alone)
        twins = _twins(found)
        seen = self._all_seen(found, twins, now)
        unfinished = {(root, _top(file)) for file in inbox.drops}  # a dropped folder is known as a whole
        unfinished |= {(root, one.name) for one in inbox.left_alone}
        unfinished |= {(self._layout.state(one.state), one.name) for one in found if _is_arriving(one, twins)}
        unfinished |= {(self._path(one), name) for one in found for name in one.answers}
        texts = {(self._path(one), one.task_file) for one in found if one.task_file and _text_is_watched(one)}
        self._arrivals.forget_all_but(unfinished | texts)
        self._rewriting.forget_all_but({folder / name for folder, name in texts})
        self._lingering.forget_all_but(one.record.open_run.id for one in found if one.record and one.record.open_run)
        held = self._holding.look(inbox.names, now)
        return Look(
            drops,
            seen,
            held.paused,
            later=frozenset(inbox.drops[len(drops) :]),
            watched=self._agents.watched() | self._strays(),
            probing=held.probing,
            starts_left=held.starts_left,
            left_alone=conflicts_first(left),
            more_at=min(more_at.values(), default=None),
        )

    def _strays(self) -> frozenset[str]:
        """Return the runs of this inbox that have processes: at the first look only, later they are watched."""
        if self._looked:
            return frozenset()
        self._looked = True
        return self._agents.strays(INBOX, str(self._layout.root))

    def _path(self, found: Found) -> Path:
        return self._layout.task(found.state, found.name)

    def _drops(self, inbox: Inbox, at_once: int, now: Now) -> tuple[Drop, ...]:
        """Judge the files in their order until so many are finished: with 50,000 of them, every look stays short.

        What waits without an end (an empty file, an editor) does not count: it must not keep the others out for ever.
        """
        drops: list[Drop] = []
        settling = _SETTLING
        full, locks = self._full(now), locks_among(inbox.names)
        for file in inbox.drops:
            if at_once <= 0 or settling <= 0:
                break
            wait = self._drop_wait(file, locks, now)
            at_once -= wait is None
            settling -= wait is not None and wait.until is not None
            drops.append(Drop(file, wait or full, folder_name(file)))
        return tuple(drops)

    def _drop_wait(self, file: str, locks: frozenset[str], now: Now) -> Wait | None:
        root, settle = self._layout.root, self._settings.settle
        if in_folder(file):
            folder, _, task_file = file.rpartition("/")
            return self._arrivals.wait_for_folder(root, folder, task_file, settle, now.steady)
        return self._arrivals.wait_for(root, file, locks, settle, now.steady, ends_explicitly)

    def _all_seen(self, found: tuple[Found, ...], twins: AbstractSet[str], now: Now) -> tuple[Seen, ...]:
        seen = tuple(self._seen_before(one) or self._seen(one, twins, now) for one in found)
        pairs = zip(found, seen, strict=True)
        queued = ((one, its) for one, its in pairs if one.state is State.PENDING and _is_quiet(one, twins))
        self._queued = {one.name: (one, its) for one, its in queued}
        return seen

    def _seen_before(self, found: Found) -> Seen | None:
        # Nothing runs for what is pending: a folder that has not changed is what it was, and a long queue costs little.
        before = self._queued.get(found.name)
        return before[1] if before is not None and before[0] is found and not before[1].alive else None

    def _more_until(self, name: str, now: Now) -> float | None:
        return self._arrivals.more_until(self._layout.root, name, self._settings.settle, now.steady)

    def _settling(self, found: Found, elsewhere: State | None, twins: AbstractSet[str], now: Now) -> Wait | None:
        if not _is_arriving(found, twins):
            return None
        twin = _is_twin(found, twins)
        # What may be left behind may also be what came first.
        longer = twin or (elsewhere is not None and found.remains_more_than_logs)
        settle = self._settings.settle * (_TO_BE_REMOVED if longer else 1)
        folder, whole = self._layout.state(found.state), found.whole and not twin
        return self._arrivals.wait_for_tree(folder, found.name, settle, now.steady, whole=whole)

    def _full(self, now: Now) -> Wait | None:
        """Say why nothing can be taken: half of a record is worse than a file that waits where it is."""
        lack = lack_of_room(self._layout, MB_TO_TAKE)
        return Wait(lack, now.steady + self._settings.poll, notable=True) if lack is not None else None

    def _seen(self, found: Found, twins: AbstractSet[str], now: Now) -> Seen:
        elsewhere = self._elsewhere(found) if found.headless else None
        run = found.record.open_run if found.record is not None else None
        return Seen(
            name=found.name,
            state=found.state,
            record=found.record,
            trouble=found.trouble,
            unreadable=found.unreadable,
            has_task=found.task_file is not None,
            settling=self._settling(found, elsewhere, twins, now),
            rewritten=(rewritten := self._rewritten(found)),
            text_wait=self._text_wait(found, now)
            if rewritten or (found.state is State.PENDING and found.maybe_open)
            else None,
            packed=found.packed,
            # What somebody has made here himself is told of as a task without a record.
            stray=found.headless and (elsewhere is not None or not found.remains),
            elsewhere=elsewhere,
            remains=bool(found.remains),
            left_work=WORK in found.remains and elsewhere is State.PENDING,
            bare=is_bare(found.files),
            halves=tuple(durable.halves(sorted(found.files))),
            cancel=found.cancel,
            alive=run is not None and self._is_alive(found, run),
            linger_until=self._linger_until(found, run, now) if run is not None else None,
            supervised=run is not None and self._agents.watches(run.id),
            asked=QUESTION in found.files,
            answers=found.answers,
            returned=self._returned(found) if found.state is State.BLOCKED else (),
            answer_wait=self._answer_wait(found, now),
        )

    def _is_alive(self, found: Found, run: Run) -> bool:
        if run.process is None:
            # The daemon died right after, or right before, starting it: only its mark can tell.
            return self._agents.leader(run.id, self._log(found, run)) is not None
        return self._agents.is_alive(run.process)

    def _log(self, found: Found, run: Run) -> Path:
        return TaskFolder(self._path(found)).stream(run.number)

    def _linger_until(self, found: Found, run: Run, now: Now) -> float | None:
        return self._lingering.over_at(run.id, self._log(found, run), self._settings.linger_grace, now.steady)

    def _rewritten(self, found: Found) -> bool:
        # In pending/, where there may be thousands, its text is compared when it is started.
        if found.record is None or found.task_file is None or found.state is State.PENDING:
            return False
        return self._rewriting.differs(TaskFolder(self._path(found)), found.task_file, found.record.dropped.sha256)

    def _text_wait(self, found: Found, now: Now) -> Wait | None:
        if found.task_file is None or found.record is None:
            return None
        path = self._path(found) / found.task_file
        if found.state is State.PENDING and lock_on(path, found.files) is None:
            return None
        wait = self._arrivals.wait_for(
            self._path(found), found.task_file, found.files, self._settings.settle, now.steady, ends_explicitly
        )
        if wait is None and found.state is not State.PENDING:
            wait = trouble(path)
        return replace(wait, reason=f"{found.task_file}: {wait.reason}") if wait is not None else None

    def _elsewhere(self, found: Found) -> State | None:
        """Say where the task is, where only its folder has been made again; asked of few, so it may read done/."""
        others = (state for state in State if state is not found.state)
        return next((state for state in others if TaskFolder(self._layout.task(state, found.name)).has_record), None)

    def _returned(self, found: Found) -> tuple[str, ...]:
        folder = TaskFolder(self._path(found))
        with suppress(FileNotFoundError):
            return tuple(one for one in found.answers if folder.was_answered_with(folder.path / one, same_time=True))
        return ()

    def _answer_wait(self, found: Found, now: Now) -> Wait | None:
        folder = self._path(found)
        for name in found.answers:
            path = folder / name
            wait = self._arrivals.wait_for(
                folder, name, found.files, self._settings.answer_settle, now.steady, _answer_ends
            )
            record = found.record if found.state is State.BLOCKED else None
            if wait is None and (problem := _problem(path, record)) is not None:
                wait = Wait(problem, notable=True)
            elif wait is not None and wait.reason == EMPTY:
                # In the same words as for one that holds nothing but blanks: to a person that is the same.
                wait = replace(wait, reason="the answer is empty")
            if wait is not None:
                return replace(wait, reason=f"{name}: {wait.reason}")
        return None


def _top(file: str) -> str:
    return file.partition("/")[0] if in_folder(file) else file


def _twins(found: tuple[Found, ...]) -> AbstractSet[str]:
    """Return the ids of the tasks that lie in several folders: most often only until a sync tool has moved one."""
    ids = [one.record.id for one in found if one.record is not None]
    return {one for one, often in Counter(ids).items() if often > 1} if len(set(ids)) < len(ids) else frozenset()


def _is_arriving(found: Found, twins: AbstractSet[str]) -> bool:
    """Say whether more of a task may be on its way, as sync tools bring, and remove, a folder file by file."""
    return not found.whole or found.handed_back or _is_twin(found, twins)


def _is_twin(found: Found, twins: AbstractSet[str]) -> bool:
    return found.record is not None and found.record.id in twins


def _is_quiet(found: Found, twins: AbstractSet[str]) -> bool:
    """Say whether nothing of what a look finds in a folder depends on the time."""
    return not _is_arriving(found, twins) and not found.maybe_open and not found.answers


def _text_is_watched(found: Found) -> bool:
    return found.state is not State.PENDING or found.maybe_open


def _answer_ends(name: str, data: bytes) -> bool:
    return parse_answer(name, data, ()).ended


def _problem(path: Path, record: Record | None) -> str | None:
    try:
        question = path.parent / QUESTION
        questions = parse_questions(durable.read(question))[0] if question.exists() else ()
        answer = parse_answer(path.name, durable.read(path), questions)
        return answer.problem or (problem(record, answer.text) if record is not None else None)
    except (OSError, durable.UnreadableError) as error:
        return str(error)
