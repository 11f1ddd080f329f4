"""The application in a real terminal (tmux): what arrives there, and what is left behind."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.ui.scenes import CRASH, Run, ended, records

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (apt-get install tmux)")

DEADLINE = 40.0
"""Seconds: a start takes one on an idle machine, ten on a very busy one."""


class Terminal:
    """A tmux session of its own with one shell in it."""

    def __init__(self, folder: Path, width: int, height: int, **environment: str) -> None:
        self._socket = str(folder / "tmux")
        self.bytes = folder / "bytes"
        clean = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        shell = "env PS1='$ ' bash --norc --noprofile"
        self._run(
            "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), shell, env=clean | environment
        )
        self._run("pipe-pane", "-o", f"cat > {shlex.quote(str(self.bytes))}")
        self.wait(lambda screen: "$" in screen)

    def _run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    def type(self, *keys: str) -> None:
        """Press keys, named as tmux names them."""
        self._run("send-keys", *keys)

    def run(self, command: str) -> None:
        """Type a command and Enter."""
        self._run("send-keys", "-l", command)
        self.type("Enter")

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def screen(self) -> str:
        """What the user sees."""
        return self._run("capture-pane", "-p")

    def wait(self, seen: Callable[[str], bool]) -> str:
        """The first screen that `seen` likes."""
        pause, deadline = threading.Event(), time.monotonic() + DEADLINE
        while not seen(screen := self.screen()):
            assert time.monotonic() < deadline, f"never seen; the screen at last:\n{screen}"
            pause.wait(0.05)
        return screen

    def close(self) -> None:
        """End the session and all in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Makes terminals, and ends them."""
    made: list[Terminal] = []

    def make(width: int = 120, height: int = 40, **environment: str) -> Terminal:
        folder = tmp_path / f"terminal{len(made)}"
        folder.mkdir()
        made.append(Terminal(folder, width, height, **environment))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def app(tmp_path: Path) -> str:
    """The command line of the application on a directory with two jobs."""
    write(tmp_path / "jobs", Run("calm", ranks=4, steps=50, total=50, ends=ended(4, status="completed")))
    evil = CRASH | {"error": {"type": "\x1b[2JBoom", "message": "\x1b]0;owned\x07[/b] \x9b31m"}}
    hosts = "\x1b[5mnode\u202e"
    write(tmp_path / "jobs", Run("loud", ranks=2, steps=50, total=80, ends={1: evil}, hosts=lambda _: hosts))
    own = f"env XDG_STATE_HOME={shlex.quote(str(tmp_path / 'state'))}"
    return f"{own} {shlex.quote(sys.executable)} -m ugro_tui --metrics-dir {shlex.quote(str(tmp_path / 'jobs'))}"


def at_prompt(screen: str) -> bool:
    """Whether the shell waits for a command again: what is typed before that may be lost with the application."""
    return screen.rstrip().endswith("$")


def write(root: Path, run: Run) -> None:
    """The files of a run, as its ranks would write them."""
    folder = root / run.job_id
    folder.mkdir(parents=True)
    for rank in range(run.ranks):
        name = f"metrics.rank-{rank}.jsonl" if rank else "metrics.jsonl"
        (folder / name).write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records(run, rank)))


def test_start_type_resize_and_quit(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    tty.run(f"{app} watch calm")
    tty.wait(lambda screen: "FINISHED" in screen and "Loss" in screen and "┤" in screen and "/2 " in screen)
    tty.type("]")
    tty.wait(lambda screen: "FAILED" in screen)
    tty.type("[")
    tty.wait(lambda screen: "FINISHED" in screen)
    tty.type("?")
    tty.wait(lambda screen: "training goes on when you quit" in screen)
    tty.type("Escape")
    tty.resize(80, 24)
    tty.wait(lambda screen: "tab: loss" in screen)
    tty.resize(20, 5)
    tty.wait(lambda screen: "calm" in screen)
    tty.resize(200, 60)
    tty.wait(lambda screen: "Alerts 0" in screen)
    tty.type("q")
    screen = tty.wait(at_prompt)
    assert "FINISHED" not in screen
    assert "┤" not in screen
    tty.run("echo back-$((40+2))")
    tty.wait(lambda screen: "back-42" in screen)


@pytest.mark.parametrize("signal", ["TERM", "HUP", "QUIT"])
def test_signals_restore_the_terminal(terminal: Callable[..., Terminal], app: str, signal: str) -> None:
    tty = terminal()
    tty.run(f"{app} watch calm")
    tty.wait(lambda screen: "FINISHED" in screen)
    pids = subprocess.run(["pgrep", "-f", f"{app.split()[-1]} watch calm"], capture_output=True, text=True, check=True)
    for pid in pids.stdout.split():
        subprocess.run(["kill", f"-{signal}", pid], check=False)
    tty.wait(at_prompt)
    tty.run("stty -a | tr '\\n' ' ' | grep -oE '[-]?(icanon|echo) '; echo back-$((40+2))")
    screen = tty.wait(lambda screen: "back-42" in screen)
    assert "\nicanon" in screen
    assert "\necho" in screen


def test_a_terminal_that_is_closed_ends_the_application(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    tty.run(f"{app} watch calm")
    tty.wait(lambda screen: "FINISHED" in screen)
    pattern = f"{app.split()[-1]} watch calm"
    assert subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False).returncode == 0
    tty.close()
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline, "the application goes on without a terminal"
        pause.wait(0.1)


def test_no_byte_of_a_node_moves_the_terminal(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    tty.run(f"{app} watch loud")
    screen = tty.wait(lambda screen: "FAILED" in screen and "Boom" in screen)
    assert "␛[2JBoom" in screen
    tty.type("q")
    tty.wait(lambda screen: "FAILED" not in screen)
    sent = tty.bytes.read_bytes()
    for chosen in (b"\x1b[2JBoom", b"\x1b]0;owned", b"\x1b[5mnode", "\x9b31m".encode(), "\u202e".encode()):
        assert chosen not in sent


def test_the_end_of_a_job_is_heard_once(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    for _ in range(2):  # the second run of the application has nothing new to tell
        tty.run(f"{app} watch loud")
        tty.wait(lambda screen: "FAILED" in screen and "Boom" in screen)
        tty.wait(lambda _: b"\x07\x1b]9;ugro-tui: loud failed: " in tty.bytes.read_bytes())
        tty.type("q")
        tty.wait(at_prompt)
    assert tty.bytes.read_bytes().count(b"\x07\x1b]9;ugro-tui: loud failed: ") == 1
    assert b"\x1b]0;owned" not in tty.bytes.read_bytes()


def test_no_color_sends_no_colour(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal(NO_COLOR="1")
    tty.run(f"{app} watch loud")
    tty.wait(lambda screen: "✖ FAILED" in screen)
    sent = tty.bytes.read_bytes()
    reds = [part for part in sent.split(b"\x1b[") if part.startswith(b"38;2;")]
    channels = [part[5:].split(b"m")[0].split(b";")[:3] for part in reds]
    assert all(len(set(channel)) == 1 for channel in channels), "a colour that is no shade of grey"
    tty.type("q")
    tty.wait(at_prompt)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("TERM=dumb {app}", "cannot draw on TERM='dumb'"),
        ("{app} watch calm < /dev/null", "needs a terminal"),
        ("{app} watch nosuch", "nosuch"),
    ],
)
def test_refusals_are_readable(terminal: Callable[..., Terminal], app: str, command: str, said: str) -> None:
    tty = terminal()
    tty.run(command.format(app=app) + "; echo code-$?")
    screen = tty.wait(lambda screen: "code-2" in screen)
    assert said in screen.replace("\n", "")
    assert "Traceback" not in screen
