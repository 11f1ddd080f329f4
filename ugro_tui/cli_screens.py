"""The full-screen application as the command line starts it, and what it leaves in the terminal."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ugro_tui import exits
from ugro_tui.core.errors import BadInput
from ugro_tui.loading import load_numpy
from ugro_tui.output import called, only_ascii

if TYPE_CHECKING:
    from ugro_tui.agent import Agent
    from ugro_tui.config import Config

EXIT_HUNG_UP = 129

NO_UTF8 = "drawn in ASCII: your locale has no UTF-8; LC_ALL=C.UTF-8, or ascii = false in the settings, draws glyphs"


def show(config: Config, job: str | None) -> None:
    """The full-screen application, on one job or on all."""
    require_terminal()
    hurry()
    from ugro_tui.agent import Agent
    from ugro_tui.applog import log_to_file

    log_to_file(hang_up=lambda: hang_up(None))
    agent = Agent(config, keep=True, notify=True)
    if job is not None:
        agent.follow(job)
    with agent:
        run_screens(agent, job)


def hurry() -> None:
    """Have imports take less time, until screens run."""
    gc.disable()  # what imports make stays: looking through it again and again is a tenth of the start
    load_numpy()


def hang_up(stop: Callable[[], object] | None) -> None:
    """The terminal is gone: stop what was to end with the application, and end."""
    try:
        if stop is not None:
            stop()
    finally:
        os._exit(EXIT_HUNG_UP)  # the main thread waits for the terminal and would never hear of it


def run_screens(agent: Agent, job: str | None, *, stops_training: bool = False) -> None:
    """Show what `agent` knows until somebody leaves; then say what goes on, or where the log tells what went wrong."""
    from ugro_tui.config import log_path
    from ugro_tui.memory import MemoryFile
    from ugro_tui.ui.app import UgroApp

    gc.freeze()
    gc.enable()
    config, memory, ascii_only = agent.config, MemoryFile(), only_ascii(asked=agent.config.ascii)
    app = UgroApp(
        agent.feed,
        archive=agent.archive,
        place=agent.place,
        job=job,
        stops_training=stops_training,
        bell=config.bell,
        theme=config.theme,
        ascii_only=ascii_only,
        memory=memory,
        notice=NO_UTF8 if ascii_only and config.ascii is None else "",
        again=lambda job: f"{called()} watch {job}{config.retyped}",
    )
    message = app.run()
    memory.close()
    if message:
        print(message)
    if app.return_code:
        goes_on = "" if stops_training else "; training goes on"
        print(f"ugro-tui: ended by an error of its own{goes_on}: {log_path()} tells what it was", file=sys.stderr)
        sys.exit(exits.UNWELL)


def require_terminal() -> None:
    """Refuse to draw where nothing can be drawn.

    Raises:
        BadInput: no terminal, or one that cannot place text; says what to use instead.
    """
    # Textual reads from standard input and draws on standard error.
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise BadInput(
            "the dashboard needs a terminal, and this is a pipe or a file: use `ugro-tui status` or "
            "`ugro-tui monitor JOB`"
        )
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise BadInput(
            f"the dashboard cannot draw on TERM={os.environ.get('TERM', '')!r}: use `ugro-tui status` or "
            "`ugro-tui monitor JOB`, or set TERM to what your terminal is (xterm-256color, tmux-256color)"
        )
