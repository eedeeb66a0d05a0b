"""UDP conversations: what their first datagrams speak, and the handshakes of tunnels over UDP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.flows.arrays import NEVER, BoolArray, GrowingColumns, IntArray, both_sides, run_starts
from forensics.protocols import ike, l2tp, openvpn, wireguard
from forensics.protocols.datagram_words import WORDS, name_datagrams
from forensics.protocols.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.observations.collector import Arrived

LOOKED: Final = 8
"""Datagrams of each side that may tell the protocol."""
MOST_MESSAGES: Final = 64
"""Handshake messages of one conversation that are read; later ones are not counted."""
MOST_FRAMES: Final = 16
_SHORT_HEADER: Final = 0x40
_QUIC_PORT: Final = 443


class Said(NamedTuple):
    """What one handshake message is to the handshake."""

    role: str
    """``request``, ``answer``, or empty."""
    key: bytes | int | None
    """What an answer shares with its request; None fits any."""
    detail: str


def _wireguard(data: bytes) -> Said:
    message = wireguard.parse_wireguard(data)
    if message.kind == wireguard.INITIATION:
        return Said("request", message.sender, "initiation")
    return Said("answer", message.receiver, "cookie" if message.kind == wireguard.COOKIE else "response")


def _openvpn(data: bytes) -> Said:
    reset = openvpn.parse_openvpn_reset(data)
    detail = f"{openvpn.OPCODES[reset.opcode]} {reset.protection}"
    return Said("request", reset.session, detail) if reset.client else Said("answer", reset.peer, detail)


def _ike(data: bytes) -> Said:
    message = ike.parse_ike(data)
    names = [ike.NOTIFICATIONS.get(number, str(number)) for number in message.notify]
    detail = " ".join([f"IKEv{message.major}", ike.EXCHANGES[message.exchange], *names])
    role = "request" if message.opens else "answer" if message.response else ""
    return Said(role, message.initiator, detail)


def _l2tp(data: bytes) -> Said:
    message = l2tp.parse_l2tp_control(data)
    detail = l2tp.MESSAGES.get(message.message or 0, "acknowledgement")
    role = {l2tp.REQUEST: "request", l2tp.REPLY: "answer", l2tp.STOP: "answer"}.get(message.message or 0, "")
    return Said(role, None, detail)


_READERS: Final[tuple[tuple[str, Callable[[bytes], Said]], ...]] = (
    ("wireguard", _wireguard),
    ("openvpn", _openvpn),
    ("ike", _ike),
    ("l2tp", _l2tp),
)


@dataclass(slots=True)
class Dialogue:
    """The handshake messages of one conversation."""

    word: str
    messages: int = 0
    requests: int = 0
    """Before the first answer."""
    frames: list[int] = field(default_factory=list)
    keys: list[tuple[int, bytes | int | None]] = field(default_factory=list)
    """Side and key of the requests."""
    request_time: int = 0
    """Of the last request before the first answer, ns."""
    answer_frame: int | None = None
    answer_time: int = 0
    unanswered: list[int] = field(default_factory=list)
    """Frames of requests since the last answer."""
    detail: str = ""
    answer: str = ""

    def take(self, side: int, said: Said, frame: int, time: int) -> None:
        """One message, in the order of the capture."""
        self.messages += 1
        if said.role == "request":
            self.keys.append((side, said.key))
            self.unanswered.append(frame)
            self.detail = self.detail or said.detail
            if self.answer_frame is None:
                self.requests += 1
                self.request_time = time
                if len(self.frames) < MOST_FRAMES:
                    self.frames.append(frame)
        elif said.role == "answer" and any(
            asker != side and (said.key is None or key == said.key) for asker, key in self.keys
        ):
            self.unanswered = []
            if self.answer_frame is None:
                self.answer_frame, self.answer_time, self.answer = frame, time, said.detail


class DatagramTalk:
    """Watches the first datagrams of every UDP conversation, and the handshakes of the tunnels among them."""

    def __init__(self) -> None:
        self.flows = GrowingColumns(
            {
                "word": (np.int8, 0),
                "word_frame": (np.int64, NEVER),
                "tunnel": (np.int8, 0),
                "quic": (np.bool_, False),
            }
        )
        self.sides = GrowingColumns({"looked": (np.int32, 0)})
        self.dialogues: dict[int, Dialogue] = {}

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        batch, grams = arrived.flows, arrived.datagrams
        flows = int(batch.flow[-1]) + 1
        self.flows.grow_to(flows)
        self.sides.grow_to(2 * flows)
        if not len(grams):
            return
        fs = batch.fs[grams.rows]
        starts = run_starts(fs)
        counts = np.diff(np.append(starts, len(fs)))
        looked = self.sides["looked"]
        rank = looked[fs] + np.arange(len(fs)) - np.repeat(starts, counts)
        looked[fs[starts]] = np.minimum(looked[fs[starts]] + counts, LOOKED)
        early = rank < LOOKED
        # Of a conversation that is still looked at, later datagrams may be messages of what is found in this batch.
        active = self.flows["tunnel"][: self.flows.rows] > 0
        active[fs[early] >> 1] = True
        chosen = np.flatnonzero(active[fs >> 1])
        if not len(chosen):
            return
        keys = arrived.engine.conversations.flows
        flow, side = fs[chosen] >> 1, fs[chosen] & 1
        low, high = keys["lo_port"][flow].astype(np.int64), keys["hi_port"][flow].astype(np.int64)
        sport, dport = np.where(side == 0, low, high), np.where(side == 0, high, low)
        self._name(arrived, chosen, early[chosen], rank[chosen] == 0, (sport, dport))
        self._read(arrived, chosen, early[chosen], (sport, dport))

    def _name(
        self,
        arrived: Arrived,
        chosen: IntArray,
        early: BoolArray,
        first: BoolArray,
        ports: tuple[IntArray, IntArray],
    ) -> None:
        grams, batch = arrived.datagrams, arrived.flows
        sport, dport = ports
        at = chosen[early]
        number = name_datagrams(grams.head[at], grams.length[at], sport[early], dport[early])
        hit = number > 0
        flow = batch.flow[grams.rows[at[hit]]]
        frame = batch.column["frame"][grams.rows[at[hit]]]
        number = number[hit]
        if len(flow):
            before = self.flows["word_frame"][flow]
            np.minimum.at(self.flows["word_frame"], flow, frame)
            wins = (frame == self.flows["word_frame"][flow]) & (frame < before)
            self.flows["word"][flow[wins]] = number[wins]
        short = first & ((grams.head[chosen, 0] & 0xC0) == _SHORT_HEADER)
        short &= (sport == _QUIC_PORT) | (dport == _QUIC_PORT)
        self.flows["quic"][batch.flow[grams.rows[chosen[short]]]] = True

    def _read(
        self, arrived: Arrived, chosen: IntArray, early: BoolArray, ports: tuple[IntArray, IntArray]
    ) -> None:
        """Messages of handshakes, in frame order."""
        grams, batch = arrived.datagrams, arrived.flows
        head, length = grams.head[chosen], grams.length[chosen]
        kind = wireguard.looks_like_wireguard(head, length)
        at_ike = np.isin(ports[0], ike.PORTS) | np.isin(ports[1], ike.PORTS)
        at_l2tp = (ports[0] == l2tp.PORT) | (ports[1] == l2tp.PORT)
        reader = np.select(
            [
                (kind > 0) & (kind < wireguard.DATA),
                at_ike & ike.looks_like_ike(head, length),
                at_l2tp & l2tp.looks_like_l2tp(head, length),
                openvpn.looks_like_openvpn(head, length),
            ],
            [1, 3, 4, 2],
            0,
        )
        likely = np.flatnonzero((reader > 0) & (grams.captured[chosen] == length))
        rows = grams.rows[chosen[likely]]
        order = np.argsort(batch.column["frame"][rows], kind="stable")
        rows, number, opens = rows[order], reader[likely[order]], early[likely[order]].tolist()
        names = ("payload_offset", "payload_captured", "frame", "time")
        values = [batch.column[name][rows].tolist() for name in names]
        for side, which, may_open, offset, size, frame, time in zip(
            batch.fs[rows].tolist(), number.tolist(), opens, *values, strict=True
        ):
            if may_open or side >> 1 in self.dialogues:
                self._message(side, which, arrived.data[offset : offset + size].tobytes(), (frame, time))

    def _message(self, side: int, which: int, data: bytes, when: tuple[int, int]) -> None:
        flow = side >> 1
        table = self.flows
        word, reader = _READERS[which - 1]
        other = table["tunnel"][flow] not in (0, which)
        other |= WORDS[table["word"][flow]] != word and bool(table["word_frame"][flow] < when[0])
        if other and table["tunnel"][flow] != which:
            return
        dialogue = self.dialogues.get(flow)
        if dialogue is not None and dialogue.messages >= MOST_MESSAGES:
            return
        try:
            said = reader(data)
        except ProtocolError:
            return
        if dialogue is None:
            dialogue = self.dialogues[flow] = Dialogue(word)
            table["tunnel"][flow] = which
        dialogue.take(side & 1, said, *when)

    def heard(self, flow: int, dialogue: Dialogue) -> bool:
        """Whether the end that a handshake was addressed to sent anything at all."""
        return any(self.sides["looked"][2 * flow + 1 - asker] > 0 for asker, _ in dialogue.keys)

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        self.flows.clear(flows)
        self.sides.clear(both_sides(flows))
        for flow in flows.tolist():
            self.dialogues.pop(flow, None)
