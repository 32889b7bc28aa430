"""The real program as a process of its own, in a home of its own, with the stand-in for claude."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Daemon, World


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An inbox as `init` makes it."""
    world = World(tmp_path_factory.mktemp("template"))
    world.make()
    return world


@pytest.fixture(scope="session")
def watcher(request: pytest.FixtureRequest) -> bool:
    """Whether the daemons are told of changes, or only look now and then (pytest --no-watcher)."""
    return not request.config.getoption("--no-watcher")


@pytest.fixture
def world(tmp_path: Path, template: World, *, watcher: bool) -> Iterator[World]:
    """An inbox that has been made, without a daemon."""
    world = World(tmp_path, watcher=watcher)
    world.copy_of(template)
    yield world
    world.end()
    assert not world.errors(), f"the daemon broke down:\n{world.errors()}"


@pytest.fixture
def daemon(world: World) -> Daemon:
    """A daemon in that world."""
    return world.start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, template: World, *, watcher: bool) -> Iterator[World]:
    """One daemon for many tests, each with tasks and texts of its own: a daemon takes most of a second to start."""
    world = World(tmp_path_factory.mktemp("shared"), watcher=watcher)
    world.copy_of(template)
    world.start("--max-parallel", "20")
    yield world
    world.end()
    assert not world.errors(), f"the daemon broke down:\n{world.errors()}"
