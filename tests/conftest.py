"""What holds for all tests."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

_FIGURE = "figure: "


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the daemons of all tests look every now and then instead of being told of changes (`--poll`)."""
    parser.addoption("--no-watcher", action="store_true", help="start every daemon with --poll 0.1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out with `--no-watcher` what is about the watcher."""
    if config.getoption("--no-watcher"):
        about_it = [item for item in items if item.get_closest_marker("watcher")]
        items[:] = [item for item in items if item not in about_it]
        config.hook.pytest_deselected(items=about_it)


def pytest_configure() -> None:
    """Give signals back their meaning: started in the background, or under nohup, we inherit them as ignored.

    So would every program that a test starts, and ^C in it would do nothing.
    """
    for number, meaning in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, meaning)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up the figures that tests have recorded (`record_property("figure: power cuts", 3)`), and print them."""
    figures: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name.startswith(_FIGURE) and getattr(report, "when", "") == "call":
                    figures[name.removeprefix(_FIGURE)] += int(value)
    if figures:
        terminalreporter.section("figures")
        for name, value in figures.items():
            terminalreporter.line(f"{value:6} {name}")
