"""What every test with the real claude needs: claude itself, an API for it, and an inbox to drop things into."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .real_inbox import Api, Inbox


@pytest.fixture(scope="session")
def claude() -> str:
    """The real command line: what CLAUDE_BIN names, else `claude` on PATH."""
    given = os.environ.get("CLAUDE_BIN")
    found = shutil.which(given or "claude")
    if found is None:
        pytest.skip(f"needs the real claude: CLAUDE_BIN={given}" if given else "needs the real claude: none on PATH")
    return os.path.abspath(found)  # noqa: PTH100 - a link must stay one


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = Api(tmp_path / "requests.jsonl")
    yield server
    server.close()


@pytest.fixture
def inbox(tmp_path: Path, claude: str, api: Api) -> Iterator[Inbox]:
    made = Inbox(tmp_path, claude, api)
    yield made
    made.close()
    assert "Traceback" not in made.log, made.log
    assert " error: " not in made.log, made.log
