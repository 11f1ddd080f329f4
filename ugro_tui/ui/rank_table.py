"""The rank table: the ranks of a job, one line each."""

from __future__ import annotations

from collections.abc import Collection

from ugro_tui.core.rank_fields import RANK_FIELDS
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.ui.rank_columns import COLUMNS, RankLines, Row, columns_for
from ugro_tui.ui.table import LineTable


class RankTable(LineTable[Row]):
    """One line a rank, known by its number."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(COLUMNS, RANK_FIELDS, noun="rank", id=id)
        self._ranks: RankColumns | None = None

    def show(self, ranks: RankColumns | None, accused: Collection[int] = ()) -> None:
        """Show these ranks from now on; None where nothing is known. `accused`: those that alerts name."""
        if ranks is self._ranks:
            return
        self._ranks = ranks
        self.show_lines(None if ranks is None else RankLines(ranks, accused), columns_for(ranks))

    @property
    def rank(self) -> int | None:
        """The rank under the cursor; None where no line is shown."""
        return self.key if isinstance(self.key, int) else None
