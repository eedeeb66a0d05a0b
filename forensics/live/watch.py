"""The loop of a live capture: take what came, write it, judge it now and then, say what is new."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

from forensics.live.events import Ledger
from forensics.report.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from forensics.analysis import Analysis
    from forensics.capture.batch import Batch, CaptureNotes
    from forensics.decode.columns import Decoded
    from forensics.live.session import LiveSession

WAIT_S: Final = 0.1
"""Longest wait for packets: what else there is to do is looked at so often."""
GATHER_S: Final = 0.12
"""Packets are taken in after so long at the earliest, unless there are many: few at a time cost more each."""
MANY: Final = 2 << 20
LOOK_S: Final = 0.8
"""Shortest time between two looks."""
SHARE: Final = 4
"""Times what a look takes that pass before the next one begins: looks take a fifth of the time at most."""


class Packets(Protocol):
    """Where packets come from; see capture.live.LiveSource."""

    notes: CaptureNotes
    ended: str

    def read(self, timeout: float) -> Batch | None:
        """What came within that many seconds."""
        ...

    def stop(self) -> None:
        """Take in nothing more."""
        ...

    def count_lost(self) -> int:
        """Packets lost so far."""
        ...


class Screen(Protocol):
    """Whoever is told what happens."""

    def show(self, events: list[dict[str, Any]], analysis: Analysis) -> None:
        """What is new, and all that can be said by now."""
        ...

    def count(self, packets: int, lost: int) -> None:
        """How far the capture has come."""
        ...


class Keeper(Protocol):
    """Whoever writes packets to disk."""

    def take(self, batch: Batch, decoded: Decoded) -> None:
        """The next packets."""
        ...

    def judged(self, analysis: Analysis) -> None:
        """What is said of the packets by now."""
        ...


def watch(  # noqa: PLR0913 - one parameter a thing that takes part
    source: Packets,
    session: LiveSession,
    screen: Screen,
    keepers: list[Keeper],
    *,
    over: Callable[[], str],
    narrow: Callable[[Analysis], Analysis] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, Ledger]:
    """Watch until ``over`` says why it is to end, in a word; gives that word, or ``interface``, and what was told.

    What was captured until then has been taken in and written when this returns; ``session`` is not finished.
    ``narrow`` leaves of a judgement only what is to be told.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="look") as pool:
        looker = Looker(session, screen, keepers, clock=clock, narrow=narrow, pool=pool)
        why = _loop(source, looker, over)
        source.stop()
        while (batch := source.read(WAIT_S)) is not None:
            looker.take(batch)
    source.count_lost()
    return why, looker.ledger


def _loop(source: Packets, looker: Looker, over: Callable[[], str]) -> str:
    while not (why := "interface" if source.ended else over()):
        batch = source.read(WAIT_S)
        if batch is not None:
            looker.take(batch)
        looker.look_if_due(source)
        if batch is not None and len(batch.data) < MANY:
            time.sleep(GATHER_S)
    return why


class Looker:
    """Judges what was captured as often as it can be afforded, and only when something came.

    With a ``pool`` of one thread packets are taken in while judging goes on.
    """

    def __init__(  # noqa: PLR0913 - as watch
        self,
        session: LiveSession,
        screen: Screen,
        keepers: list[Keeper],
        *,
        clock: Callable[[], float] = time.monotonic,
        narrow: Callable[[Analysis], Analysis] | None = None,
        pool: Executor | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._session = session
        self._screen = screen
        self._keepers = keepers
        self._clock = clock
        self._due = clock() + LOOK_S
        self._begun = 0.0
        self._new = False
        self._pool = pool
        self._narrow = narrow
        self._running: Future[Analysis] | None = None

    def take(self, batch: Batch) -> None:
        """Take in packets, and have them written."""
        decoded = self._session.add(batch)
        for keeper in self._keepers:
            keeper.take(batch, decoded)
        self._new = True

    def look_if_due(self, source: Packets) -> None:
        """Judge, and say what is new: what a look that was begun before has shown, or what this one shows."""
        if self._running is not None:
            if not self._running.done():
                return
            self._tell(self._running.result())
            self._running = None
        if self._clock() < self._due:
            return
        self._begun = self._clock()
        self._screen.count(source.notes.packets, source.count_lost())
        if not self._new:
            self._due = self._begun + LOOK_S
            return
        self._new = False
        if self._session.full:
            self._tell(self._session.trim())
            self.ledger.dropped()
        elif self._pool is None:
            self._tell(self._session.look())
        else:
            self._running = self._pool.submit(self._session.begin_look())

    def _tell(self, analysis: Analysis) -> None:
        analysis = self._narrow(analysis) if self._narrow else analysis
        for keeper in self._keepers:
            keeper.judged(analysis)
        self._screen.show(self.ledger.update(analysis, now()), analysis)
        self._due = self._begun + max(LOOK_S, (1 + SHARE) * (self._clock() - self._begun))


def now() -> str:
    """The time, as reports write it."""
    return rfc3339(time.time_ns())
