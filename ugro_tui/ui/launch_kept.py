"""What stood in the form of a launch last, found again at the next start; nothing of it that may be a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ugro_tui.core.launch_form import args_again
from ugro_tui.core.launching import Backend
from ugro_tui.core.rank import LOCAL
from ugro_tui.core.redaction import without_secrets
from ugro_tui.ui.desk import Desk

_NAME: Final = "launch"
"""What it is kept under."""

_FOR_ONCE: Final = ("resume",)
"""What is meant for one launch alone."""


def kept_values(desk: Desk) -> dict[str, str]:
    """What stood there last; on a machine that is watched alone, it is what starts the ranks."""
    kept: dict[str, object] = desk.kept(_NAME, {})
    here = {"backend": Backend.LOCAL.value} if [node.name for node in desk.snapshot.nodes] == [LOCAL] else {}
    values = here | {name: str(text) for name, text in kept.items()}
    return values | {"args": args_again(values.get("args", ""))}


def keep_values(desk: Desk, values: Mapping[str, str]) -> None:
    """Find these again, without secrets."""
    kept = {name: text for name, text in values.items() if text and without_secrets(text) == text}
    desk.keep(_NAME, {name: text for name, text in kept.items() if name not in _FOR_ONCE})
