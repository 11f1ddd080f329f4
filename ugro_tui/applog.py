"""The application's own log: a file, because the screen belongs to the dashboard."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler

from ugro_tui.config import log_path

_OUTPUT_THREAD = "textual-output"

MAX_BYTES = 1 << 20


class _QuietFile(RotatingFileHandler):
    """A full disk must not print tracebacks over the dashboard."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's own name
        return


def log_to_file(hang_up: Callable[[], None] | None = None) -> None:
    """Write the application's log to its file from now on; without a place to write, go on without a log.

    `hang_up`, for screens, is called when the terminal is gone. Textual then waits for ever for its output thread, and
    no signal reaches it any more, so what is to be done must be done there, and must end the process.
    """
    logger = logging.getLogger("ugro_tui")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        log_path().parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = _QuietFile(log_path(), maxBytes=MAX_BYTES, backupCount=2, encoding="utf-8")
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        if args.exc_value is not None:
            logger.error("thread %s ended", name, exc_info=args.exc_value)
        if name == _OUTPUT_THREAD and hang_up is not None:
            logger.error("the terminal is gone: ending")
            hang_up()

    threading.excepthook = on_thread_error
