"""Which keys are offered to a server, and in which order: as OpenSSH does it. Also the agent, and key files."""

from __future__ import annotations

import base64
import binascii
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from ugro_tui.core.text import visible
from ugro_tui.nodes.sshconfig import SshSettings

MAX_KEY_FILE = 1 << 20
_MAX_AGENT_REPLY = 1 << 20
_LIST, _LISTED, _SIGN, _SIGNED = 11, 12, 13, 14
_SIGNATURES = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
_CERT = b"-cert-v01@openssh.com"
_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"


class LockedKey(Exception):
    """A key file is encrypted, and no passphrase, or a wrong one, was given."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A key to offer. `label` is for people; `public` its public part, empty where it is not known.

    It signs with the agent, or with the private key in `file`. `certificate` is offered in place of the public part.
    """

    label: str
    public: bytes
    file: Path | None = None
    certificate: bytes = b""


class Agent:
    """An ssh-agent. Each answer is waited for until `deadline` (seconds of `time.monotonic`)."""

    def __init__(self, path: str, deadline: float) -> None:
        self._path = path
        self._deadline = deadline

    def keys(self) -> list[tuple[bytes, str]]:
        """The public keys that it holds and their comments; none where no agent answers."""
        with suppress(OSError, ValueError, struct.error):
            return list(_listed(self._asked(bytes([_LIST]), _LISTED))) if self._path else []
        return []

    def sign(self, public: bytes, data: bytes, algorithm: str) -> bytes:
        """A signature in SSH's form; empty when it refuses, which a server refuses in turn."""
        flags = _SIGNATURES.get(algorithm.removesuffix(_CERT.decode()), 0)
        question = bytes([_SIGN]) + _string(public) + _string(data) + struct.pack(">I", flags)
        with suppress(OSError, ValueError, struct.error):
            return _take(self._asked(question, _SIGNED), 0)[0]
        return b""

    def _asked(self, question: bytes, kind: int) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(max(0.01, self._deadline - time.monotonic()))
            sock.connect(self._path)
            sock.sendall(_string(question))
            size = struct.unpack(">I", self._received(sock, 4))[0]
            if not 0 < size <= _MAX_AGENT_REPLY:
                raise ValueError("no agent's answer")
            reply = self._received(sock, size)
        if reply[0] != kind:
            raise ValueError("refused")
        return reply[1:]

    def _received(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            sock.settimeout(max(0.01, self._deadline - time.monotonic()))
            part = sock.recv(size - len(data))
            if not part:
                raise ValueError("the agent is gone")
            data += part
        return data


def identities(settings: SshSettings, held: Sequence[tuple[bytes, str]]) -> list[Identity]:
    """What to offer, in OpenSSH's order; `held` is what the agent holds.

    Certificates; the agent's keys that are configured; its others, unless IdentitiesOnly; key files it does not hold.
    """
    files = [(path, public_part(path)) for path in settings.identity_files if path.is_file()]
    named = {public for _, public in files if public}
    agents = [Identity(f"agent key {visible(comment, 80)}", public) for public, comment in held]
    ours = [one for one in agents if one.public in named]
    others = [] if settings.identities_only else [one for one in agents if one.public not in named]
    in_agent = {one.public for one in agents}
    on_disk = [
        Identity(str(path), public, path) for path, public in files if public not in in_agent and not _is_public(path)
    ]
    return [*_certified(settings, [*ours, *on_disk, *others]), *ours, *others, *on_disk]


def _certified(settings: SshSettings, keys: Sequence[Identity]) -> Iterator[Identity]:
    """The certificates that are configured, or lie beside a key file, each with the key it is for."""
    beside = [path.with_name(f"{path.name}-cert.pub") for path in settings.identity_files]
    for path in dict.fromkeys((*settings.certificate_files, *beside)):
        certificate = _public_line(path)
        if not certificate:
            continue
        for key in keys:
            plain = key.public or (public_part(key.file) if key.file else b"")
            if plain and _is_for(certificate, plain):
                yield Identity(f"{path} with {key.label}", key.public, key.file, certificate)
                break


def _is_for(certificate: bytes, public: bytes) -> bool:
    """Whether a certificate holds this key: its type, a nonce, then the key's own fields."""
    with suppress(struct.error, ValueError):
        kind, after = _take(certificate, 0)
        _, after = _take(certificate, after)
        own, fields = _take(public, 0)
        return kind == own + _CERT and certificate[after:].startswith(public[fields:])
    return False


def public_part(path: Path) -> bytes:
    """The public key that belongs to a key file, without its passphrase; empty where that cannot be told."""
    with suppress(OSError, ValueError, struct.error, binascii.Error):
        data = _read(path)
        if data.startswith(_OPENSSH):
            lines = data.partition(b"-----END")[0].split()[4:]
            return _public_of(base64.b64decode(b"".join(lines)))
        return _public_line(path) or _public_line(path.with_name(f"{path.name}.pub"))
    return b""


def _public_of(container: bytes) -> bytes:
    """OpenSSH's own format keeps the public key in the clear: magic, cipher, kdf, its options, 1, the key."""
    place = len(b"openssh-key-v1\0")
    for _ in range(3):
        _, place = _take(container, place)
    return _take(container, place + 4)[0]


def _is_public(path: Path) -> bool:
    """A public key may be configured to say which of the agent's keys is meant."""
    return bool(_public_line(path))


def _public_line(path: Path) -> bytes:
    with suppress(OSError, binascii.Error, ValueError):
        words = _read(path).split(None, 2)
        if len(words) >= 2:
            blob = base64.b64decode(words[1], validate=True)
            return blob if blob.startswith(_string(words[0])) else b""
    return b""


def private_key(path: Path, passphrase: str | None) -> tuple[str, str]:
    """The type of the private key in a file, and the key in OpenSSH's format, not encrypted.

    Raises:
        LockedKey: the passphrase is missing or wrong.
        ValueError: it is no key of a type that is supported.
        OSError: the file cannot be read.
    """
    data = _read(path)
    secret = passphrase.encode() if passphrase is not None else None
    load = serialization.load_ssh_private_key if data.startswith(_OPENSSH) else serialization.load_pem_private_key
    try:
        key = load(data, secret)
    except TypeError as error:
        if secret is None:
            raise LockedKey from None
        raise ValueError(str(error)) from None
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    except ValueError:
        if secret is not None:
            raise LockedKey from None
        raise
    kind = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
    return kind.split()[0].decode(), key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not hold us
    with open(descriptor, "rb") as stream:
        return stream.read(MAX_KEY_FILE)


def _listed(reply: bytes) -> Iterator[tuple[bytes, str]]:
    place = 4
    for _ in range(min(struct.unpack_from(">I", reply)[0], 1000)):
        public, place = _take(reply, place)
        comment, place = _take(reply, place)
        yield public, comment.decode("utf-8", "replace")


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _take(data: bytes, place: int) -> tuple[bytes, int]:
    end = place + 4 + struct.unpack_from(">I", data, place)[0]
    if end > len(data):
        raise ValueError("cut short")
    return data[place + 4 : end], end
