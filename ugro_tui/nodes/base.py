"""What every node can do, what it is asked and answers, and the errors that call for different reactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from ugro_tui.core.errors import UgroError
from ugro_tui.core.health import NodeHealth
from ugro_tui.core.layout import POLLED, FileKind
from ugro_tui.core.vital import Vital


class Reaction(Enum):
    """What is to be done after an error."""

    WAIT = "wait"
    """The node answers, but there is nothing to read: look again as usual."""
    RETRY = "retry"
    """The node was not reached, or did not answer: try again, less and less often."""
    PERSON = "person"
    """Only a person can mend it: do not try again until one says so."""


class NodeError(UgroError):
    """A node could not be read. `str()` says what, where and what to do; `brief` the same in two or three words."""

    exit_code = 3
    reaction = Reaction.RETRY
    brief = "cannot be read"
    rule = "node_unreachable"
    """Key of the alert that says so."""


class NodeMissing(NodeError):
    """The metrics directory does not exist (yet): look again later.

    The node is reached all the same: who asks for a job there asks for one that there is not.
    """

    exit_code = 2

    reaction = Reaction.WAIT
    brief = "no metrics dir"


class NodeDenied(NodeError):
    """The metrics directory may not be read: a person must change that, and will be seen to have done so."""

    reaction = Reaction.WAIT
    brief = "not allowed"


class NodeUnreachable(NodeError):
    """No connection came about: refused, no route, no such name."""

    brief = "unreachable"


class NodeSilent(NodeError):
    """No answer within the deadline; the connection may still live."""

    brief = "no answer"


class NodeLost(NodeError):
    """The connection ended."""

    brief = "connection lost"


class NodeBusy(NodeError):
    """The node refuses more connections or sessions for now (MaxStartups, MaxSessions)."""

    brief = "busy"


class NodeLied(NodeError):
    """What came back is not what was asked for, or no answer at all in our protocol."""

    brief = "bad answer"


class NodeAuth(NodeError):
    """The node does not accept any of our keys."""

    rule = "auth_refused"
    reaction = Reaction.PERSON
    brief = "no key accepted"


class NeedsPassphrase(NodeAuth):
    """A key is encrypted: `key` is its file. Nothing was tried yet with it."""

    brief = "passphrase needed"

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class HostKeyUnknown(NodeError):
    """The host key is in no known_hosts file; no credential was sent."""

    rule = "auth_refused"
    reaction = Reaction.PERSON
    brief = "host key unknown"


class HostKeyChanged(NodeError):
    """The host key is not the one in known_hosts, or it is revoked; no credential was sent."""

    rule = "host_key_changed"
    reaction = Reaction.PERSON
    brief = "host key changed"


class NodeSetup(NodeError):
    """The SSH settings of the node cannot be used: no such key file, a proxy that is not supported."""

    reaction = Reaction.PERSON
    brief = "bad settings"


class NodeUnfit(NodeSetup):
    """The login succeeds, but nothing there can read files for us."""

    brief = "no Python, no SFTP"


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job's directory. `age`: seconds since something in it changed, by the node's own clock."""

    job_id: str
    age: float


class Known(NamedTuple):
    """What is known of one file, as it is told to the node; it is kept of each file, and so nothing else is.

    `stamp` is as the node gave it last: while it is the same, nothing has changed. For appended files `offset` is the
    bytes known and `place` the `helper.place_digest` of what lies before it: it tells an appended file from another one
    under the same path, also where inodes are used again (or made up).
    """

    offset: int = 0
    place: str = ""
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a node: which jobs there are, and what is new in `jobs` (by path, all that is known of them).

    Jobs that changed within `recent` seconds are told each time; of the older ones the list, when its stamp is not
    `listed`. `cap`: bytes of data wanted at most; None leaves it to the node, which knows its link. `anew`: somebody
    waits for all that is there now, so that nothing found before the question may stand for it.
    """

    jobs: Mapping[str, Mapping[str, Known]] = field(default_factory=dict)
    kinds: frozenset[FileKind] = POLLED
    recent: float = 86_400.0
    listed: str = ""
    cap: int | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """News of one file: `data` begins at `offset`. For replaced files `offset` is 0 and `data` the whole file.

    An `offset` of 0 where more was known means that another file lies under the path now. `size` is the file's size in
    bytes, `age` the seconds since it was last written, by the node's own clock. `old`: the bytes are of the file that
    was there before and was renamed away; what is there now comes when all of it was read. `place`: as in `Known`, of
    where the data ends; empty for replaced files.
    """

    job_id: str
    path: str
    size: int
    age: float
    stamp: str
    offset: int
    data: bytes
    old: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """What of a job could not be read, and why, in one line."""

    job_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Examined:
    """That the node has looked at the process behind the heartbeat in `path`. `stamp` is the file's from now on.

    `vital` is None where it can say nothing: the process said that it ended, or belongs to another machine.
    """

    job_id: str
    path: str
    stamp: str
    vital: Vital | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an `Ask`. `time`: Unix seconds by the node's clock. `more`: a cap was reached, ask again at once.

    `processes` are those of heartbeats that have not been replaced for a while; each is told with every answer until
    all is said of it. `older` is None while the list of older jobs is the one whose stamp was sent.
    """

    time: float
    jobs: tuple[JobEntry, ...]
    older: tuple[str, ...] | None
    listed: str
    chunks: tuple[Chunk, ...]
    denied: tuple[Denied, ...]
    more: bool
    processes: tuple[Examined, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What a node says of itself. Bytes and inodes of the disk that holds the metrics directory; None: not known."""

    time: float
    python: str
    root: str
    exists: bool
    readable: bool
    free: int | None = None
    total: int | None = None
    inodes_free: int | None = None
    inodes: int | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command on a node ended. Output is cut at a cap."""

    code: int
    out: bytes
    err: bytes


class Node(Protocol):
    """A machine with a metrics directory. One thread at a time may call it, except for `close`."""

    @property
    def name(self) -> str:
        """How users call it; it may name a directory."""
        ...

    @property
    def via(self) -> str:
        """How it is read, for people: `in place`, `helper`, `sftp`, empty before the first answer."""
        ...

    def poll(self, ask: Ask) -> Reply:
        """What is new.

        Raises:
            NodeError: it cannot be read; the subclass says which reaction fits.
        """
        ...

    def probe(self) -> Probe:
        """How the node is.

        Raises:
            NodeError: as `poll`; never NodeMissing or NodeDenied.
        """
        ...

    def health(self) -> NodeHealth:
        """How the machine is: its facts, without a score. What hangs there holds the answer up by a moment only.

        Raises:
            NodeError: as `probe`.
        """
        ...

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = 30.0) -> Ran:
        """Run a command and wait for its end, at most so many seconds.

        Raises:
            NodeError: it could not be run, or not within `seconds`.
        """
        ...

    def close(self) -> None:
        """Let go of the connection; any thread may call it, also while another one polls."""
        ...
