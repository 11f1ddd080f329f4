"""SSH connections. The one file that knows paramiko; who imports it pays a quarter of a second."""

from __future__ import annotations

import errno
import io
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.packet import Packetizer
from paramiko.pkey import PublicBlob

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import (
    NodeBusy,
    NodeError,
    NodeLied,
    NodeLost,
    NodeSetup,
    NodeSilent,
    NodeUnreachable,
)
from ugro_tui.nodes.connection import SshConnection
from ugro_tui.nodes.hostkeys import HostKeys
from ugro_tui.nodes.identities import Agent
from ugro_tui.nodes.login import Offer, Refused, log_in
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sockets import Pipe, dial, proxied, writing_until
from ugro_tui.nodes.sshconfig import SshSettings
from ugro_tui.nodes.streams import ChannelStream, HopPipe

AT_ONCE = 8
"""Key exchanges under way at once in this process: each costs milliseconds of this machine's time."""

_MAX_BANNER = 1 << 16
_WEAK = re.compile("cbc|3des|md5|sha1|arcfour|blowfish|ssh-rsa|ssh-dss")
_slots = threading.BoundedSemaphore(AT_ONCE)

# Its tracebacks would go to the terminal, and hold what a node sent.
_log = logging.getLogger("paramiko")
_log.addHandler(logging.NullHandler())
_log.propagate = False
_log.setLevel(logging.CRITICAL)

_KEYS: dict[str, type[paramiko.PKey]] = {
    "ssh-ed25519": paramiko.Ed25519Key,
    "ssh-rsa": paramiko.RSAKey,
    "ecdsa-sha2-nistp256": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp384": paramiko.ECDSAKey,
    "ecdsa-sha2-nistp521": paramiko.ECDSAKey,
}


class _Packetizer(Packetizer):
    _banner = 0

    def start_handshake(self, timeout: float) -> None:
        """Our deadline holds; paramiko's would be a thread that outlives a failed connection by 15 s."""

    def _read_timeout(self, timeout: float) -> bytes:
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._banner += len(data)
        if self._banner > _MAX_BANNER:
            raise EOFError
        return data


class _Transport(paramiko.Transport):
    """Sleeps until something comes: the pipe below has no timeout, where paramiko's own thread wakes 10 times a second.

    What is written gives up at the deadline of who writes (`sockets.writing_until`).
    """

    def __init__(self, pipe: Pipe | HopPipe, settings: SshSettings, kinds: Sequence[str]) -> None:
        super().__init__(pipe, packetizer_class=_Packetizer)  # type: ignore[arg-type]
        self._pipe = pipe
        self.name = f"ssh {settings.alias}"
        self.clear_to_send_timeout = 10.0
        options = self.get_security_options()
        options.ciphers = sorted(_strong(options.ciphers), key=lambda name: "gcm" not in name)
        options.digests = sorted(_strong(options.digests), key=lambda name: "etm" not in name)
        options.kex = _strong(options.kex)
        options.key_types = sorted(_strong(options.key_types), key=lambda name: _plain(name) not in kinds)
        self.use_compression(settings.compression)

    def run(self) -> None:
        """The pipe's descriptor is let go of by the one who reads it."""
        try:
            super().run()
        finally:
            self._pipe.release()

    def end(self) -> None:
        """Close at once."""
        self.close()
        self._pipe.close()
        if self.ident is None:
            self._pipe.release()

    def opened(self, kind: str, to: tuple[str, int] | None, until: float) -> paramiko.Channel:
        """A new channel; see `connection.Carrier`."""
        left = max(0.01, until - time.monotonic())
        try:
            return self.open_channel(kind, to, ("127.0.0.1", 0), timeout=left)
        except paramiko.ChannelException as error:
            raise NodeBusy(f"it opens no more sessions now (MaxSessions): {error.text}") from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.is_active():
                raise NodeSilent("no session was opened in time") from None
            raise NodeLost(f"the connection has ended: {_text(error)}") from None

    def begin(self, channel: Any, kind: str, text: str, until: float) -> None:
        """What `Channel.exec_command` and `invoke_subsystem` do, which would wait without a deadline."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string(kind)
        message.add_boolean(True)
        message.add_string(text)
        channel._event_pending()
        with suppress(OSError):
            self._send_user_message(message)
        if not channel.event.wait(max(0.0, until - time.monotonic())):
            raise NodeSilent("no program was started in time")
        if not channel.event_ready:
            if self.is_active():
                raise NodeError(f"the server refuses to start it: {visible(text, 80)}")
            raise NodeLost("the connection has ended")

    def _send_user_message(self, data: paramiko.Message) -> None:
        try:
            super()._send_user_message(data)  # type: ignore[misc]
        except (paramiko.SSHException, EOFError) as error:
            raise BrokenPipeError(errno.EPIPE, str(error)) from None


class _AgentKey(paramiko.PKey):
    """A key that the agent signs with."""

    def __init__(self, agent: Agent, public: bytes) -> None:
        self.public_blob = None
        self._agent = agent
        self._public = public

    def get_name(self) -> str:
        return paramiko.Message(self._public).get_text()

    def asbytes(self) -> bytes:
        return self._public

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:
        return paramiko.Message(self._agent.sign(self._public, data, algorithm or ""))


def connect(
    settings: SshSettings, secrets: Secrets, deadline: float, clock: Callable[[], float] = time.monotonic
) -> SshConnection:
    """Connect and log in, over the machines on the way. `deadline` is for all of it, in seconds of `clock`.

    Raises:
        NodeUnreachable, NodeSilent, NodeLost, NodeBusy, NodeLied: it may work another time.
        HostKeyUnknown, HostKeyChanged: no credential was sent.
        NodeAuth, NeedsPassphrase, NodeSetup: a person has to mend it.
    """
    until = time.monotonic() + deadline - clock()
    chain: list[_Transport] = []
    try:
        for hop in (*settings.jumps, settings):
            here = until if hop.connect_timeout is None else min(until, time.monotonic() + hop.connect_timeout)
            with writing_until(here):
                chain.append(_logged_in(_pipe(hop, chain[-1] if chain else None, here), hop, secrets, here))
    except BaseException:
        for transport in reversed(chain):
            transport.end()
        raise
    return SshConnection(chain, clock)


def _pipe(settings: SshSettings, before: _Transport | None, until: float) -> Pipe | HopPipe:
    if before is None:
        if settings.proxy_command:
            return proxied(settings.proxy_command, settings.alias)
        return dial(settings.host, settings.port, until, settings.alias)
    try:
        channel = before.opened("direct-tcpip", (settings.host, settings.port), until)
    except NodeBusy as error:
        raise NodeUnreachable(
            f"{settings.alias}: the jump host does not connect to {visible(settings.host, 200)} port {settings.port}: "
            f"{error}: is it up, and does the jump host allow it (AllowTcpForwarding)?"
        ) from None
    return HopPipe(ChannelStream(channel))


def _logged_in(pipe: Pipe | HopPipe, settings: SshSettings, secrets: Secrets, until: float) -> _Transport:
    transport: _Transport | None = None
    try:
        # A server that says nothing must not keep others from connecting.
        if not pipe.arrives(until - time.monotonic()):
            raise NodeSilent(f"{settings.alias}: connected, but no SSH server answers: is the machine frozen?")
        with _slot(settings, until):
            trusted = HostKeys((*settings.user_known_hosts, *settings.global_known_hosts), settings.known_name)
            transport = _Transport(pipe, settings, trusted.kinds)
            _exchange_keys(transport, settings, until)
            key = transport.get_remote_server_key()
            trusted.check(key.get_name(), key.asbytes(), settings)
            log_in(settings, secrets, until, lambda offer: _offer(transport, settings.user, offer, until))
    except BaseException:
        if transport is None:
            pipe.release()
        else:
            transport.end()
        raise
    return transport


@contextmanager
def _slot(settings: SshSettings, until: float) -> Iterator[None]:
    if not _slots.acquire(timeout=max(0.0, until - time.monotonic())):
        raise NodeBusy(f"{settings.alias}: too many connections are being made at once; it is tried again")
    try:
        yield
    finally:
        _slots.release()


def _exchange_keys(transport: _Transport, settings: SshSettings, until: float) -> None:
    done = threading.Event()
    transport.start_client(done)
    if not done.wait(max(0.0, until - time.monotonic())):
        raise NodeSilent(f"{settings.alias}: the SSH server did not finish its greeting in time; it is tried again")
    if transport.is_active():
        return
    error, name = transport.get_exception(), settings.alias
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        raise NodeSetup(
            f"{name}: no common algorithm (SHA-1, CBC and MD5 are refused): {_text(error)}: update its sshd"
        )
    if "Indecipherable" in str(error):
        raise NodeLied(f"{name}: what listens there is no SSH server: {_text(error)}: correct Port")
    if not transport.remote_version:
        raise NodeBusy(
            f"{name}: the connection was closed before SSH began: too many logins are under way there (MaxStartups), "
            f"or it is no sshd, or {'the ProxyCommand fails' if settings.proxy_command else 'it refuses this address'}"
        )
    raise NodeLost(f"{name}: the connection ended during the key exchange: {_text(error)}; it is tried again")


def _offer(transport: _Transport, user: str, offer: Offer, until: float) -> None:
    """Log in with one key.

    Raises:
        Refused: the server does not accept it.
        ValueError: it cannot be used.
        NodeLost: the connection has ended.
    """
    key = _key(offer)
    transport.auth_timeout = max(0.01, until - time.monotonic())
    try:
        further = transport.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        raise Refused(f"it takes no keys, only {_text(error.allowed_types)}") from None
    except paramiko.AuthenticationException:
        raise Refused("" if transport.is_active() else "it ended the connection") from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise NodeLost(f"the connection ended during the login: {_text(error)}") from None
    if further:
        raise Refused(f"besides a key it wants {_text(further)}")


def _key(offer: Offer) -> paramiko.PKey:
    key: paramiko.PKey = _AgentKey(offer.agent, offer.identity.public)
    if offer.private:
        try:
            key = _KEYS[offer.kind].from_private_key(io.StringIO(offer.private))
        except (KeyError, paramiko.SSHException):
            raise ValueError(f"a key of type {visible(offer.kind, 80)}") from None
    certificate = offer.identity.certificate
    if certificate:
        key.public_blob = PublicBlob(paramiko.Message(certificate).get_text(), certificate)
    return key


def _strong(names: Sequence[str]) -> list[str]:
    return [name for name in names if not _WEAK.search(name)]


def _plain(algorithm: str) -> str:
    """The type of the keys that an algorithm is for."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _text(error: object) -> str:
    return visible(str(error) or type(error).__name__, 200)
