"""TensorBoard's own writer for this rank, or one that does nothing where TensorBoard is missing."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

from .losses import Losses


class NoTensorBoard:
    """Accepts every call that a SummaryWriter accepts, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_args, **_kwargs: None

    def __enter__(self) -> NoTensorBoard:
        return self

    def __exit__(self, *_exception: object) -> None:
        return None


class TensorBoardWriter:
    """Opens the SummaryWriter once and closes it without a wait.

    What the training script calls on the SummaryWriter itself is between it and TensorBoard: TensorBoard queues
    few events and then lets the caller wait for the disk.
    """

    def __init__(self, folder: Path, losses: Losses) -> None:
        self._folder = folder
        self._losses = losses
        self._writer: Any = None
        self._closing = threading.Event()
        self._closer: threading.Thread | None = None

    def get(self) -> Any:
        """The SummaryWriter of this rank, the same one at each call."""
        if self._writer is None:
            self._writer = self._open()
        return self._writer

    def close(self) -> None:
        """Ask for the writer to be flushed and closed, on a thread of its own."""
        self._closing.set()

    def join(self, timeout: float) -> None:
        if self._closer is not None:
            self._closer.join(timeout)

    def _open(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(log_dir=str(self._folder))
        except Exception as error:  # noqa: BLE001 - a broken TensorBoard or disk must not end the training
            self._warn(error)
            return NoTensorBoard()
        # Started now: at interpreter exit, Python 3.12 starts no more threads.
        self._closer = threading.Thread(target=self._close, args=(writer,), name="ugro-tensorboard", daemon=True)
        self._closer.start()
        return writer

    def _close(self, writer: Any) -> None:
        self._closing.wait()
        try:
            writer.close()
        except Exception as error:  # noqa: BLE001 - outer edge of the thread
            self._losses.fail("closing TensorBoard", error)

    def _warn(self, error: Exception) -> None:
        self._losses.fail("TensorBoard", error)
        try:
            warnings.warn(
                f"no TensorBoard events are written: {type(error).__name__}: {error}; "
                "install them with `pip install torch tensorboard`",
                RuntimeWarning,
                stacklevel=5,
            )
        except RuntimeWarning:
            return  # warnings are errors in this program; the loss is counted all the same
