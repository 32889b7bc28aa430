"""Tasks whose file was changed where it lies: by whom and when nobody tells us, so its text is compared."""

from __future__ import annotations

from pathlib import Path

from dropbox_runner.core.errors import RejectedError
from dropbox_runner.core.settle import Fingerprint, Wait
from dropbox_runner.core.task import parse_task
from dropbox_runner.folder import durable, probe
from dropbox_runner.folder.taskfolder import MAX_TASK, TaskFolder


class Rewriting:
    """Knows which text each task had when it was looked at last, so that a file is read only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Fingerprint, str]] = {}

    def differs(self, folder: TaskFolder, task_file: str, sha256: str) -> bool:
        """Say whether a task's text is another than the one of this checksum."""
        path = folder.path / task_file
        seen = probe.fingerprint(path)
        if seen is None or not sha256:
            return False
        known = self._known.get(path)
        if known is None or known[0] != seen:
            known = self._known[path] = seen, folder.text_sha256()
        return known[1] not in ("", sha256)

    def forget_all_but(self, paths: set[Path]) -> None:
        """Forget tasks that are no longer there."""
        self._known = {path: known for path, known in self._known.items() if path in paths}


def trouble(path: Path) -> Wait | None:
    """Say why a changed text cannot be taken; the task goes on waiting, or working, with the one that it has."""
    try:
        parse_task(path.name, durable.read(path, MAX_TASK))
    except RejectedError as error:
        said = str(error).strip().partition("\n")[0]
        return Wait(f"its file was changed, and is no task any more: {said}", notable=True)
    except (OSError, durable.UnreadableError) as error:
        return Wait(str(error), notable=True)
    return None
