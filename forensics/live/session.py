"""A capture that is being judged while it goes on."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from forensics.analysis import Analysis, Knowledge, conclude
from forensics.decode.packets import Decoder
from forensics.observations.collect import Collectors

if TYPE_CHECKING:
    from forensics.capture.batch import Batch, CaptureNotes
    from forensics.decode.columns import Decoded


class LiveSession:
    """Takes batches as they come; says at any time what an analysis of a file with these packets would say.

    ``notes`` is what the source of the batches keeps up to date.
    """

    def __init__(self, name: str, notes: CaptureNotes, knowledge: Knowledge) -> None:
        self.name = name
        self.decoder = Decoder()
        self.collectors = Collectors(
            self.decoder.book, self.decoder.tunnels, asked=knowledge.signatures.asked()
        )
        self._notes = notes
        self._knowledge = knowledge

    @property
    def notes(self) -> CaptureNotes:
        """What is known of the capture."""
        return self._notes

    def add(self, batch: Batch) -> Decoded:
        """Take in the next packets; gives their table."""
        decoded = self.decoder.decode(batch)
        self.collectors.add(decoded)
        return decoded

    def look(self) -> Analysis:
        """What can be said by now. Nothing ends by it: the flows are judged as they stand, and go on."""
        return conclude(self.name, self, snapshot(self.collectors), self._knowledge)

    def finish(self) -> Analysis:
        """What can be said of all packets; none can be added afterwards."""
        return conclude(self.name, self, self.collectors, self._knowledge)


def snapshot(collectors: Collectors) -> Collectors:
    """The collectors as they are now, to be finished on their own. No packets can be added to them.

    What only grows, and what never changes once it is there, is shared.
    """
    shared = [collectors.book, collectors.tunnels, *collectors.tls.hellos.values()]
    return deepcopy(collectors, {id(one): one for one in shared})
