"""How the tests of the command line call it."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "ugro_tui"]
Call: TypeAlias = Callable[..., tuple[int, str, str]]
Begin: TypeAlias = Callable[..., "subprocess.Popen[str]"]


class Terminal:
    """A command on a terminal of its own, which is driven from here."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._fd, end = os.openpty()
        self.process = subprocess.Popen(
            argv, stdin=end, stdout=end, stderr=end, env=env, cwd=folder, start_new_session=True, preexec_fn=_take_over
        )  # fmt: skip
        os.close(end)
        self._read = b""

    @property
    def text(self) -> str:
        """All that was written to it."""
        return self._read.decode("utf-8", "replace")

    def until(self, text: str) -> None:
        """Wait until this is written to it."""
        while text not in self.text:
            assert self._more(), self.text

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self._fd, text.encode())

    def ended(self) -> int:
        """Read on to its end; the exit code."""
        while self._more():
            pass
        return self.process.wait(60)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(60)
        os.close(self._fd)

    def _more(self) -> bool:
        """Read what comes next; False at the end."""
        assert select.select([self._fd], [], [], 60)[0], f"nothing more comes after {self.text!r}"
        try:
            read = os.read(self._fd, 4096)
        except OSError:  # Linux: the other end is closed
            return False
        self._read += read
        return bool(read)


def _take_over() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out or "", err
