"""A capture that is being judged while it goes on."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forensics.analysis import Analysis, Knowledge, conclude
from forensics.decode.packets import Decoder
from forensics.live.earlier import Earlier
from forensics.observations.collect import Collectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.capture.batch import Batch, CaptureNotes
    from forensics.decode.columns import Decoded


HORIZON: Final = 32_768
"""Flows that have ended, or look-ups, that are judged together with what goes on. Older ones are dropped when they
have been judged, and only what was found in them is kept."""
MOST_IDS: Final = 500_000
"""IPv6 addresses and tunnels that are told apart; past it all flows end, and numbering begins anew."""


@dataclass
class _About:
    """What a judgement needs besides the collectors; see analysis.Source."""

    decoder: Decoder
    notes: CaptureNotes


class LiveSession:
    """Takes batches as they come; says at any time what an analysis of a file with these packets would say.

    ``notes`` is what the source of the batches keeps up to date. Memory is bounded, however long it goes on: see
    ``trim``.
    """

    def __init__(
        self,
        name: str,
        notes: CaptureNotes,
        knowledge: Knowledge,
        *,
        horizon: int = HORIZON,
        ids: int = MOST_IDS,
    ) -> None:
        self.name = name
        self.earlier = Earlier()
        """What was found before the horizon."""
        self._notes = notes
        self._knowledge = knowledge
        self._horizon = horizon
        self._ids = ids
        self._begin()

    def _begin(self) -> None:
        self.decoder = Decoder()
        self.collectors = Collectors(
            self.decoder.book, self.decoder.tunnels, asked=self._knowledge.signatures.asked()
        )

    @property
    def notes(self) -> CaptureNotes:
        """What is known of the capture."""
        return self._notes

    def add(self, batch: Batch) -> Decoded:
        """Take in the next packets; gives their table."""
        decoded = self.decoder.decode(batch)
        self.collectors.add(decoded)
        return decoded

    def find(self, address: str) -> int | None:
        """The id that an address has in the tables of packets; None when it never occurred."""
        return self.decoder.book.find(address)

    def look(self) -> Analysis:
        """What can be said by now. Nothing ends by it: the flows are judged as they stand, and go on."""
        return self.begin_look()()

    def begin_look(self) -> Callable[[], Analysis]:
        """A look at what is here now, to be finished by calling it: in another thread, if that is wanted.

        Packets may be added meanwhile; nothing may be trimmed.
        """
        taken, about = snapshot(self.collectors), _About(copy(self.decoder), deepcopy(self._notes))
        about.decoder.counts, about.decoder.phone = deepcopy((self.decoder.counts, self.decoder.phone))
        kept = [taken]

        def judge() -> Analysis:
            analysis = conclude(self.name, about, kept.pop(), self._knowledge)
            _give_back()
            return analysis

        del taken
        return judge

    @property
    def full(self) -> bool:
        """Whether there is something to trim."""
        return (
            self._too_many_ids
            or max(self.collectors.flows.height, self.collectors.dns.height) > self._horizon
        )

    @property
    def _too_many_ids(self) -> bool:
        return max(self.decoder.known()) > self._ids

    def trim(self) -> Analysis:
        """Judge everything once more, keep what was found, and drop the flows that have ended."""
        analysis = self.finish() if self._too_many_ids else self.look()
        self.earlier.add(analysis)
        if self._too_many_ids:
            self.earlier.flows += analysis.tables["flow"].height
            self._begin()
        else:
            self.earlier.flows += self.collectors.forget()
        return analysis

    def finish(self) -> Analysis:
        """What can be said of all packets since the last trim; none can be added afterwards."""
        return conclude(self.name, self, self.collectors, self._knowledge)


def _give_back() -> None:
    """Give the memory of a copy back to the system."""
    gc.collect()  # a copy refers to itself in circles
    with contextlib.suppress(AttributeError):  # only glibc keeps so much, and has a word for it
        ctypes.CDLL(None).malloc_trim(0)


def snapshot(collectors: Collectors) -> Collectors:
    """The collectors as they are now, to be finished on their own. No packets can be added to them.

    What only grows, and what never changes once it is there, is shared.
    """
    shared = [collectors.book, collectors.tunnels, *collectors.tls.hellos.values()]
    return deepcopy(collectors, {id(one): one for one in shared})
