"""The records that are completed on the writer's thread: what they need may have to be waited for."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

from .backward import GpuSpan
from .capture import DeferredScalar
from .exits import callstack_of, ending_of
from .losses import Losses
from .replace import replace_file
from .version import __version__

_GRACE = 0.5
"""Seconds that a closing emitter still gives the GPU to hand out its values."""
_GPU_WAIT = 2.0
"""Seconds that the `start` record waits for NVML to say which GPU this is."""
_HEAD, _TAIL = 64 * 1024, 4 * 1024 * 1024
"""Bytes of an existing file that are searched for the attempts before this one."""


class StepRecord:
    """A step with values that are still on a device.

    With `only_if_non_finite` it is a step between two records, written only if one of its values is an alarm.
    """

    def __init__(self, record: dict[str, Any], losses: Losses, *, only_if_non_finite: bool) -> None:
        self.record = record
        self._losses = losses
        self._only_if_non_finite = only_if_non_finite
        self._totals: dict[str, float] = {}
        self._spans: list[GpuSpan] = []
        self._steps = 1

    def add_phases(self, totals: dict[str, float], spans: list[GpuSpan], steps: int) -> None:
        """Phases of `steps` steps: seconds known, and those that the GPU still has to tell."""
        self._totals, self._spans, self._steps = totals, spans, steps

    def finish(self, closing: threading.Event) -> bool:
        alarm = self._resolve(self.record, closing)
        metrics = self.record.get("metrics")
        if metrics and self._resolve(metrics, closing):
            alarm = True
        if self._spans:
            self._resolve_phases(closing)
        elif self._totals:
            self.record["phases"] = mean_phases(self._totals, self._steps)
        return alarm or not self._only_if_non_finite

    def _resolve(self, values: dict[str, Any], closing: threading.Event) -> bool:
        """Replace the deferred among `values` by numbers; True: one of them is not finite."""
        alarm = False
        for name in [name for name, value in values.items() if isinstance(value, DeferredScalar)]:
            deferred = values.pop(name)
            try:
                if not _await(deferred.ready, closing):
                    raise TimeoutError("the device had not computed it when the emitter was closed")
                values[name] = deferred.resolve()
                alarm = alarm or isinstance(values[name], str)
            except Exception as error:  # noqa: BLE001 - a user's tensor may do anything when it is read
                self._losses.lose_value(name, error)
        return alarm

    def _resolve_phases(self, closing: threading.Event) -> None:
        totals = dict(self._totals)
        try:
            if not _await(self._spans[-1].passed, closing):
                raise TimeoutError("the GPU had not passed them when the emitter was closed")
            for span in self._spans:
                span.add_to(totals)
        except Exception as error:  # noqa: BLE001 - a CUDA error surfaces at any call
            self._losses.lose_value("phases", error)
        self.record["phases"] = mean_phases(totals, self._steps)


def mean_phases(totals: dict[str, float], steps: int) -> dict[str, float]:
    """Seconds a step."""
    return {name: seconds / steps for name, seconds in totals.items()}


def _await(ready: Callable[[], bool], closing: threading.Event) -> bool:
    """Poll until `ready`; a closing emitter waits a grace, a hanging GPU else holds nobody but the writer."""
    pause = 0.0005
    deadline: float | None = None
    while not ready():
        if closing.wait(pause):
            now = time.monotonic()
            deadline = deadline or now + _GRACE
            if now >= deadline:
                return False
            threading.Event().wait(0.005)
        pause = min(2 * pause, 0.02)
    return True


class StartRecord:
    """The first record: what it says of earlier attempts and of the GPU is found out here."""

    def __init__(
        self,
        record: dict[str, Any],
        metrics: Path,
        restarts: int,
        gpu: Callable[[float, threading.Event], dict[str, Any] | None],
    ) -> None:
        self.record = record
        self._metrics = metrics
        self._restarts = restarts
        self._gpu = gpu

    def finish(self, closing: threading.Event) -> bool:
        record = self.record
        if record["attempt"] is None:
            record["attempt"] = max(1 + self._restarts, 1 + last_attempt(self._metrics))
        record["gpu"] = self._gpu(_GPU_WAIT, closing)
        record["versions"] = versions()
        return True


class EndRecord:
    """The last record; a failure leaves its traceback in a file of its own."""

    def __init__(self, record: dict[str, Any], error: BaseException | None, error_file: Path, losses: Losses) -> None:
        ending = ending_of(error)
        self.record = {**record, "status": ending.status, "error": ending.error}
        self._failure = error if ending.error is not None else None
        self._error_file = error_file
        self._losses = losses

    def finish(self, _closing: threading.Event) -> bool:
        if self._failure is not None:
            self._write_error_file(self._failure)
        self.record["dropped"] = self._losses.records
        self.record["dropped_values"] = self._losses.values
        return True

    def _write_error_file(self, failure: BaseException) -> None:
        """In the form that torch elastic gives its error files, so that one reader reads both."""
        if _is_torch_elastics(self._error_file):
            return
        error = self.record["error"]
        extra = {"py_callstack": callstack_of(failure), "timestamp": str(int(self.record["ts"]))}
        text = {"message": f"{error['type']}: {error['message']}", "extraInfo": extra}
        try:
            replace_file(self._error_file, json.dumps({"message": text}).encode("ascii"))
        except OSError as problem:
            self._losses.fail("error file", problem)


def _is_torch_elastics(error_file: Path) -> bool:
    """Whether the launcher has pointed torch elastic's own error files into the same folder."""
    theirs = os.environ.get("TORCHELASTIC_ERROR_FILE", "")
    return bool(theirs) and os.path.realpath(os.path.dirname(theirs)) == os.path.realpath(error_file.parent)


def versions() -> dict[str, str]:
    """What runs here, as far as it has been imported."""
    found = {"ugro_emitter": __version__, "python": platform.python_version()}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = str(getattr(torch, "__version__", "unknown"))
        cuda = getattr(getattr(torch, "version", None), "cuda", None)
        if cuda:
            found["cuda"] = str(cuda)
    return found


def last_attempt(metrics: Path) -> int:
    """The highest attempt that an existing metrics file tells of, 0 for none. Reads a bounded part of it."""
    try:
        with metrics.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(head), size - _TAIL))
            return max(_attempts(head + file.read(_TAIL)), default=0)
    except OSError:
        return 0


def _attempts(content: bytes) -> list[int]:
    lines = (line for line in content.splitlines() if re.search(rb'"kind":\s*"start"', line))
    found = []
    for line in lines:
        attempt = re.search(rb'"attempt":\s*(\d{1,9})\b', line)
        found.append(int(attempt.group(1)) if attempt else 1)
    return found
