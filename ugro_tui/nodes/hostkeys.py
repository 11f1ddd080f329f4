"""Which host keys are trusted: OpenSSH's known_hosts files, read as they are and never written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import HostKeyChanged, HostKeyUnknown
from ugro_tui.nodes.sshconfig import SshSettings

MAX_KNOWN_HOSTS = 64 << 20
"""Bytes read of one file; what lies beyond is not trusted."""


class Trust(Enum):
    """What the files say of a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A line that names the host. `mark`: `@revoked`, `@cert-authority`, or empty."""

    mark: str
    kind: str
    blob: bytes
    file: Path
    line: int


class HostKeys:
    """What some known_hosts files say of one host, read when it is made."""

    def __init__(self, files: Sequence[Path], name: str) -> None:
        self._keys = [key for file in files for key in _keys_for(file, name)]
        plain = re.fullmatch(r"\[(.+)\]:\d+", name)
        if plain and not any(key.mark == "" for key in self._keys):
            # As ssh does: a key known for the host counts for its other ports, where none is known for the port.
            self._keys += [key for file in files for key in _keys_for(file, plain[1])]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the keys known for the host, so that it is asked for one of these first."""
        return tuple(dict.fromkeys(key.kind for key in self._keys if not key.mark))

    def trust(self, kind: str, blob: bytes) -> Trust:
        """What is to be thought of a key: its type and its public part in SSH's form.

        A key of a type of which none is known is unknown, not changed.
        """
        if any(key.mark == "@revoked" and key.blob == blob for key in self._keys):
            return Trust.REVOKED
        trusted = [key for key in self._keys if not key.mark]
        if any(key.blob == blob for key in trusted):
            return Trust.KNOWN
        return Trust.CHANGED if any(key.kind == kind for key in trusted) else Trust.UNKNOWN

    def check(self, kind: str, blob: bytes, settings: SshSettings) -> None:
        """Refuse a key that is not known.

        Raises:
            HostKeyUnknown: no line names it. A `@cert-authority` line is not enough: certificates are not verified.
            HostKeyChanged: another one is known, or it is revoked.
        """
        trust = self.trust(kind, blob)
        name = settings.known_name
        what = f"{settings.alias}: the host key of {visible(name, 200)} ({kind} {fingerprint(blob)})"
        if trust is Trust.REVOKED:
            raise HostKeyChanged(f"{what} is revoked in known_hosts: do not connect; ask who runs the machine")
        if trust is Trust.CHANGED:
            raise HostKeyChanged(
                f"{what} is not the one in {self._where(kind)}: {_changed(settings, self._file(kind))}"
            )
        if trust is Trust.UNKNOWN:
            raise HostKeyUnknown(f"{what} is in no known_hosts file{self._but()}: {self._remedy(kind, settings)}")

    def _file(self, kind: str) -> Path:
        return next(key.file for key in self._keys if key.kind == kind and not key.mark)

    def _where(self, kind: str) -> str:
        key = next(key for key in self._keys if key.kind == kind and not key.mark)
        return f"{key.file}:{key.line}"

    def _but(self) -> str:
        if self.kinds:
            return f" (only a key of another type: {', '.join(self.kinds)})"
        authority = self._authority
        if authority is not None:
            place = f"{authority.file}:{authority.line}"
            return f"; {place} names an authority (@cert-authority), but host certificates are not verified here"
        return ""

    @property
    def _authority(self) -> KnownKey | None:
        return next((key for key in self._keys if key.mark == "@cert-authority"), None)

    def _remedy(self, kind: str, settings: SshSettings) -> str:
        # Where ssh trusts an authority it asks nothing and notes nothing: the plain key has to be written by hand.
        if self._authority is None or self.kinds:
            return _unknown(settings)
        file = f"/etc/ssh/ssh_host_{kind.removeprefix('ssh-').partition('-')[0]}_key.pub"
        fetch = f"(printf '%s ' {shlex.quote(visible(settings.known_name, 200))}; {settings.command} cat {file})"
        return (
            f"add its plain key too with `{fetch} >> {shlex.quote(str(self._authority.file))}`, as ssh does verify the "
            "certificate; it must be the key with this fingerprint"
        )


def fingerprint(blob: bytes) -> str:
    """As OpenSSH shows it: `SHA256:…`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _changed(settings: SshSettings, file: Path) -> str:
    remove = shlex.join(["ssh-keygen", "-f", str(file), "-R", settings.known_name])
    return (
        "either the machine was set up anew, or someone is in between. Compare the fingerprint with the machine's own; "
        f"only if it is right, `{remove}`, then `{settings.command}` once"
    )


def _unknown(settings: SshSettings) -> str:
    return (
        f"compare the fingerprint with the machine's own (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "
        f"then run `{settings.command}` once and accept it"
    )


def _keys_for(file: Path, name: str) -> Iterator[KnownKey]:
    """The lines of a file that name the host; what cannot be read is left out."""
    try:
        with file.open("rb") as stream:
            lines = stream.read(MAX_KNOWN_HOSTS).splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        words = line.decode("utf-8", "replace").split()
        mark = words.pop(0) if words and words[0].startswith("@") else ""
        if mark not in ("", "@revoked", "@cert-authority") or len(words) < 3 or words[0].startswith("#"):
            continue
        blob = _blob(words[1], words[2])
        if blob is not None and _names(words[0], name):
            yield KnownKey(mark, words[1], blob, file, number)


def _blob(kind: str, text: str) -> bytes | None:
    """The key, where it is one of that type."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    word = kind.encode()
    return blob if blob.startswith(len(word).to_bytes(4, "big") + word) else None


def _names(field: str, name: str) -> bool:
    """Whether the first field of a line names the host: patterns, or the hash of a name."""
    name = name.lower()
    if field.startswith("|"):
        return _hash_of(field, name)
    matched = False
    for pattern in field.split(","):
        if _matches(pattern.removeprefix("!").lower(), name):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _hash_of(field: str, name: str) -> bool:
    parts = field.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, digest = base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _matches(pattern: str, name: str) -> bool:
    """OpenSSH's patterns: only `*` and `?`; brackets stand for themselves. Takes no more than both lengths' product."""
    place = star = mark = 0
    at, stars = 0, False
    while at < len(name):
        if place < len(pattern) and pattern[place] == "*":
            place += 1
            star, mark, stars = place, at, True
        elif place < len(pattern) and pattern[place] in ("?", name[at]):
            place, at = place + 1, at + 1
        elif stars:  # let the last star take one character more
            mark += 1
            place, at = star, mark
        else:
            return False
    return not pattern[place:].strip("*")
