"""Nodes of a job that do not answer. Of their ranks nothing else is said: what is not heard is not known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ugro_tui.core.alerts import Alert
from ugro_tui.core.numbers import duration
from ugro_tui.core.rules.catalogue import RULES
from ugro_tui.core.rules.look import Look


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
    rule = RULES[away.rule]
    heard = "never heard of" if np.isnan(away.age) else f"last heard of {duration(away.age)} ago"
    there = f"rank {ranks[0]}" if len(ranks) == 1 else f"{len(ranks)} ranks"
    what = f"{away.why}; {heard}; {there} there"
    return Alert(rule.title, rule.severity, None, node, what, float(np.nan_to_num(away.age)), away.next_step, rule.key)
