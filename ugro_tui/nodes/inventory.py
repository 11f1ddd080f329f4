"""Which nodes there are: names, Slurm nodelists, patterns of SSH aliases, and hostfiles, made into one list."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from ugro_tui.core.errors import BadInput
from ugro_tui.core.nodelist import MAX_NODES, expand, split
from ugro_tui.core.text import visible

LOCAL = "local"
"""The name of this machine, which is read without SSH."""

MAX_HOSTFILE = 1 << 20
"""Bytes of a hostfile that is believed to be one."""

Aliases: TypeAlias = Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node. `name` may name a directory; `target` is what ssh is given. Empty or None: as the SSH settings say.

    `metrics_dir` is a path on the node as typed, `~` being the home there; empty where the common one holds.
    """

    name: str
    target: str
    user: str = ""
    port: int | None = None
    metrics_dir: str = ""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What the settings file says of one node, in its table `[node.NAME]`."""

    user: str = ""
    port: int | None = None
    metrics_dir: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A node as it was written, without a name yet."""

    target: str
    user: str = ""
    port: int | None = None


_HERE = _Entry(LOCAL)


def inventory(
    nodes: Sequence[str],
    hostfile: Path | None,
    settings: Mapping[str, NodeSettings],
    aliases: Aliases,
    origins: Mapping[str, str] | None = None,
) -> tuple[NodeSpec, ...]:
    """All nodes that `nodes` and `hostfile` name, in their order and each once; this machine where neither names one.

    `aliases` tells the Host aliases of the SSH settings, and is asked only where a pattern is to be matched. `origins`
    says for `nodes` and `hostfile` where they were set. What is written with a node (`user@host:port`) wins over
    `settings`, which are looked up by the node's name and then by its host.

    Raises:
        BadInput: an entry or the hostfile cannot be used; says which, where, and what to do.
    """
    where = {"nodes": "nodes", "hostfile": "hostfile"} | dict(origins or {})
    found: dict[_Entry, None] = {}
    for text in nodes:
        _add(found, _entries(text, where["nodes"], aliases), where["nodes"])
    if hostfile is not None:
        for line, entries in _hostfile(hostfile, where["hostfile"], aliases):
            _add(found, entries, line)
    if not found and not nodes and hostfile is None:
        found = {_HERE: None}
    return tuple(_spec(entry, name, settings) for entry, name in _names(found).items())


def is_word(text: str) -> bool:
    """Whether `text` may be handed to ssh as a user or host: it looks like no option and holds no sign of a shell."""
    return bool(text) and text[0] != "-" and not _REFUSED.search(text) and visible(text) == text


# What OpenSSH (since 9.6) takes neither in a host nor in a user, for both get into ProxyCommands; and signs of ours.
_REFUSED = re.compile(r"[\s'`\"$\\;&<>|(){}\[\],/]")


def _add(found: dict[_Entry, None], entries: Iterable[_Entry], origin: str) -> None:
    for entry in entries:
        found[entry] = None
        if len(found) > MAX_NODES:
            raise BadInput(f"{origin}: more than {MAX_NODES} nodes: name fewer")


def _entries(text: str, origin: str, aliases: Aliases) -> Iterator[_Entry]:
    """The nodes of a comma list."""
    pieces = split(text, origin)
    if not pieces:
        raise BadInput(f"{origin}: {visible(text, 80)!r} names no node: give names such as gpu1,gpu2 or gpu[1-4]")
    for piece in pieces:
        for name in expand(piece, origin):
            yield from _matched(_entry(name, origin), origin, aliases)


def _entry(text: str, origin: str) -> _Entry:
    """`[user@]host[:port]`, the host also an IPv6 address."""
    user, at, place = text.rpartition("@")
    host, port = _host_port(place)
    shown = f"{origin}: {visible(text, 80)!r}"
    if (at and not is_word(user)) or not is_word(host):
        raise BadInput(
            f"{shown} is not a node: write host, user@host or user@host:port; a name may not begin with '-' nor hold "
            "spaces, quotes or other signs of a shell"
        )
    return _Entry(host, user, None if port is None else _port(port, shown))


def _host_port(place: str) -> tuple[str, str | None]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", place)
    if bracketed:
        return bracketed.group(1), bracketed.group(2)
    host, colon, port = place.rpartition(":")
    if not colon or is_ipv6(place):
        return place, None
    return host, port


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address, also one with a zone."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(text: str, shown: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise BadInput(
            f"{shown}: {visible(text, 20)!r} is not a port: give a number from 1 to 65535 (an IPv6 address with a "
            "port is written [::1]:22)"
        )
    return int(text)


def _matched(entry: _Entry, origin: str, aliases: Aliases) -> Iterator[_Entry]:
    """The entry itself, or one for each alias that its pattern fits."""
    if not set("*?") & set(entry.target):
        yield entry
        return
    pattern = re.compile("".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in entry.target))
    known = [alias for alias in aliases() if is_word(alias) and not set("*?!") & set(alias)]
    fitting = [alias for alias in known if pattern.fullmatch(alias)]
    if not fitting:
        there = f"there are: {visible(', '.join(known), 200)}" if known else "there are none"
        raise BadInput(f"{origin}: {entry.target!r} fits no Host alias of the SSH settings ({there}): name the nodes")
    yield from (replace(entry, target=alias) for alias in fitting)


def _hostfile(path: Path, origin: str, aliases: Aliases) -> Iterator[tuple[str, list[_Entry]]]:
    """For each line that names nodes: where it stands, and the nodes."""
    lines = _read(path, origin).splitlines()
    found = False
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            found = True
            where = f"{visible(str(path))}: line {number}"
            _check_line(words, where)
            yield where, list(_entries(words[0], where, aliases))
    if not found:
        raise BadInput(f"{origin}: {visible(str(path))} names no node: write one host on each line")


def _read(path: Path, origin: str) -> str:
    shown = f"{origin}: {visible(str(path))}"
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_HOSTFILE + 1)
    except OSError as error:
        raise BadInput(f"{shown} cannot be read: {error.strerror}: name another hostfile") from None
    if len(data) > MAX_HOSTFILE:
        raise BadInput(f"{shown} is larger than a hostfile can be: name one with a host on each line")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{shown} is not a text in UTF-8: name one with a host on each line") from None


def _check_line(words: list[str], where: str) -> None:
    for word in words[1:]:
        if not re.fullmatch(r"[A-Za-z_-]+=\S+", word):
            raise BadInput(
                f"{where}: {visible(word, 80)!r}: behind a host stand only settings such as slots=8: "
                "write one host on each line"
            )
    host, port = _host_port(words[0])
    # MPICH writes the number of slots behind a colon, ssh the port; no machine has more than 1,024 slots.
    if port and len(words) == 1 and re.fullmatch("[0-9]{1,4}", port) and int(port) <= 1024:
        host = visible(host, 80)
        raise BadInput(
            f"{where}: {host}:{port}: a port, or a number of slots? Write '{host} slots={port}'; a port goes "
            f'into the settings file: [node."{host}"] port = {port}'
        )


def _names(entries: Iterable[_Entry]) -> dict[_Entry, str]:
    """A name for each that no other has, also where a file system takes no notice of case.

    As far as can be it is made of the entry alone, so that a node keeps its directory when others are added.
    """
    names = {entry: _label(entry) for entry in entries}
    for more in (lambda entry: _safe(entry.user), _digest):
        taken = Counter(name.casefold() for name in names.values())
        for entry, name in names.items():
            shared = taken[name.casefold()] > 1 or name.casefold() == LOCAL
            if shared and entry != _HERE and more(entry):
                names[entry] = f"{name}-{more(entry)}"
    return names


def _label(entry: _Entry) -> str:
    label = _safe(entry.target)
    return label if entry.port is None else f"{label}-{entry.port}"


def _safe(text: str) -> str:
    """At most 64 letters, digits and `._-`, beginning with neither `.` nor `-`."""
    return re.sub(r"[^A-Za-z0-9._-]|^[.-]", "_", text)[:64]


def _digest(entry: _Entry) -> str:
    return hashlib.sha256(repr((entry.target, entry.user, entry.port)).encode()).hexdigest()[:8]


def _spec(entry: _Entry, name: str, settings: Mapping[str, NodeSettings]) -> NodeSpec:
    own = settings.get(name) or settings.get(entry.target) or NodeSettings()
    return NodeSpec(name, entry.target, entry.user or own.user, entry.port or own.port, own.metrics_dir)
