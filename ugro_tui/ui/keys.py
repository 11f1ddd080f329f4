"""The keys that work on every screen, as help and palette tell them."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

from ugro_tui.ui.places import BY_KEY

_GO_TO = f"Go to {', '.join(place.says for place in BY_KEY.values())}"


def _key(key: str, action: str, short: str, says: str, *, show: bool = False, priority: bool = False) -> Binding:
    """A binding: `short` for the line of keys, `says` for the help."""
    return Binding(key, action, short, tooltip=says, show=show, priority=priority)


KEYS: Final[list[BindingType]] = [
    *(_key(key, f"go('{place.name}')", place.name, _GO_TO) for key, place in BY_KEY.items()),
    _key("escape", "up", "up", "Up: message, filter, screen"),
    _key("left_square_bracket", "flip(-1)", "job", "Previous, next job"),
    _key("right_square_bracket", "flip(1)", "job", "Previous, next job", show=True),
    _key("backspace", "last_job", "last", "Job shown before this one"),
    _key("r", "refresh_now", "refresh", "Look at all sources now", show=True),
    _key("S", "sync", "sync", "Copy event files, logs here now", show=True),
    _key("T", "tensorboard", "TensorBoard", "Open TensorBoard", show=True),
    _key("d", "diagnose", "diagnose", "Diagnose: stacks, logs, report", show=True),
    _key("L", "launch", "launch", "Launch a job"),
    _key("R", "relaunch", "relaunch", "Launch the job in hand again"),
    _key("ctrl+k", "stop", "stop", "Stop the job in hand: asks first"),
    _key("at", "app.go('executed')", "commands", "Commands that were run on nodes"),
    _key("question_mark", "help", "help", "These keys", show=True),
    _key("colon,ctrl+p", "command_palette", "jump", "Palette: jump, set, do", show=True),
    _key("Y", "copy", "copy", "Copy the line, the URL or the verdict"),
    _key("ctrl+z", "suspend_process", "suspend", "Suspend; fg comes back"),
    _key("q", "leave", "quit", "Quit", show=True),  # no priority: a passphrase may have a q
    _key("ctrl+c", "leave", "quit", "Quit", priority=True),
]

ACTS: Final = ("launch", "relaunch", "stop")
"""Actions that change something on nodes."""


def offered(*, read_only: bool) -> list[BindingType]:
    """The keys that are told of: not those that are refused."""
    return [key for key in Binding.make_bindings(KEYS) if not (read_only and key.action in ACTS)]
