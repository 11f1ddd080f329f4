"""How the nodes are doing: a few words each for the strip, sentences for the panes. `elapsed`: s since the snapshot."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from textual.content import Content

from ugro_tui.core.alerts import Alert
from ugro_tui.core.numbers import age
from ugro_tui.core.snapshot import NodeView
from ugro_tui.core.states import NodeState
from ugro_tui.ui.marks import NODE_GLYPHS, NODE_STYLES

BETWEEN = " · "

BRIEF = 24
"""Characters of an error of which no short form is known."""

NAMED = 3
"""Nodes in trouble that are named before anything else is said."""

_WORST_FIRST = (NodeState.PERSON, NodeState.WAITING, NodeState.SILENT, NodeState.OK)


def well(node: NodeView) -> bool:
    """Whether the node answers and had nothing to complain about."""
    return node.state.reached and not node.error


def troubled(nodes: Iterable[NodeView]) -> list[NodeView]:
    """The nodes that something is wrong with, the worst first. One that is being connected to is not among them."""
    found = [node for node in nodes if not well(node) and node.state is not NodeState.CONNECTING]
    return sorted(found, key=lambda node: _WORST_FIRST.index(node.state))


def brief(node: NodeView) -> str:
    """What is wrong, in two or three words."""
    if node.brief:
        return node.brief
    if node.state is NodeState.OK:
        return node.error if len(node.error) <= BRIEF else f"{node.error[: BRIEF - 1]}…"
    return {NodeState.SILENT: "no answer", NodeState.WAITING: "unreachable"}.get(node.state, "needs you")


def condition(node: NodeView, elapsed: float, *, short: bool = False) -> str:
    """How the node is, as few words behind its name; the age of its last answer among them."""
    since = "" if math.isnan(node.age) else f" {age(node.age + elapsed)}"
    match node.state:
        case NodeState.CONNECTING:
            return "connecting"
        case NodeState.OK:
            return brief(node) if node.error else since.strip()
        case NodeState.SILENT:
            return brief(node) + since
        case NodeState.PERSON:
            return brief(node) if short else f"{brief(node)}: r tries again"
        case NodeState.WAITING:
            return _retry(node, elapsed) if short else f"{brief(node)}{since}, {_retry(node, elapsed)}"


def _retry(node: NodeView, elapsed: float) -> str:
    left = node.retry - elapsed
    return f"retry {age(left)}" if left >= 0.5 else "retry now"


def line(nodes: Sequence[NodeView], room: int, elapsed: float) -> Content:
    """All nodes within `room` cells: in fewer words, and then with those that are well as a number, where it is short.

    Looks no further than there is room, apart from counting.
    """
    if len(nodes) == 1 and nodes[0].state is NodeState.OK:
        return _alone(nodes[0])
    for short in (False, True):
        parts = _within((_part(node, elapsed, short=short) for node in nodes), room)
        if len(parts) == len(nodes):
            return Content(BETWEEN).join(parts)
    return _summary(nodes, room, elapsed)


def _alone(node: NodeView) -> Content:
    """The only node, and it answers: its age stands still between two looks, for it says nothing that needs a paint."""
    if node.error:
        return Content.styled(f"{node.label} ✖ {node.error}", "$error")
    return Content.styled(f"{node.label} {age(node.age)}{_via(node)}", "$text-muted")


def _part(node: NodeView, elapsed: float, *, short: bool) -> Content:
    words = condition(node, elapsed, short=short)
    if well(node):
        return Content.styled(f"{node.label} {words}{_via(node)}", "$text-muted")
    return Content.styled(f"{node.label} {NODE_GLYPHS[node.state]} {words}{_via(node)}", NODE_STYLES[node.state])


def _via(node: NodeView) -> str:
    return " (sftp)" if node.via == "sftp" else ""


def _within(parts: Iterable[Content], room: int) -> list[Content]:
    """The first of `parts` that fit."""
    fitting: list[Content] = []
    for part in parts:
        room -= part.cell_length
        if room < 0:
            break
        fitting.append(part)
        room -= len(BETWEEN)
    return fitting


def _summary(nodes: Sequence[NodeView], room: int, elapsed: float) -> Content:
    """The worst by name, the others as numbers."""
    bad = troubled(nodes)
    rest = _counts(nodes, elapsed)
    left = room - sum(part.cell_length + len(BETWEEN) for part in rest)
    named = _within((_part(node, elapsed, short=True) for node in bad), left)
    if len(named) < len(bad):
        more = f"{len(bad)} ✖"
        named = _within(named, left - len(more) - len(BETWEEN) - 2)
        more = f"+{len(bad) - len(named)} ✖" if named else more
        named.append(Content.styled(more, "$error"))
    return Content(BETWEEN).join([*named, *rest])


def needed(nodes: Sequence[NodeView], elapsed: float) -> int:
    """Cells in which `line` names the nodes in trouble, the worst `NAMED` of many; 0 where there are none."""
    bad = troubled(nodes)
    if not bad:
        return 0
    parts = [*(_part(node, elapsed, short=True) for node in bad[:NAMED]), *_counts(nodes, elapsed)]
    more = len(f"{BETWEEN}{len(bad)} ✖") + 2 if len(bad) > NAMED else 0
    return Content(BETWEEN).join(parts).cell_length + more


def _counts(nodes: Sequence[NodeView], elapsed: float) -> list[Content]:
    good = [node.age for node in nodes if well(node)]
    connecting = sum(node.state is NodeState.CONNECTING for node in nodes)
    oldest = max((seconds for seconds in good if not math.isnan(seconds)), default=math.nan)
    parts = [Content.styled(f"{connecting} ◌ connecting", "$accent")] if connecting else []
    return [*parts, Content.styled(f"{len(good)} ok, oldest {age(oldest + elapsed)}", "$text-muted")] if good else parts


def sentences(nodes: Iterable[NodeView], alerts: Sequence[Alert], elapsed: float) -> list[Content]:
    """What is wrong with each node, in full; but not what an alert says already."""
    return [_sentence(node, elapsed) for node in troubled(nodes) if not any(_told(node, alert) for alert in alerts)]


def _told(node: NodeView, alert: Alert) -> bool:
    return bool(node.error) and node.name == alert.node and node.error in alert.what


def _sentence(node: NodeView, elapsed: float) -> Content:
    why = node.error.removeprefix(f"{node.name}: ") or brief(node)
    answered = "never answered" if math.isnan(node.age) else f"last answer {age(node.age + elapsed)} ago"
    advice = {
        NodeState.WAITING: f"  → {_retry(node, elapsed)}",
        NodeState.PERSON: "  → nothing is tried until you press r",
    }.get(node.state, "")
    return Content.assemble(
        (f"{NODE_GLYPHS[node.state]} node {node.label}", f"bold {NODE_STYLES[node.state]}"),
        f"  {why}",
        (f"  {answered}" if not node.state.reached else "", "$text-muted"),
        advice,
    )


def roll_call(nodes: Sequence[NodeView], most: int, width: int, elapsed: float) -> Content:
    """What each node says while there is no job: a line each, the worst first, at most `most`."""
    others = [node for node in nodes if node.state is NodeState.CONNECTING]
    ranked = [*troubled(nodes), *others, *(node for node in nodes if well(node))]
    shown = ranked if len(ranked) <= most else ranked[: max(1, most - 1)]
    names = max((len(node.label) for node in shown), default=0)
    lines = [(line, _style(node)) for node in shown for line in _reported(node, names, width, elapsed)]
    if len(shown) < len(ranked):
        lines.append((f"… and {len(ranked) - len(shown)} more", "$text-muted"))
    longest = max((len(text) for text, _ in lines), default=0)  # as one block, for each line is centred by itself
    return Content("\n").join(Content.styled(text.ljust(longest), style) for text, style in lines)


def _reported(node: NodeView, names: int, width: int, elapsed: float) -> list[str]:
    """A node's name and what it says, wrapped beside its name."""
    indent = " " * (names + 2)
    room = max(width, names + 12)
    return textwrap.wrap(
        _report(node, elapsed), room, initial_indent=f"{node.label:<{names}}  ", subsequent_indent=indent
    )


def _report(node: NodeView, elapsed: float) -> str:
    if well(node):
        return "● answers, and has no job of the last day"
    if node.state is NodeState.CONNECTING:
        return f"{NODE_GLYPHS[node.state]} connecting …"
    retry = f" ({_retry(node, elapsed)})" if node.state is NodeState.WAITING else ""
    why = node.error.removeprefix(f"{node.name}: ") or brief(node)
    return f"{NODE_GLYPHS[node.state]} {why}{retry}"


def _style(node: NodeView) -> str:
    return "$text-muted" if well(node) else NODE_STYLES[node.state]
