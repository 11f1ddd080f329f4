"""The application's own log: a file, because the screen belongs to the dashboard."""

from __future__ import annotations

import logging
import threading
from logging.handlers import RotatingFileHandler

from ugro_tui.config import log_path

MAX_BYTES = 1 << 20


class _QuietFile(RotatingFileHandler):
    """A full disk must not print tracebacks over the dashboard."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's own name
        return


def log_to_file() -> None:
    """Write the application's log to its file from now on; without a place to write, go on without a log."""
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
    threading.excepthook = _log_thread_error


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread else "?"
    if args.exc_value is not None:
        logging.getLogger("ugro_tui").error("thread %s ended", name, exc_info=args.exc_value)
