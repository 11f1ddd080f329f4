"""Which nodes are chosen by a line of names, and that line when one more is chosen or none."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ugro_tui.core.errors import BadInput
from ugro_tui.core.nodelist import expand, split
from ugro_tui.core.text import visible

_BETWEEN: Final = re.compile(r"[,\s]+")
_BLANKS: Final = re.compile(r"\s+")

MOST_NAMED: Final = 6
"""Nodes that an error names."""

ALL: Final = ""
NONE: Final = ","
"""The lines that mean all nodes, and none."""


@dataclass(frozen=True, slots=True)
class NodeChoice:
    """`line`: names with commas or blanks between them, in the order of their node ranks; `known`: all nodes.

    Names may be written as Slurm does (`n[1-3,7]`), or as a pattern (`gpu*`), as after `--nodes`.
    """

    line: str
    known: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """What is named, known or not; a list in brackets that is not whole, and a pattern of no node, as it is."""
        return tuple(name for word in self._typed for name in fnmatch.filter(self.known, word) or (word,))

    @property
    def _typed(self) -> list[str]:
        try:
            pieces = split(_BLANKS.sub(",", self.line), "nodes")
            return [name for piece in pieces for name in expand(piece, "nodes")]
        except BadInput:
            return list(filter(None, _BETWEEN.split(self.line)))

    @property
    def chosen(self) -> tuple[str, ...]:
        """The nodes that are taken: those that are named; all where nothing is typed."""
        if not self.line.strip():
            return self.known
        known = set(self.known)
        return tuple(dict.fromkeys(word for word in self.words if word in known))

    @property
    def sought(self) -> str:
        """The word that is being typed, of which no node is called so."""
        last = self.words[-1] if self.words and not _BETWEEN.fullmatch(self.line[-1]) else ""
        return "" if last in self.known else last

    @property
    def listed(self) -> tuple[str, ...]:
        """The nodes whose names hold what is being typed; all where none does, or nothing is."""
        return tuple(filter(self._is_like, self.known)) or self.known

    @property
    def found(self) -> bool:
        """Whether what is being typed is in the name of a node."""
        return any(map(self._is_like, self.known))

    def _is_like(self, name: str) -> bool:
        return self.sought.casefold() in name.casefold()

    def toggled(self, name: str) -> str:
        """The line with this node chosen, or not any more; what was being typed found it and goes."""
        chosen = self.chosen
        return self._line(tuple(one for one in chosen if one != name) if name in chosen else (*chosen, name))

    def toggled_all(self) -> str:
        """The line with all listed nodes chosen; where they are already, with none of them."""
        chosen, listed = self.chosen, self.listed
        if set(listed) <= set(chosen):
            return self._line(tuple(one for one in chosen if one not in listed))
        return self._line((*chosen, *(one for one in listed if one not in chosen)))

    def _line(self, chosen: tuple[str, ...]) -> str:
        """Names in the order of the nodes, unless they stood in another one before."""
        places = {name: place for place, name in enumerate(self.known)}
        before = [places[name] for name in self.chosen]
        if before == sorted(before):
            chosen = tuple(sorted(chosen, key=places.__getitem__))
        return ALL if chosen == self.known else ",".join((*chosen, "")) or NONE


def named_nodes(text: str, watched: Sequence[str]) -> tuple[str, ...]:
    """The nodes that a line names, of those that are `watched`.

    Raises:
        BadInput: a list in brackets is not whole; a node is not watched, or named twice; or none is left.
    """
    for piece in split(text, "nodes"):
        expand(piece, "nodes")  # says what is wrong with it
    choice = NodeChoice(text, tuple(watched))
    for place, name in enumerate(choice.words):
        if name not in watched:
            raise BadInput(_unwatched(name, watched))
        if name in choice.words[:place]:
            raise BadInput(f"{name} is named twice: name each node once")
    if not watched:
        raise BadInput("no node is watched yet: wait for them, or take the backend local")
    if not choice.chosen:
        raise BadInput("no node is chosen: check one, or leave this empty for all")
    return choice.chosen


def _unwatched(name: str, watched: Sequence[str]) -> str:
    """What to do about a node that would never be seen here: which ones are watched is settled at the start."""
    name, listed = visible(name, 40), ", ".join(watched[:MOST_NAMED])
    if len(watched) > MOST_NAMED:
        listed += f" and {len(watched) - MOST_NAMED:,} more"
    why = f"no node {name} is watched: take of {listed}"
    return f"{why}; or quit (training goes on) and {how_to_watch((*watched, name))}: what you typed is kept"


def how_to_watch(nodes: Sequence[str]) -> str:
    """How these nodes are watched."""
    if len(nodes) > MOST_NAMED + 1:
        return "start it again with this one in --nodes, or in `nodes` of config.toml"
    return f"start `ugro-tui --nodes {shlex.quote(','.join(nodes))}`"
