"""The palette (`:`): jump to a job, a rank, a node, a screen; choose a theme; set a number; all that keys do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import Matcher
from textual.markup import escape

from ugro_tui.ui import offers
from ugro_tui.ui.offers import NOUNS, Deeds, Offer

HINT: Final = "job NAME · rank 11 · node NAME · theme NAME · set gpu_underused.threshold 70"
"""What stands in the line before anything is typed."""

MOST_FOUND: Final = 50
"""Offers that are shown of one search: who has more types more."""

_TYPED: Final = 2.0
"""The score of what was typed as a command: fuzzy finds have 1 at the most."""


class Palette(Provider):
    """Finds what is typed."""

    @property
    def _own(self) -> Deeds:
        return cast("Deeds", self.app)  # no other application lists this among its commands

    async def discover(self) -> Hits:
        """All there is, while nothing is typed."""
        for offer in offers.everything(self._own):
            yield DiscoveryHit(Content(offer.text), offer.run, offer.text, escape(offer.says))

    async def search(self, query: str) -> Hits:
        """What was typed as a command first, then what is like it."""
        words = query.split()
        for score, offer in sorted(found_of(self._own, words), key=lambda hit: -hit[0])[:MOST_FOUND]:
            yield Hit(score, Content(offer.text), offer.run, offer.text, escape(offer.says))


def found_of(app: Deeds, words: list[str]) -> Iterator[tuple[float, Offer]]:
    """What fits the typed words, with how well: the command that they are, else what is like it.

    Where they are none that can be done, why comes first: a name counts as wrong when no name is like it.
    """
    typed = typed_as_command(app, words)
    if typed is not None:
        yield _TYPED, typed
    if typed is not None and not typed.refused:
        return
    alike = [*_like(app, words)]
    match words:
        case [(offers.JOB | offers.NODE | offers.THEME | offers.GO) as noun, name] if typed is None:
            if not any(offer.text.startswith(f"{noun} ") for _, offer in alike):
                yield _TYPED, offers.missing(app, noun, name)
    yield from alike


def typed_as_command(app: Deeds, words: list[str]) -> Offer | None:
    """The command that these words are, if they are one in full: `rank 11`, `set NAME NUMBER`, `NAME NUMBER`."""
    match words:
        case [offers.RANK, *rest] if len(rest) < 2:
            return offers.rank(app, "".join(rest))
        case [offers.SET, name, value]:
            return offers.number(app, name, value)
        case [name, value] if name not in NOUNS and "." in name:
            return offers.number(app, name, value)
        case [noun, name] if noun in (*NOUNS, offers.GO):
            return next((offer for offer in offers.everything(app) if offer.text == f"{noun} {name}"), None)
    return None


def _like(app: Deeds, words: list[str]) -> Iterator[tuple[float, Offer]]:
    """Offers whose text, or what they say, is like what was typed, with how much it is."""
    wanted = " ".join(words[1:] if words[:1] == [offers.SET] else words)
    matcher = Matcher(wanted)
    there = offers.numbers(app) if words[:1] == [offers.SET] else offers.everything(app)
    for offer in there:
        score = matcher.match(offer.text) if wanted else 0.5
        if score > 0:
            yield score, offer
