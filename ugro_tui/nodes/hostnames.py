"""How a machine is spelled: `host`, `user@host`, `user@host:port`; nothing else gets near a command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NodeSetup

# As OpenSSH refuses them since 9.6: names get into command lines through ProxyCommand's %h, %n and %r.
_HOST = re.compile(r"[^\s\x00-\x1f\x7f'\"`$\\;&<>|(){}@\-][^\s\x00-\x1f\x7f'\"`$\\;&<>|(){}@]*")
_USER = re.compile(r"[^\s\x00-\x1f\x7f'\"`$;&<>|(){}\-][^\s\x00-\x1f\x7f'\"`$;&<>|(){}]*")
_SPELLED = re.compile(r"(?:ssh://)?(?:(?P<user>.*)@)?(?P<host>\[[^]]+\]|[^\[\]:]+?)(?::(?P<port>\d{1,5}))?/?")


@dataclass(frozen=True, slots=True)
class Target:
    """A machine as it was spelled in `text`. An empty user and port 0: as configured."""

    host: str
    user: str = ""
    port: int = 0
    text: str = ""


def parse_target(text: str) -> Target:
    """`[user@]host[:port]`; an IPv6 address with a port in brackets, as `[::1]:22`.

    Raises:
        NodeSetup: it is not spelled so, or could be taken for an option or a shell's word.
    """
    if text.count(":") > 1 and "[" not in text and "//" not in text:  # a bare IPv6 address
        user, at, host = text.rpartition("@")
        found = Target(host, user, 0, text)
        port = "" if at and not user else "0"
    else:
        match = _SPELLED.fullmatch(text)
        found = Target(match["host"].strip("[]"), match["user"] or "", 0, text) if match else Target("")
        port = (match["port"] or "0") if match else ""
    valid = _HOST.fullmatch(found.host) and (not found.user or _USER.fullmatch(found.user))
    if not valid or not port.isdigit() or int(port) > 65535:
        raise NodeSetup(f"{visible(text, 80)!r} is no name of a machine: write host, user@host or user@host:port")
    return Target(found.host, found.user, int(port), text)
