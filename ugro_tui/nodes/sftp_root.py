"""Where the metrics directory is for SFTP, which begins elsewhere than programs do and knows no `~`."""

from __future__ import annotations

import re

from ugro_tui.nodes.asking import Clocks
from ugro_tui.nodes.base import NodeError
from ugro_tui.nodes.carriers import Connection, Sftp


def where_is(root: str, connection: Connection, sftp: Sftp, clocks: Clocks, deadline: float) -> tuple[str, float]:
    """`root` as an absolute path, and by how many seconds the node's clock is ahead; 0 where no command runs there.

    Raises:
        NodeError: neither can be found out.
    """
    home, offset = "", 0.0
    try:
        # SFTP begins in the home that the user database names, other programs in that of the environment.
        ran = connection.run(["sh", "-c", 'echo "ugro $(date +%s) $HOME"'], b"", deadline)
        told = re.search(rb"^ugro (\d{1,12}) (/[^\n]*)$", ran.out, re.MULTILINE)
        if told:
            offset = int(told.group(1)) + 0.5 - clocks.time()
            home = told.group(2).decode("utf-8", "surrogateescape")
    except NodeError:
        if not connection.alive:
            raise
    if root.startswith("/"):
        return root, offset
    home = home or sftp.realpath(".", deadline)
    below = root[1:].lstrip("/") if root == "~" or root.startswith("~/") else root
    return f"{home.rstrip('/')}/{below}".rstrip("/"), offset
