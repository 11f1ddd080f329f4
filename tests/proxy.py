"""A TCP link that a test can spoil: slow, thin, dripping, cut, swallowed, deaf; and that counts what passes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

PIECE = 1 << 14
QUEUED = 64
"""Pieces under way in one direction: what a link holds before the sender has to wait."""

STEP = 0.02
"""Seconds after which a waiting piece looks at its lane's settings again: they change while the link is in use."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 s: to close is to reset."""


@dataclass
class Lane:
    """One direction of the link. All may be set at any time, by any thread."""

    delay: float = 0.0
    """Seconds that each byte is under way: half the round-trip time that both lanes together make."""
    bandwidth: float = 0.0
    """Bytes a second; 0: no limit, 1: one byte a second."""
    held: bool = False
    """Nothing passes until it is lifted, nothing is lost: a pulled cable, a frozen peer."""
    swallow: bool = False
    """What comes is accepted and lost for good."""
    cut_after: int | None = None
    """Reset the connection that is the first to bring so many bytes more, right after them; then no longer."""
    bytes: int = 0
    """Bytes that came in this direction."""

    def passing(self) -> None:
        """Pass everything at once."""
        self.delay, self.bandwidth, self.held, self.swallow, self.cut_after = 0.0, 0.0, False, False, None


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards to `target`. `up` is from client to server, `down` back."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.up, self.down = Lane(), Lane()
        self.connections = 0
        """Connections accepted so far."""
        self.round_trips = 0
        """How often the server's turn came after the client's, on all connections."""
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []
        self._accepting: asyncio.Task[None] | None = None
        self._listener = _listening(0)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._do(self._accept_from_now_on())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    def round_trip(self, seconds: float) -> None:
        """Let a question and its answer take so long on the way."""
        self.up.delay = self.down.delay = seconds / 2

    def hold(self, held: bool = True) -> None:
        """Let nothing pass in both directions, or what was held and all again."""
        self.up.held = self.down.held = held

    def cut(self) -> None:
        """Reset every open connection."""
        self._do(self._cut())

    def deafen(self) -> None:
        """Answer no SYN any more: to connect takes until the client gives up. Open connections go on."""
        self._do(self._deafen())

    def refuse(self) -> None:
        """Refuse connections, as where nothing listens. Open ones go on."""
        self._do(self._refuse())

    def hear(self) -> None:
        """Accept connections again, after `deafen` or `refuse`."""
        self._do(self._accept_from_now_on())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _accept_from_now_on(self) -> None:
        if self._listener.fileno() < 0:
            self._listener = _listening(self.port)
        own = [filler.getsockname() for filler in self._fillers]
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._listener.listen(128)
        if self._accepting is None:
            self._accepting = asyncio.create_task(self._accept(own))

    async def _accept(self, ignored: list[object]) -> None:
        while True:
            client, peer = await self._loop.sock_accept(self._listener)
            if peer in ignored:
                ignored.remove(peer)
                client.close()
                continue
            self.connections += 1
            task = asyncio.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None

    async def _deafen(self) -> None:
        await self._stop_accepting()
        self._listener.listen(0)
        while len(self._fillers) < 16:
            filler = socket.socket()
            filler.setblocking(False)
            self._fillers.append(filler)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            try:
                await asyncio.wait_for(_writable(self._loop, filler), 0.2)
            except TimeoutError:
                return  # the queue is full: its SYN was dropped, and so will be all others
        raise AssertionError("this system accepts connections beyond the queue")

    async def _refuse(self) -> None:
        await self._stop_accepting()
        self._listener.close()

    async def _cut(self) -> None:
        for link in tuple(self._links):
            link.reset()

    async def _end(self) -> None:
        await self._refuse()
        for filler in self._fillers:
            filler.close()
        await self._cut()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, client: socket.socket) -> None:
        near = await asyncio.open_connection(sock=client, limit=PIECE)
        try:
            far = await asyncio.open_connection(*self._target, limit=PIECE)
        except OSError:
            near[1].close()
            return
        for writer in (near[1], far[1]):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(self, near[1], far[1])
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:  # where one fails, the other ends with it
                both.create_task(link.pass_on(self.up, near[0], far[1]))
                both.create_task(link.pass_on(self.down, far[0], near[1]))
        except* OSError:
            link.reset()
        finally:
            self._links.discard(link)
            near[1].close()
            far[1].close()


@dataclass(eq=False)
class _Link:
    """One connection and its counterpart."""

    proxy: FaultProxy
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    asked: bool = False
    """Whether the client spoke last."""
    free: dict[int, float] = field(default_factory=dict)
    """When each thin lane is free for the next piece, seconds by the loop's clock."""

    def reset(self) -> None:
        """Reset both sides."""
        for writer in (self.near, self.far):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def pass_on(self, lane: Lane, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry one direction to its end."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(lane, source, under_way))
            both.create_task(self._give(lane, sink, under_way))

    async def _take(
        self, lane: Lane, source: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop, data = asyncio.get_running_loop(), b"-"
        while data:
            data = await source.read(PIECE)
            lane.bytes += len(data)
            if data:
                self._count(lane)
            if not (data and lane.swallow):
                await under_way.put((loop.time(), data))

    def _count(self, lane: Lane) -> None:
        if lane is self.proxy.up:
            self.asked = True
        elif self.asked:
            self.asked = False
            self.proxy.round_trips += 1

    async def _give(
        self, lane: Lane, sink: asyncio.StreamWriter, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            came, data = await under_way.get()
            while lane.held or loop.time() < came + lane.delay:
                await asyncio.sleep(STEP if lane.held else min(STEP, max(0.0, came + lane.delay - loop.time())))
            if not data:
                with contextlib.suppress(OSError):
                    sink.write_eof()
                return
            for piece in _slices(lane, data):
                await self._room(lane, len(piece))
                sink.write(self._cut_short(lane, piece))
                await sink.drain()
                if lane.cut_after == 0:
                    lane.cut_after = None
                    self.reset()
                    return

    async def _room(self, lane: Lane, size: int) -> None:
        """Wait until a thin or held lane takes `size` bytes more."""
        loop = asyncio.get_running_loop()
        begun = max(loop.time(), self.free.get(id(lane), 0.0))
        while lane.held or (lane.bandwidth and loop.time() < begun + size / lane.bandwidth):
            await asyncio.sleep(STEP if lane.held else min(STEP, begun + size / lane.bandwidth - loop.time()))
        self.free[id(lane)] = begun + size / lane.bandwidth if lane.bandwidth else 0.0

    def _cut_short(self, lane: Lane, piece: bytes) -> bytes:
        if lane.cut_after is None:
            return piece
        piece = piece[: lane.cut_after]
        lane.cut_after -= len(piece)
        return piece


def _slices(lane: Lane, data: bytes) -> Iterator[bytes]:
    """Pieces of a twentieth of a second each; at once all where the lane has no limit."""
    place = 0
    while place < len(data):
        size = max(1, int(lane.bandwidth / 20)) if lane.bandwidth else len(data)
        yield data[place : place + size]
        place += size


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    listener.setblocking(False)
    return listener


async def _writable(loop: asyncio.AbstractEventLoop, waiting: socket.socket) -> None:
    """Wait until a connection has come about."""
    done = asyncio.Event()
    loop.add_writer(waiting, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_writer(waiting)
