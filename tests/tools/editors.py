"""Editors as people use them: which keys write, save and quit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness import World, wait_until
from terminal import Terminal


@dataclass(frozen=True)
class Keys:
    """What a person presses. Each tuple is a row of keys by tmux' names."""

    ready: str
    """What stands on the screen as soon as it can be typed into; {name} is the file's."""
    write: tuple[str, ...] = ()
    """Before typing at the end of the text."""
    written: tuple[str, ...] = ()
    """After typing."""
    save: tuple[str, ...] = ()
    quit: tuple[str, ...] = ()


VIM: Final = Keys(ready="{name}", write=("G", "A"), written=("Escape",), save=(":w", "Enter"), quit=(":q!", "Enter"))
NANO: Final = Keys(ready="{name}", write=("M-/",), save=("C-s",), quit=("C-x",))
EMACS: Final = Keys(ready="{name}", write=("M->",), save=("C-x", "C-s"), quit=("C-x", "C-c"))


@dataclass(frozen=True)
class Editor:
    """An editor, set up in one way."""

    name: str
    """As the table in docs/answering.md calls it."""
    keys: Keys
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    """Files in the home of the person."""
    holds: bool = True
    """Whether it shows, all the time that it has a file open, that it has."""

    @property
    def program(self) -> str:
        """The program's name."""
        return self.command[0]

    def open(self, world: World, path: Path, cwd: Path | None = None) -> Window:
        """Open a file, in a terminal."""
        for name in (".vimrc", ".emacs"):
            (world.home / name).unlink(missing_ok=True)  # of whoever was here before
        for name, text in self.settings.items():
            (world.home / name).write_text(text)
        socket = world.base / f"tmux-{len(list(world.base.glob('tmux-*')))}"
        # Whoever has gone into a folder names what lies there by its name alone.
        file = path if cwd is None else path.name
        terminal = Terminal(socket, [*self.command, file], cwd or world.home, world.environment)
        terminal.wait_for(self.keys.ready.format(name=path.name))
        return Window(self, terminal, path)


class Window:
    """A file that somebody has open in an editor."""

    def __init__(self, editor: Editor, terminal: Terminal, path: Path) -> None:
        self.terminal = terminal
        self._keys = editor.keys
        self._path = path

    def write(self, text: str) -> None:
        """Type something at the end of the text."""
        self._press(self._keys.write)
        self.terminal.type(text)
        self._press(self._keys.written)
        last = text.rstrip("\n").rpartition("\n")[2]
        if last:
            self.terminal.wait_for(last)

    def save(self, holding: str | None = None) -> None:
        """Save it; wait until this text is in the file, where one is given."""
        self._press(self._keys.save)
        if holding is not None:
            wait_until(lambda: self._holds(holding), lambda: f"it was never saved:\n{self.terminal.screen}")

    def quit(self) -> None:
        """Quit without saving."""
        self._press(self._keys.quit)
        self.terminal.wait_until_ended()

    def _holds(self, text: str) -> bool:
        try:
            return text in self._path.read_text()
        except OSError:
            return False

    def _press(self, keys: tuple[str, ...]) -> None:
        if keys:
            self.terminal.press(*keys)


EDITORS: Final = (
    Editor("vim", VIM, ("vim",)),
    Editor("vim, `set backup`", VIM, ("vim",), {".vimrc": "set backup\n"}),
    Editor("vim, `set backupcopy=yes`", VIM, ("vim",), {".vimrc": "set backupcopy=yes\n"}),
    Editor("vim, `set backupcopy=no`", VIM, ("vim",), {".vimrc": "set backupcopy=no\n"}),
    Editor("vim, `set nowritebackup`", VIM, ("vim",), {".vimrc": "set nowritebackup\n"}),
    Editor("vim, `set noswapfile`", VIM, ("vim",), {".vimrc": "set noswapfile\n"}, holds=False),
    Editor("nano, `set locking` (Debian)", NANO, ("nano", "-I", "-G")),
    Editor("nano", NANO, ("nano", "-I"), holds=False),
    Editor("nano, `set backup`", NANO, ("nano", "-I", "-B"), holds=False),
    Editor("emacs", EMACS, ("emacs", "-nw"), holds=False),
    Editor(
        "emacs, `backup-by-copying`",
        EMACS,
        ("emacs", "-nw"),
        {".emacs": "(setq backup-by-copying t)\n"},
        holds=False,
    ),
)
