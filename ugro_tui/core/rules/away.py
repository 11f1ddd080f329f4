"""Nodes of a job that do not answer. Of their ranks nothing else is said: what is not heard is not known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ugro_tui.core.alerts import Alert
from ugro_tui.core.numbers import counted, duration
from ugro_tui.core.rules.look import Look, about_node


class Unreachable:
    """One alert for each node that has not answered several times in a row, or that waits for a person."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """The nodes in the order of their names."""
        nodes: dict[str, list[int]] = {}
        for rank in look.job.unreachable():
            for node in rank.sources.names:
                nodes.setdefault(node, []).append(rank.rank)
        for node, ranks in sorted(nodes.items()):
            if look.job.away[node].sure:
                yield _alert(look, node, ranks)


def _alert(look: Look, node: str, ranks: list[int]) -> Alert:
    away = look.job.away[node]
    heard = "never heard of" if np.isnan(away.age) else f"last heard of {duration(away.age)} ago"
    there = f"rank {ranks[0]}" if len(ranks) == 1 else f"{len(ranks)} ranks"
    what = f"{away.why}; {heard}; {there} there"
    return about_node(away.rule, node, what, float(np.nan_to_num(away.age)), next_step=away.next_step)


class Rewritten:
    """Metrics files that somebody rewrites: what was copied of them is kept apart, and they are read anew."""

    def judge(self, look: Look) -> Iterator[Alert]:
        """One alert for each node."""
        for node, files in sorted(look.job.rewritten.items()):
            if files:
                what = f"{counted(files, 'metrics file')} replaced, not by a new run"
                yield about_node("mirror_quarantined", node, what, 0.0, value=float(files))
