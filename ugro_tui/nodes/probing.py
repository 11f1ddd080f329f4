"""What a node says when it is probed, checked."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Probe
from ugro_tui.nodes.wire import MAX_TEXT, no_answer


def probe_of(words: object) -> Probe:
    """The answer of `helper.probe`, checked.

    Raises:
        NodeLied: it is not such an answer.
    """
    try:
        told = msgspec.convert(words, Probe)
    except msgspec.ValidationError as error:
        raise no_answer(error) from None
    return replace(told, root=visible(told.root, MAX_TEXT), python=visible(told.python, 40))
