"""What a launch takes from this machine: secrets, in files or as somebody types them, and the code that is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ugro_tui.act.lent import code
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.text import visible
from ugro_tui.nodes.secrets import Secrets

if TYPE_CHECKING:
    from ugro_tui.core.snapshot import Question

Typed = Callable[[str], str | None]
"""What somebody has typed, by its key; None where nobody has."""


def check_files(request: LaunchRequest, typed: Typed) -> None:
    """See that all is there.

    Raises:
        BadInput: says what is not.
    """
    secrets_of(request, typed)
    check_code(request)


def check_code(request: LaunchRequest) -> None:
    """See that the code that is copied holds the folder to run in, and the script.

    Raises:
        BadInput: says what is not among it.
    """
    if not request.sync_code:
        return
    folder = visible(request.sync_code, 200)
    for option, path in (("--workdir", request.workdir), ("the training script", request.script)):
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise BadInput(
                f"{option}: {visible(path, 200)} is not in the copy that --sync-code makes of {folder}: "
                "give its path below that, or leave --sync-code out"
            )
    files = {PurePosixPath(name) for name, _ in code(Path(request.sync_code))}
    place = PurePosixPath(request.workdir)
    if request.script and place / request.script not in files:
        raise BadInput(
            f"there is no training script {visible(str(place / request.script), 200)} among what --sync-code copies of "
            f"{folder}: give its path below that; what git ignores is not copied"
        )
    if not any(place in file.parents for file in files):
        raise BadInput(f"--workdir: there is no folder {visible(str(place), 200)} among what --sync-code copies")


def secrets_of(request: LaunchRequest, typed: Typed) -> dict[str, str]:
    """The variables that were typed, and those that files of this machine hold, without the end of their last line.

    Raises:
        BadInput: one is not known, its file cannot be read, or it is what no variable can be.
    """
    found = {name: _secret(request, name, typed) for name in request.secrets}
    for name, value in found.items():
        if "\0" in value:
            raise BadInput(f"--secret {name}: it holds a zero byte, which no variable can: give another one")
    return found


def _secret(request: LaunchRequest, name: str, typed: Typed) -> str:
    path = request.secrets[name]
    if not path:
        value = typed(_key(request, name))
        if value is None:
            raise BadInput(
                f"--secret {name}: nobody can be asked for it here: write it to a file, and give {name}=FILE"
            )
        return value
    try:
        return Path(path).expanduser().read_text().rstrip("\r\n")
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadInput(f"--secret {name}: {visible(path, 200)} cannot be read: {why}") from None


@contextmanager
def asked_for(
    request: LaunchRequest, typed: Mapping[str, str], known: Secrets, ask: Callable[[Question], str] | None
) -> Iterator[None]:
    """Ask for the secrets that have no file, and were not `typed` before. They are known while this lasts, in memory
    alone.

    Raises:
        BadInput: nobody is there to be asked, or nothing was typed.
    """
    keys = {_key(request, name): name for name, path in request.secrets.items() if not path}
    try:
        for key, name in keys.items():
            if typed.get(name):
                known.put(key, typed[name])
                continue
            if ask is None:
                raise BadInput(
                    f"--secret {name}: there is no terminal to ask for it on: write it to a file that you alone can "
                    f"read, and give --secret {name}=FILE"
                )
            from ugro_tui.core.snapshot import Question  # numpy: only who asks pays for it

            told = ask(Question(key, f"Secret {visible(name, 80)} of job {request.job_id}"))
            if not told:
                raise BadInput(f"--secret {name}: nothing was typed: launch again, or give --secret {name}=FILE")
            known.put(key, told)
        yield
    finally:
        for key in keys:
            known.forget(key)


def _key(request: LaunchRequest, name: str) -> str:
    return f"secret {name} of job {request.job_id}"
