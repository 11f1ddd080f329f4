"""Real terminals (tmux) with a shell in them, and what the bytes mean that were sent there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE = 40.0
"""Seconds: a start takes one on an idle machine, ten on a very busy one."""

_CONTROL = re.compile(
    rb"\x1b\[(?P<csi>[0-?]*[ -/]*[@-~])|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    rb"|\x1b(?P<string>[PX^_])|\x1b(?P<other>.)|(?P<c0>[\x00-\x1a\x1c-\x1f])",
    re.DOTALL,
)


class Sent:
    """The control sequences in some bytes, by their kind."""

    def __init__(self, data: bytes) -> None:
        found = [(match.lastgroup or "", match.group(match.lastgroup or 0)) for match in _CONTROL.finditer(data)]
        self.csi, self.osc, self.strings, self.other, self.c0 = (
            [text for kind, text in found if kind == wanted] for wanted in ("csi", "osc", "string", "other", "c0")
        )

    @property
    def colours(self) -> list[bytes]:
        """The parameters of SGR sequences that are colours."""
        given = [part for text in self.csi if text.endswith(b"m") for part in text[:-1].split(b";")]
        return [part for part in given if part.isdigit() and (30 <= int(part) <= 49 or 90 <= int(part) <= 107)]


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

    def click(self, text: str, times: int = 1) -> None:
        """Press and release the mouse on the first place where this stands."""
        lines = self.screen().splitlines()
        row, line = next((number, line) for number, line in enumerate(lines, 1) if text in line)
        place = f"0;{line.index(text) + 1};{row}"
        for _ in range(times):
            self._run("send-keys", "-l", f"\x1b[<{place}M\x1b[<{place}m")

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

    def assert_sane(self, mark: str) -> None:
        """The shell has its terminal back: what is typed is shown, lines are edited, the cursor is there.

        `mark`: not shown before.
        """
        self.wait(at_prompt)
        self.run(
            f"stty -a | tr ' ;' '\\n\\n' | grep -xE -e '-?(icanon|echo|isig|icrnl)' | tr '\\n' ' '; echo {mark}'-ok'"
        )
        screen = self.wait(lambda screen: f"{mark}-ok" in screen)
        flags = next(line for line in screen.splitlines() if line.endswith(f"{mark}-ok") and "echo" in line).split()
        assert {"icanon", "echo", "isig", "icrnl"} <= set(flags), screen
        assert self._run("display", "-p", "#{cursor_flag} #{mouse_any_flag} #{alternate_on}").split() == ["1", "0", "0"]

    def close(self) -> None:
        """End the session and all in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)


def at_prompt(screen: str) -> bool:
    """Whether the shell waits for a command again: what is typed before that may be lost with the application."""
    return screen.rstrip().endswith("$")


def processes(pattern: str) -> list[int]:
    """The processes whose command line is like this."""
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]
