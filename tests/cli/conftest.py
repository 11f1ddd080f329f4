"""A home of its own for every call of the command line."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tests.cli.support import COMMAND, REPOSITORY, Begin, Call, Terminal
from tests.writing import Clock, clean_environment, now_clock
from ugro_tui.front import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def root(home: Path) -> Path:
    folder = home / "ugro_data" / "jobs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def clock() -> Clock:
    return now_clock()


@pytest.fixture
def _own_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The log that a command opens goes with the test, and pytest's own handling of threads comes back."""
    logger = logging.getLogger("ugro_tui")
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = (list(logger.handlers), logger.propagate, logger.level)
    yield
    for handler in set(logger.handlers) - set(before[0]):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate, logger.level = before[1:]


@pytest.fixture
def call(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    _own_log: None,
) -> Call:
    """Run the command line in this process: exit code, output, errors."""
    for name in set(os.environ) - set(clean_environment(home)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))

    def run(*argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(argv)
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def begin(home: Path, tmp_path: Path) -> Iterator[Begin]:
    """Start a real process of the command line."""
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str, stdout: int | IO[str] = subprocess.PIPE, **added: str) -> subprocess.Popen[str]:
        env = clean_environment(home, PYTHONPATH=str(REPOSITORY), **added)
        process = subprocess.Popen(
            [*COMMAND, *argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True, env=env,
            cwd=tmp_path,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def begin_on_terminal(home: Path, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start a real process of the command line on a terminal."""
    with ExitStack() as started:

        def start(*argv: str) -> Terminal:
            env = clean_environment(home, PYTHONPATH=str(REPOSITORY), TERM="xterm")
            terminal = Terminal([*COMMAND, *argv], env, tmp_path)
            started.callback(terminal.close)
            return terminal

        yield start
