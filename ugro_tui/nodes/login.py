"""Logging in: one key after the other, until the server accepts one; only then, if ever, a passphrase is asked for."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ugro_tui.core.text import visible
from ugro_tui.nodes.base import NeedsPassphrase, NodeAuth, NodeLost, NodeSilent
from ugro_tui.nodes.identities import Agent, Identity, LockedKey, identities, private_key
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.nodes.sshconfig import SshSettings

MAX_KEYS = 5
"""Keys tried at one connection; sshd ends it at the sixth that it refuses."""


class Refused(Exception):
    """The server does not accept a key. With a text it will accept no other one either, and the text says why."""


@dataclass(frozen=True, slots=True, repr=False)
class Offer:
    """A key to log in with: `private`, a key of type `kind` in OpenSSH's format; the agent's where that is empty."""

    identity: Identity
    agent: Agent
    kind: str = ""
    private: str = ""


def log_in(settings: SshSettings, secrets: Secrets, until: float, offer: Callable[[Offer], None]) -> None:
    """Offer keys in OpenSSH's order, until `until` (seconds of `time.monotonic`).

    `offer` logs in with one; it raises Refused, ValueError where the key cannot be used, NodeLost.

    Raises:
        NeedsPassphrase: no other key is accepted, and a file is encrypted.
        NodeAuth: no key is accepted.
        NodeSilent, NodeLost: as the names say.
    """
    agent = Agent(settings.agent, until)
    tried: list[str] = []
    unusable: list[str] = []
    locked: list[str] = []
    for identity in identities(settings, agent.keys()):
        if len(tried) == MAX_KEYS:
            break
        try:
            offer(_unlocked(identity, agent, secrets))
            return
        except LockedKey:
            locked.append(str(identity.file))
        except (OSError, ValueError) as error:
            unusable.append(f"{identity.label}: {visible(str(error), 200)}")
        except Refused as error:
            tried.append(identity.label)
            if time.monotonic() >= until:
                raise NodeSilent(f"{settings.alias}: no answer to the login in time; it is tried again") from None
            if str(error):
                raise NodeAuth(_refusal(settings, str(error), tried, unusable)) from None
        except NodeLost as error:
            raise NodeLost(f"{settings.alias}: {error}; it is tried again") from None
    if locked:
        key = locked[0]
        raise NeedsPassphrase(
            f"{settings.alias}: the key {visible(key, 200)} needs its passphrase: "
            f"run `{visible(shlex.join(['ssh-add', key]), 200)}`, or type it when asked",
            key,
        )
    raise NodeAuth(_refusal(settings, "it accepts none of our keys", tried, unusable))


def _unlocked(identity: Identity, agent: Agent, secrets: Secrets) -> Offer:
    if identity.file is None:
        return Offer(identity, agent)
    path = str(identity.file)
    passphrase = secrets.get(path)
    try:
        return Offer(identity, agent, *private_key(identity.file, passphrase))
    except LockedKey:
        if passphrase is not None:
            secrets.wrong(path, passphrase)
        raise


def _refusal(settings: SshSettings, why: str, tried: Sequence[str], unusable: Sequence[str]) -> str:
    what = f"tried: {', '.join(tried)}" if tried else "no key file and no key of an agent was found"
    if unusable:
        what += f"; not usable: {', '.join(unusable)}"
    if len(tried) == MAX_KEYS:
        what += f"; no more than {MAX_KEYS} are tried: name one with IdentityFile and IdentitiesOnly yes"
    return (
        f"{settings.alias}: the login as {visible(settings.user, 80)} is refused: {why} ({what}): "
        f"see that `{settings.command}` works; ssh-copy-id adds a key there"
    )
