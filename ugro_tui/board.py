"""The TensorBoard of an `Agent`, started when it is first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ugro_tui.act.tensorboard import TensorBoard


class TensorBoardDoor:
    """One TensorBoard on `folder`, started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._board: TensorBoard | None = None

    def open(self) -> str:
        """Its address.

        Raises:
            UgroError: it cannot be started; the message says why and what to do.
        """
        from ugro_tui.act.tensorboard import TensorBoard  # only who opens it pays for its imports

        self._board = self._board or TensorBoard(self._folder)
        return self._board.open()

    def close(self) -> None:
        """End it, if it runs."""
        if self._board is not None:
            self._board.stop()
