"""The stacks of all threads, written to a file when a signal comes: by C code, so also while Python is stuck in a call.

`faulthandler` installs the handler. No Python code runs in it, a system call that it interrupts goes on, and the
process's other signals stay as they are.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path

from .losses import Losses

USUAL_SIGNAL = "SIGUSR2"

_registered: set[int] = set()


def check_signal(wanted: object) -> int | None:
    """The number of the signal that `stack_signal` asks for; None for no signal, and where there is no such thing.

    Raises ValueError: it names no signal that a script may use for itself.
    """
    if wanted is None or wanted is False:
        return None
    name = USUAL_SIGNAL if wanted is True else wanted
    if not hasattr(faulthandler, "register"):  # Windows
        return None
    number = _own_signals().get(name) if isinstance(name, str) else name
    if isinstance(number, int) and not isinstance(number, bool) and number in _own_signals().values():
        return int(number)
    raise ValueError(f"stack_signal must be True, 'SIGUSR1', 'SIGUSR2' or a real-time signal, not {wanted!r}")


def _own_signals() -> dict[str, int]:
    """The signals that mean nothing to the system."""
    named = {name: int(getattr(signal, name)) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)}
    if hasattr(signal, "SIGRTMIN"):
        named.update((f"SIGRTMIN+{i}", signal.SIGRTMIN + i) for i in range(signal.SIGRTMAX - signal.SIGRTMIN + 1))
    return named


class StackDump:
    """Has `number` append the stacks of all threads to `path`. Used by the heartbeat's thread: it may wait for disks.

    It is never undone: who was told the number may send it at any time, and without a handler it ends the process.
    """

    def __init__(self, path: Path, number: int | None, losses: Losses) -> None:
        self._path = path
        self._wanted = number
        self._losses = losses
        self._ready = False

    def told(self) -> int | None:
        """The signal that may be sent from now on; None while there is none."""
        if self._wanted is None or self._ready:
            return self._wanted
        try:
            self._ready = self._register(self._wanted)
        except Exception as error:  # noqa: BLE001 - the emitter's outer edge: training goes on without it
            self._losses.fail("stack_signal", error)
        return self._wanted if self._ready else None

    def _register(self, number: int) -> bool:
        if number not in _registered and signal.getsignal(number) != signal.SIG_DFL:
            self._wanted = None
            raise RuntimeError(f"signal {number} is handled by the script: no stacks are written, choose another one")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Not closed: faulthandler keeps it, and writes to its descriptor for as long as the process lives.
        file = open(self._path, "ab", buffering=0)  # noqa: SIM115
        faulthandler.register(number, file=file, all_threads=True, chain=False)
        if not _registered:
            os.register_at_fork(after_in_child=_unregister)
        _registered.add(number)
        return True


def _unregister() -> None:
    """A forked child, a DataLoader's worker, is as it was without us: it must not write into its parent's file."""
    for number in _registered:
        faulthandler.unregister(number)
