"""Which conversation every packet belongs to, numbered as Wireshark numbers ``tcp.stream`` and ``udp.stream``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.decode.flags import ACK, SYN, TCP
from forensics.flows.arrays import BoolArray, GrowingColumns, IntArray, run_ends, run_starts, stable_order
from forensics.flows.pairs import Pairs

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.columns import PacketTable


_UNSET: Final = -1
_LEFT: Final[dict[str, tuple[type[np.generic], int]]] = {
    "flow": (np.int32, _UNSET),  # the conversation that goes on; -1: none, or it has ended
    "stream": (np.int32, _UNSET),
    "base0": (np.int64, _UNSET),
    "base1": (np.int64, _UNSET),
    "client": (np.int8, 0),
}
"""What is kept of every pair. All but ``flow`` is what an ended conversation left behind."""


class Conversations:
    """Assigns packets to conversations, batch after batch.

    A conversation is the set of packets between two address/port pairs. For TCP a SYN whose sequence number
    differs from the initial one of its sender starts a new conversation on the same pair, as in Wireshark 4.0
    (packet-tcp.c); UDP conversations never end. Packets quoted by ICMP errors take part in the numbering, as
    Wireshark dissects them, but carry no sequence state.

    Side 0 of a conversation is the end with the smaller (address id, port); who is the client is decided later.
    """

    def __init__(self) -> None:
        self._pairs = Pairs()
        # Of every pair of the capture, by pair number.
        self._left = GrowingColumns(_LEFT)
        self.flows = GrowingColumns(
            {
                "proto": (np.uint8, 0),
                "stream": (np.int64, 0),
                "lo": (np.int64, 0),
                "hi": (np.int64, 0),
                "lo_port": (np.int64, 0),
                "hi_port": (np.int64, 0),
                # initial sequence number of each side as Wireshark derives it; -1 while unknown
                "base0": (np.int64, _UNSET),
                "base1": (np.int64, _UNSET),
                "pair": (np.int64, _UNSET),  # -1: the number is free
                "serial": (np.int64, 0),  # counts conversations, and continuations, as they begin
                # what was said of the client when the same conversation was ended before; 0: it was not
                "client": (np.int8, 0),
            }
        )
        self._streams = {TCP: 0, 17: 0}
        self._free = np.empty(0, dtype=np.int64)
        self._opened = 0
        self._released = False

    def assign(self, packets: PacketTable) -> tuple[IntArray, npt.NDArray[np.int8]]:
        """Flow number and side (0 or 1) of every packet, each of shape ``(n,)``.

        ``packets`` is in frame order. Flow numbers count up from 0; those given to ``release`` are used again.
        """
        src, dst = packets["src"], packets["dst"]
        sport, dport = (
            packets["sport"].astype(np.int64),
            packets["dport"].astype(np.int64),
        )
        proto = packets["proto"]
        swapped = (src > dst) | ((src == dst) & (sport > dport))
        side = swapped.astype(np.int8)
        lo, hi = np.where(swapped, dst, src), np.where(swapped, src, dst)
        lo_port, hi_port = np.where(swapped, dport, sport), np.where(swapped, sport, dport)
        ports = (proto.astype(np.int64) << 32) | (lo_port << 16) | hi_port

        pairs, first_row = self._pairs.numbers(lo, hi, ports)
        self._left.grow_to(len(self._pairs))
        flags = packets["flags"]
        plain = packets["icmp_type"] < 0
        opens = plain & (proto == TCP) & ((flags & (SYN | ACK)) == SYN)
        repeated = opens & ~first_row

        # Rows that certainly start a conversation: the first of a pair. A later SYN may start another one;
        # only the pairs that have such a SYN are walked packet by packet.
        fresh = first_row.copy()
        if repeated.any():
            walked = np.isin(pairs, np.unique(pairs[repeated]))
            seq = packets["seq"].astype(np.int64)
            ack = packets["ack"].astype(np.int64)
            self._walk(np.flatnonzero(walked), pairs, side, flags, seq, ack, plain & (proto == TCP), fresh)
        starts = fresh
        if self._released:
            starts = fresh.copy()
            ended = np.flatnonzero(self._left["flow"][pairs] == _UNSET)
            starts[ended[np.unique(pairs[ended], return_index=True)[1]]] = True

        opened = np.flatnonzero(starts)
        flows = self._open(opened, fresh[opened], pairs, proto, lo, hi, lo_port, hi_port)
        return self._spread(opened, flows, pairs), side

    def release(self, flows: IntArray, client: IntArray) -> None:
        """End conversations: their numbers are used again, and only what Wireshark never forgets is kept.

        A later packet of one gets a new number with the same stream number, and finds ``client`` there (1 to 127).
        """
        if not len(flows):
            return
        self._released = True
        pairs = self.flows["pair"][flows]
        latest = self._left["flow"][pairs] == flows
        pairs, kept = pairs[latest], flows[latest]
        for name in ("stream", "base0", "base1"):
            self._left[name][pairs] = self.flows[name][kept]
        self._left["client"][pairs] = client[latest]
        self._left["flow"][pairs] = _UNSET
        self.flows.clear(flows)
        self._free = np.sort(np.concatenate([self._free, flows]))

    def forget(self) -> None:
        """Forget the pairs on which no conversation goes on: the next packet of one is the first of a new stream."""
        going = np.flatnonzero(self.flows.column("pair") >= 0)
        pairs = self.flows["pair"][going]
        kept = np.unique(pairs)
        known, left = self._pairs, self._left
        self._pairs = Pairs()
        self._pairs.numbers(*(known.keys[name][kept] for name in ("lo", "hi", "ports")))
        self._left = GrowingColumns(_LEFT)
        self._left.grow_to(len(kept))
        for name in _LEFT:
            self._left[name][: len(kept)] = left[name][kept]
        self.flows["pair"][going] = np.searchsorted(kept, pairs)

    @property
    def pairs(self) -> int:
        """How many address/port pairs are remembered."""
        return len(self._pairs)

    def learn_bases(
        self, fs: IntArray, frame: IntArray, seq: IntArray, ack: IntArray, flags: IntArray
    ) -> None:
        """Remember the initial sequence numbers of conversations; packets sorted by (flow, side, frame).

        ``fs`` is 2 × flow + side. Takes TCP packets only, without those quoted by ICMP.
        """
        if len(fs) == 0:
            return
        starts = run_starts(fs)
        own = (seq[starts] - np.where(flags[starts] & SYN, 0, 1)) & 0xFFFFFFFF
        has_ack = np.flatnonzero(flags & ACK)
        ack_rows = has_ack[run_starts(fs[has_ack])] if len(has_ack) else has_ack
        # what the other side's first ACK says of this one
        keys = np.concatenate([fs[starts], fs[ack_rows] ^ 1])
        frames = np.concatenate([frame[starts], frame[ack_rows]])
        values = np.concatenate([own, (ack[ack_rows] - 1) & 0xFFFFFFFF])
        order = np.lexsort((frames, keys))
        keys, values = keys[order], values[order]
        firsts = run_starts(keys)
        for side in (0, 1):
            mine = firsts[(keys[firsts] & 1) == side]
            flow = keys[mine] >> 1
            base = self.flows[f"base{side}"]
            unset = base[flow] == _UNSET
            base[flow[unset]] = values[mine[unset]]
        answers = np.flatnonzero((flags & (SYN | ACK)) == SYN | ACK)
        if len(answers):  # a SYN/ACK is believed whatever was derived before (Wireshark issue 16944)
            lasts = answers[run_ends(run_starts(fs[answers]), len(answers))]
            for side in (0, 1):
                mine = lasts[(fs[lasts] & 1) == side]
                self.flows[f"base{side}"][fs[mine] >> 1] = seq[mine]

    def _walk(  # noqa: PLR0913 - the columns of one packet
        self,
        rows: IntArray,
        pairs: IntArray,
        side: npt.NDArray[np.int8],
        flags: npt.NDArray[Any],
        seq: IntArray,
        ack: IntArray,
        is_tcp: BoolArray,
        fresh: BoolArray,
    ) -> None:
        """Mark the SYNs among ``rows`` that start a new conversation on an address/port pair already in use."""
        bases: dict[int, list[int]] = {}
        current = self._left["flow"]
        going, ended = ([table[name] for name in ("base0", "base1")] for table in (self.flows, self._left))
        columns = zip(
            rows.tolist(),
            pairs[rows].tolist(),
            side[rows].tolist(),
            flags[rows].tolist(),
            seq[rows].tolist(),
            ack[rows].tolist(),
            is_tcp[rows].tolist(),
            strict=True,
        )
        for row, pair, sender, flag, number, acked, counts in columns:
            base = bases.get(pair)
            if base is None:
                flow = int(current[pair])
                base = bases[pair] = [
                    int(values[pair] if flow == _UNSET else values[flow])
                    for values in (ended if flow == _UNSET else going)
                ]
            if not counts:
                continue
            if flag & (SYN | ACK) == SYN and base[sender] not in (_UNSET, number):
                fresh[row] = True
                base[0] = base[1] = _UNSET
            if base[sender] == _UNSET or flag & (SYN | ACK) == SYN | ACK:
                base[sender] = number if flag & SYN else (number - 1) & 0xFFFFFFFF
            if flag & ACK and base[1 - sender] == _UNSET:
                base[1 - sender] = (acked - 1) & 0xFFFFFFFF

    def _open(  # noqa: PLR0913 - the columns of a conversation
        self,
        opened: IntArray,
        fresh: BoolArray,
        pairs: IntArray,
        proto: npt.NDArray[Any],
        lo: IntArray,
        hi: IntArray,
        lo_port: IntArray,
        hi_port: IntArray,
    ) -> IntArray:
        """Flow numbers for the conversations that begin at the rows ``opened``; not ``fresh``: they go on."""
        reused, self._free = self._free[: len(opened)], self._free[len(opened) :]
        first = self.flows.rows
        self.flows.grow_to(first + len(opened) - len(reused))
        flows = np.concatenate([reused, np.arange(first, self.flows.rows)])
        table, left = self.flows, self._left
        table["proto"][flows] = proto[opened]
        for name, values in (
            ("lo", lo),
            ("hi", hi),
            ("lo_port", lo_port),
            ("hi_port", hi_port),
            ("pair", pairs),
        ):
            table[name][flows] = values[opened]
        table["serial"][flows] = self._opened + np.arange(len(flows))
        self._opened += len(flows)
        again, pair = flows[~fresh], pairs[opened[~fresh]]
        for name in ("stream", "base0", "base1", "client"):
            table[name][again] = left[name][pair]
        for number, already in self._streams.items():
            mine = flows[fresh & (proto[opened] == number)]
            table["stream"][mine] = already + np.arange(len(mine))
            self._streams[number] = already + len(mine)
        return flows

    def _spread(self, opened: IntArray, flows: IntArray, pairs: IntArray) -> IntArray:
        """Flow of every packet: the conversation most recently opened on its pair, in this batch or before."""
        order = stable_order(pairs)
        ordered = pairs[order]
        started = np.full(len(pairs), _UNSET, dtype=np.int64)
        started[opened] = flows
        value = started[order]
        starts = run_starts(ordered)
        carried = self._left["flow"][ordered[starts]]
        value[starts] = np.where(value[starts] == _UNSET, carried, value[starts])
        # Each packet takes the value of the last row before it that has one: every run begins with such a row.
        last = np.maximum.accumulate(np.where(value == _UNSET, 0, np.arange(len(value))))
        running = value[last]
        ends = run_ends(starts, len(ordered))
        self._left["flow"][ordered[ends]] = running[ends]
        flow = np.empty(len(pairs), dtype=np.int64)
        flow[order] = running
        return flow
