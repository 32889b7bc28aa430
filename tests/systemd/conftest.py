"""An inbox, and a `systemd --user` that can run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import World
from usermanager import UserManager, missing


@pytest.fixture(scope="session", autouse=True)
def what_is_needed() -> None:
    if why := missing():
        pytest.skip(why)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An inbox as `init` makes it."""
    world = World(tmp_path_factory.mktemp("template"))
    world.make()
    return world


@pytest.fixture
def world(tmp_path: Path, template: World) -> Iterator[World]:
    """An inbox that has been made."""
    world = World(tmp_path)
    world.copy_of(template)
    yield world
    world.end()


@pytest.fixture
def manager(world: World) -> Iterator[UserManager]:
    """The manager of the user whose home this is. No service is installed yet."""
    manager = UserManager(world)
    try:
        manager.start()
        yield manager
        said = manager.said()
    finally:
        manager.end()
    assert "this is a bug" not in said, said
