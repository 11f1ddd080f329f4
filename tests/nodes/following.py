"""What a collector keeps of a node's answers, as little as a test of nodes needs: bytes by file and generation."""

from __future__ import annotations

from dataclasses import dataclass, field

from ugro_tui.core.layout import POLLED, FileKind, classify
from ugro_tui.nodes.base import Ask, Chunk, Known, Node, Reply
from ugro_tui.nodes.helper import place_digest


@dataclass
class Follower:
    """Follows one job on one node."""

    node: Node
    job: str = "job"
    kinds: frozenset[FileKind] = POLLED
    generations: dict[str, list[bytes]] = field(default_factory=dict)
    """All bytes of each appended file, of each file that lay under its path."""
    documents: dict[str, bytes] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    listed: str = ""

    def look(self, cap: int | None = None) -> Reply:
        """Ask once and keep what comes."""
        reply = self.node.poll(Ask({self.job: dict(self.known)}, self.kinds, listed=self.listed, cap=cap))
        self.listed = reply.listed
        for chunk in reply.chunks:
            self._keep(chunk)
        return reply

    def drain(self, cap: int | None = None, most: int = 10_000) -> list[Reply]:
        """Ask as long as there is more."""
        replies = [self.look(cap)]
        while replies[-1].more:
            assert len(replies) < most, "there is always more"
            replies.append(self.look(cap))
        return replies

    def texts(self) -> dict[str, bytes]:
        """The newest generation of each appended file."""
        return {path: generations[-1] for path, generations in self.generations.items()}

    def _keep(self, chunk: Chunk) -> None:
        file = classify(chunk.path)
        assert file is not None
        if not file.appended:
            self.documents[chunk.path] = chunk.data
            self.known[chunk.path] = Known(0, "", chunk.stamp)
            return
        generations = self.generations.setdefault(chunk.path, [b""])
        if chunk.offset != len(generations[-1]):
            assert chunk.offset == 0
            generations.append(b"")
        generations[-1] += chunk.data
        text = generations[-1]
        assert chunk.place == place_digest(text, text)
        self.known[chunk.path] = Known(len(text), chunk.place, chunk.stamp)
