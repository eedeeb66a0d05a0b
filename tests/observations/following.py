"""Hand-made packets, cut into batches anywhere, to a StreamCollector with readers that write down what they get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.capture import open_capture
from forensics.decode import AddressBook, Decoder
from forensics.flows.engine import FlowEngine
from forensics.observations.collector import Arrived
from forensics.observations.datagrams import datagrams
from forensics.observations.streams import Opener, StreamCollector
from tests.flows.made import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.flows.made import Pkt


class Notes:
    """A reader that writes down every call; ``answer`` says from where on it wants more."""

    def __init__(self, opening, answer=None):
        self.opening = opening
        self.name = ""
        self.calls: list[tuple] = []
        self.answer = answer or (lambda _side, _place, end: end)
        self.done = 0

    def take(self, side, place, piece, frame, time):
        self.calls.append(("take", side, place, piece, frame, time, self.opening.wire))
        return self.answer(side, place, place + len(piece))

    def lost(self, side, place, until):
        self.calls.append(("lost", side, place, until))
        return self.answer(side, place, until)

    def differs(self, side, place, piece, frame, time):
        self.calls.append(("differs", side, place, piece, frame, time, self.opening.wire))

    def finish(self):
        self.done += 1

    def text(self, side: int) -> bytes:
        """All bytes of one side; what is lost as dots."""
        out = bytearray()
        for call in self.calls:
            if call[0] == "take" and call[1] == side:
                out[call[2] :] = out[call[2] :].ljust(0) + call[3]
            elif call[0] == "lost" and call[1] == side:
                out += b"." * (call[3] - call[2])
        return bytes(out)


def begins(word: bytes) -> Callable[[Any], Any]:
    """Sides that begin with a word."""

    def looks(heads):
        return (heads.head[:, : len(word)] == np.frombuffer(word, np.uint8)).all(axis=1)

    return looks


def opener(word: bytes, kept: list[Notes], answer=None) -> Opener:
    """Makes readers for streams that begin with ``word`` and keeps them."""

    def make(opening):
        kept.append(Notes(opening, answer))
        kept[-1].name = word.decode()
        return kept[-1]

    return Opener(word.decode(), begins(word), make)


def feed(packets: Sequence[Pkt], cuts: Iterable[int], collector: Callable[[FlowEngine], Any]) -> Any:
    """What ``collector`` makes of an engine, fed all packets in batches that end at ``cuts``, flows finished."""
    book, engine = AddressBook(), FlowEngine()
    made = collector(engine)
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        decoded = table(packets[begin:end], book, begin + 1)
        batch = engine.add(decoded.packets)
        if len(batch):
            clock = decoded.packets["time"]
            made.add(
                Arrived(
                    batch,
                    decoded.data,
                    engine,
                    datagrams(batch, decoded.data),
                    decoded.packets["frame"],
                    clock,
                )
            )
        begin = end
    made.finish(np.arange(engine.flows.rows))
    return made


def follow(packets, cuts=(), *words: bytes, answer=None) -> list[Notes]:
    """The readers of streams that begin with one of ``words``, in order of their opening."""
    kept: list[Notes] = []
    feed(
        packets, cuts, lambda engine: StreamCollector(engine, [opener(word, kept, answer) for word in words])
    )
    assert all(notes.done == 1 for notes in kept)
    return kept


def follow_file(path: Any, make: Callable[[FlowEngine], Any], packets: int = 1000) -> tuple[Any, FlowEngine]:
    """What ``make`` makes of an engine, fed a capture file in batches of so many packets; flows finished."""
    decoder, engine = Decoder(), FlowEngine()
    made = make(engine)
    with open_capture(str(path), batch_packets=packets) as reader:
        for batch in reader:
            decoded = decoder.decode(batch)
            found = engine.add(decoded.packets)
            if len(found):
                frame, time = decoded.packets["frame"], decoded.packets["time"]
                made.add(Arrived(found, decoded.data, engine, datagrams(found, decoded.data), frame, time))
    made.finish(np.arange(engine.flows.rows))
    return made, engine
