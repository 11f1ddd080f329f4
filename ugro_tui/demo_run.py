"""The training run of `ugro-tui demo`: started on a thread of its own, while screens are made, and ended with them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ugro_tui.core.errors import UgroError
from ugro_tui.core.launching import LaunchRequest, LaunchView, Stage
from ugro_tui.launches import LaunchDoor

if TYPE_CHECKING:
    from ugro_tui.act.backend import JobStanding

GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL."""

TAKE_BACK_SECONDS = 5.0
"""How long a launch may take that sees its ranks end, before they began."""


class DemoRun:
    """Begins with its making. Every method may be called from any thread."""

    def __init__(self, launches: LaunchDoor, request: LaunchRequest) -> None:
        self.job_id = request.job_id
        self._launches = launches
        self._request = request
        self._begun = threading.Event()  # torchrun has, or never will
        self._problem: UgroError | None = None
        launches.hear(self._hear)
        self._thread = threading.Thread(target=self._launch, name="demo", daemon=True)
        self._thread.start()

    def wait_begun(self) -> None:
        """Wait until torchrun has begun; what becomes of its ranks is seen on the screen.

        Raises:
            UgroError: it did not, and nothing of it runs; the message says why and what to do.
        """
        self._begun.wait()
        if self._problem is not None:
            raise self._problem

    def standing(self) -> JobStanding | None:
        """Where it stands, written down where it is over; None where it never began. Raises UgroError."""
        self._begun.wait()
        return None if self._problem is not None else self._launches.standing(self.job_id)

    def stop(self) -> None:
        """End it; nothing of it is left on return. May be called again.

        Raises:
            StopError: a process outlives even SIGKILL by seconds.
        """
        self._begun.wait()
        if self._problem is None:
            self._launches.stop(self.job_id, GRACE_SECONDS)
            self._thread.join(TAKE_BACK_SECONDS)

    def _launch(self) -> None:
        try:
            self._launches.launch(self._request)
        except UgroError as error:
            if not self._begun.is_set():
                self._problem = error
        finally:
            self._begun.set()

    def _hear(self, view: LaunchView) -> None:
        if view.job_id == self.job_id and view.stage is Stage.VERIFYING:
            self._begun.set()
