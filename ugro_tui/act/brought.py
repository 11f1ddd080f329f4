"""What a launch takes from this machine: secrets in files, and the code that is copied to nodes."""

from __future__ import annotations

from pathlib import Path

from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.text import visible


def check_files(request: LaunchRequest) -> None:
    """See that all is there.

    Raises:
        BadInput: says what is not.
    """
    secrets_of(request)
    if request.sync_code and request.script:
        path = Path(request.sync_code, request.workdir, request.script)
        if not path.is_file():
            raise BadInput(f"there is no training script {visible(str(path), 200)}: give its path below --sync-code")


def secrets_of(request: LaunchRequest) -> dict[str, str]:
    """The variables that files of this machine hold, without the end of their last line.

    Raises:
        BadInput: a file cannot be read, or holds what no variable can.
    """
    found = {}
    for name, path in request.secrets.items():
        try:
            found[name] = Path(path).expanduser().read_text().rstrip("\r\n")
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInput(f"--secret {name}: {visible(path, 200)} cannot be read: {error}") from None
        if "\0" in found[name]:
            raise BadInput(f"--secret {name}: {visible(path, 200)} holds a zero byte, which no variable can")
    return found
