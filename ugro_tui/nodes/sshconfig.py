"""The SSH settings that hold for a machine, as OpenSSH itself resolves them (`ssh -G`), and the names it knows."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NodeSetup, NodeSilent
from ugro_tui.nodes.hostnames import Target, parse_target

SSH_SECONDS = 5.0
"""How long ssh may take to print its settings; a `Match exec` in them runs a command."""

MAX_JUMPS = 8

_MAX_TEXT = 300


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How one machine is reached. `jumps`: machines on the way, the nearest first, each without jumps of its own."""

    alias: str
    """As the user calls it."""
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str = ""
    """The agent's socket; empty: none is asked."""
    user_known_hosts: tuple[Path, ...] = ()
    global_known_hosts: tuple[Path, ...] = ()
    host_key_alias: str = ""
    jumps: tuple[SshSettings, ...] = ()
    proxy_command: str = ""
    """A shell command whose standard input and output lead to the machine; of a chain, only the first has one."""
    connect_timeout: float | None = None
    """Seconds."""
    compression: bool = False
    config: Path | None = None
    """The file that ssh was given instead of the user's own."""

    @property
    def known_name(self) -> str:
        """Its name in a known_hosts file."""
        if self.host_key_alias:
            return self.host_key_alias
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    @property
    def command(self) -> str:
        """An ssh command line that reaches the same machine, for people."""
        words = ["ssh", *(("-F", str(self.config)) if self.config else ()), self.alias]
        return visible(shlex.join(words), _MAX_TEXT)


def settings_of(
    target: str, ssh_config: Path | None = None, *, user: str | None = None, port: int | None = None
) -> SshSettings:
    """The settings in force for `target`: an alias, a host name, or `user@host:port`.

    `ssh_config` is read instead of the user's own file. `user` and `port` hold before all that is configured.

    Raises:
        NodeSetup: there is no ssh, it refuses its settings or the name, or the jump hosts lead in a circle.
        NodeSilent: ssh took too long to print them.
    """
    named = parse_target(target)
    wanted = replace(named, user=user or named.user, port=port or named.port)
    return _resolve(replace(wanted, text=target), ssh_config, ())


def _resolve(target: Target, config: Path | None, seen: tuple[Target, ...]) -> SshSettings:
    if target in seen or len(seen) >= MAX_JUMPS:
        way = " -> ".join(visible(one.text, 80) for one in (*seen, target))
        raise NodeSetup(f"the jump hosts lead in a circle or too far: {way}: correct ProxyJump in the ssh config")
    words = _asked(target, config)
    own = _settings(target, words, config)
    hops = [parse_target(hop) for hop in _first(words, "proxyjump", "none").split(",") if hop not in ("", "none")]
    if not hops:
        return own
    # As ssh does it: the first hop has its own configured way, each other one is reached through the one before.
    first = _resolve(hops[0], config, (*seen, target))
    others = [_alone(_settings(hop, _asked(hop, config), config)) for hop in hops[1:]]
    jumps = (*first.jumps, replace(first, jumps=()), *others)
    if len(jumps) > MAX_JUMPS:
        raise NodeSetup(f"{visible(target.text, 80)} lies behind more than {MAX_JUMPS} jump hosts: correct ProxyJump")
    return replace(_alone(own), jumps=jumps)


def _alone(settings: SshSettings) -> SshSettings:
    return replace(settings, proxy_command="")


def _asked(target: Target, config: Path | None) -> Mapping[str, list[str]]:
    """What `ssh -G` prints: values by their option in lower case."""
    argv = ["ssh", "-G", *(("-F", str(config)) if config else ())]
    argv += ["-l", target.user] if target.user else []
    argv += ["-p", str(target.port)] if target.port else []
    name = visible(target.text, 80)
    try:
        done = subprocess.run(
            [*argv, "--", target.host], stdin=subprocess.DEVNULL, capture_output=True, timeout=SSH_SECONDS, check=False
        )
    except FileNotFoundError:
        raise NodeSetup(
            f"{name}: the program ssh is missing, which reads the SSH settings: install OpenSSH's client "
            "(Debian: apt-get install openssh-client)"
        ) from None
    except subprocess.TimeoutExpired:
        raise NodeSilent(f"{name}: `ssh -G` did not print its settings within {SSH_SECONDS:.0f} s") from None
    if done.returncode != 0:
        why = visible(done.stderr.decode(errors="replace").strip() or "no reason given", _MAX_TEXT)
        raise NodeSetup(f"{name}: ssh refuses its settings: {why}: correct {config or '~/.ssh/config'}")
    words: dict[str, list[str]] = {}
    for line in done.stdout.decode(errors="surrogateescape").splitlines():
        option, _, value = line.partition(" ")
        words.setdefault(option.lower(), []).append(value)
    return words


def _settings(target: Target, words: Mapping[str, list[str]], config: Path | None) -> SshSettings:
    host, user = _first(words, "hostname", target.host), _first(words, "user", "")
    port = int(_first(words, "port", "22"))
    timeout = _first(words, "connecttimeout", "none")
    tokens = _tokens(target, host, port, user, _first(words, "hostkeyalias", host))
    proxy = _first(words, "proxycommand", "none")
    agent = _first(words, "identityagent", "SSH_AUTH_SOCK")
    return SshSettings(
        alias=target.host,
        host=host.lower(),
        port=port,
        user=user,
        identity_files=_paths(words.get("identityfile", []), tokens),
        certificate_files=_paths(words.get("certificatefile", []), tokens),
        identities_only=_first(words, "identitiesonly", "no") == "yes",
        agent=_agent(agent, tokens),
        user_known_hosts=_paths(_first(words, "userknownhostsfile", "").split(), tokens),
        global_known_hosts=_paths(_first(words, "globalknownhostsfile", "").split(), tokens),
        host_key_alias=_first(words, "hostkeyalias", ""),
        proxy_command="" if proxy == "none" else _expanded(proxy, tokens),
        connect_timeout=float(timeout) if timeout.isdigit() and timeout != "0" else None,
        compression=_first(words, "compression", "no") == "yes",
        config=config,
    )


def _first(words: Mapping[str, list[str]], option: str, default: str) -> str:
    return words.get(option, [default])[0]


def _tokens(target: Target, host: str, port: int, user: str, alias: str) -> dict[str, str]:
    """What `%x` stands for in ssh's options."""
    person = pwd.getpwuid(os.getuid())
    here = socket.gethostname()
    return {
        "%": "%", "h": host, "n": target.host, "p": str(port), "r": user, "k": alias, "d": person.pw_dir,
        "u": person.pw_name, "i": str(os.getuid()), "l": here, "L": here.partition(".")[0], "j": "",
    }  # fmt: skip


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    return re.sub("%(.)", lambda match: tokens.get(match.group(1), match.group()), text)


def _path(text: str, tokens: Mapping[str, str]) -> Path:
    """A path as ssh takes it: `~` is the home that the user database names, whatever HOME says."""
    text = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match.group(1), ""), _expanded(text, tokens))
    return Path(tokens["d"], text[2:]) if text.startswith("~/") else Path(text)


def _paths(texts: Sequence[str], tokens: Mapping[str, str]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(_path(text.strip('"'), tokens) for text in texts if text not in ("", "none")))


def _agent(text: str, tokens: Mapping[str, str]) -> str:
    if text == "none":
        return ""
    if text == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    if text.startswith("$") and not text.startswith("${"):
        return os.environ.get(text[1:], "")
    return str(_path(text, tokens))


def host_aliases(ssh_config: Path | None = None) -> list[str]:
    """The hosts that an ssh config (the user's own where none is given) and what it includes name literally.

    In the order of the files; without patterns, and without what cannot be read.
    """
    home = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".ssh"
    return list(dict.fromkeys(_named_hosts(ssh_config or home / "config", home, 0)))


def _named_hosts(path: Path, base: Path, depth: int) -> Iterator[str]:
    try:
        lines = path.read_text(errors="replace").splitlines() if depth < 16 else []
    except OSError:
        return
    for line in lines:
        option, values = _words_of(line)
        if option == "host":
            yield from (name for name in values if re.fullmatch(r"[^*?!\-][^*?]*", name))
        elif option == "include":
            for pattern in values:
                yield from _included(pattern, base, depth)


def _included(pattern: str, base: Path, depth: int) -> Iterator[str]:
    named = base.parent / pattern[2:] if pattern.startswith("~/") else base / pattern
    for path in sorted(Path(named.anchor).glob(str(named.relative_to(named.anchor)))):
        yield from _named_hosts(path, base, depth + 1)


def _words_of(line: str) -> tuple[str, list[str]]:
    match = re.match(r"\s*(\w+)(?:\s*=\s*|\s+)(.*)", line)
    if match is None:
        return "", []
    try:
        return match.group(1).lower(), shlex.split(match.group(2), comments=True)
    except ValueError:
        return "", []
