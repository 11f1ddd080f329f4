"""A node asked through its helper: a question that was not answered in time stays asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from ugro_tui.core.fields import number
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.health_facts import told
from ugro_tui.nodes.base import (
    Ask,
    NodeLied,
    NodeLost,
    NodeSilent,
    Probe,
    Reply,
)
from ugro_tui.nodes.bootstrap import health_part
from ugro_tui.nodes.channel import Channel
from ugro_tui.nodes.health_pace import HEALTH_FRESH_SECONDS, HEALTH_WAIT_SECONDS
from ugro_tui.nodes.helper import MAX_DOCUMENT
from ugro_tui.nodes.pace import Pace
from ugro_tui.nodes.probing import probe_of
from ugro_tui.nodes.wire import checked, reply_from, request_of, still_wanted

ANSWER_SECONDS = 5.0
"""How long a look waits for its answer in all."""

SILENCE_SECONDS = 20.0
"""A node from which nothing at all was heard for so long is given up."""

REPLY_SECONDS = 60.0
"""How long one reply may take that comes in little by little, over several looks."""

_GRACE = 0.05


@dataclass(slots=True)
class Clocks:
    """What a node's reader measures by. `offset`: seconds by which the node's clock is ahead of this machine's."""

    monotonic: Callable[[], float]
    time: Callable[[], float]
    round_trip: float | None = None
    offset: float | None = None


class Link(Protocol):
    """One way to read a node, over one connection."""

    @property
    def via(self) -> str:
        """As `Node.via`."""
        ...

    @property
    def over(self) -> bool:
        """Whether it is of no more use."""
        ...

    def poll(self, ask: Ask) -> Reply:
        """As `Node.poll`; it may raise OSError where the metrics directory cannot be read."""
        ...

    def probe(self) -> Probe:
        """As `Node.probe`."""
        ...

    def health(self, name: str) -> NodeHealth:
        """As `Node.health`, of the node of that name."""
        ...


@dataclass(slots=True)
class _Question:
    op: str
    ask: Ask
    most: int
    """Bytes of data that are believed."""
    asked: float
    unix: float
    missed: bool = field(default=False)


class HelperLink:
    """Asks the helper. One thread at a time calls it."""

    via = "helper"

    def __init__(self, root: str, channel: Channel, pace: Pace, clocks: Clocks) -> None:
        self.over = False
        self._root = root
        self._channel = channel
        self._pace = pace
        self._clocks = clocks
        self._open: _Question | None = None
        self._has_health_part = False

    def poll(self, ask: Ask) -> Reply:
        """What is new; see `Node.poll`. An answer that comes late answers the next call.

        Raises:
            OSError: the metrics directory cannot be read.
            NodeError: as `Node.poll`.
        """
        if self._open is not None and self._open.op != "poll":
            self._wait(self._open)
        question = self._open
        if question is None:
            words = request_of(ask, self._pace.cap)
            # Documents may take half as much again, or one of them more than all.
            question = self._put("poll", words, ask, 2 * words["cap"] + MAX_DOCUMENT)
        header, data = self._wait(question)
        reply = checked(reply_from(header, data), question.ask)
        self._learn(question, reply, len(header) + len(data))
        return still_wanted(reply, question.ask, ask) if question.ask is not ask else reply

    def probe(self) -> Probe:
        """How the node is; see `Node.probe`. The answer to an open question is dropped: it can be asked again."""
        if self._open is not None:
            self._wait(self._open)
        header, _ = self._wait(self._put("probe", {}, Ask(), 0))
        try:
            return probe_of(msgspec.json.decode(header))
        except msgspec.DecodeError:
            raise NodeLied("not an answer in the helper's protocol") from None

    def health(self, name: str) -> NodeHealth:
        """How the machine is; see `Node.health`. The first question brings the part of the helper that answers it."""
        if self._open is not None:
            self._wait(self._open)
        words: dict[str, Any] = {"part": "health", "wait": HEALTH_WAIT_SECONDS, "fresh": HEALTH_FRESH_SECONDS}
        if not self._has_health_part:
            words["source"] = health_part()
        question = self._put("health", words, Ask(), 0)
        self._has_health_part = True
        header, _ = self._wait(question)
        try:
            answer = msgspec.json.decode(header)
        except msgspec.DecodeError:
            raise NodeLied("not an answer in the helper's protocol") from None
        return told(name, answer, *self._distance(question, answer))

    def _distance(self, question: _Question, answer: object) -> tuple[float, float]:
        """Seconds of the way there and back, without the work for it, and of the clocks; NaN where not known."""
        words = answer if isinstance(answer, dict) else {}
        took, time = number(words.get("took")), number(words.get("time"))
        way = self._clocks.monotonic() - question.asked - took
        if question.missed or not way >= 0.0:
            return math.nan, math.nan
        return way, time - self._clocks.time() + way / 2

    def _put(self, op: str, words: dict[str, Any], ask: Ask, most: int) -> _Question:
        now = self._clocks.monotonic()
        question = _Question(op, ask, most, now, self._clocks.time())
        self.over = True  # until it was sent whole: half a question cannot be taken back
        self._channel.ask({"op": op, "root": self._root, **words}, now + ANSWER_SECONDS)
        self.over = False
        self._open = question
        return question

    def _wait(self, question: _Question) -> tuple[bytes, bytes]:
        now = self._clocks.monotonic()
        try:
            found = self._channel.answer(question.most, min(now + ANSWER_SECONDS, self._end(question, now)))
        except NodeSilent:
            self._miss(question)
            raise
        except (NodeLied, NodeLost):
            self.over = True
            raise
        self._open = None
        return found

    def _end(self, question: _Question, now: float) -> float:
        """When to give up; what has come by then is looked at in any case."""
        silent = max(self._channel.heard, question.asked) + SILENCE_SECONDS
        return max(now + _GRACE, min(silent, question.asked + REPLY_SECONDS))

    def _miss(self, question: _Question) -> None:
        if not question.missed:
            self._pace.missed()
            question.missed = True
        now = self._clocks.monotonic()
        if now >= self._channel.heard + SILENCE_SECONDS - _GRACE:
            self.over = True
            raise NodeLost(f"nothing was heard for {now - self._channel.heard:.0f} s")
        if now >= question.asked + REPLY_SECONDS - _GRACE:
            self.over = True
            self._pace.missed()
            raise NodeSilent(f"a reply was not complete after {now - question.asked:.0f} s")
        raise NodeSilent(f"no answer within {ANSWER_SECONDS:.0f} s")

    def _learn(self, question: _Question, reply: Reply, size: int) -> None:
        seconds = self._clocks.monotonic() - question.asked
        self._pace.took(size, seconds)
        if not question.missed:
            self._clocks.round_trip = seconds
            self._clocks.offset = reply.time - question.unix - seconds / 2
