"""Which conversation every packet belongs to, numbered as Wireshark numbers ``tcp.stream`` and ``udp.stream``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.decode.flags import ACK, SYN, TCP
from forensics.flows.arrays import BoolArray, GrowingColumns, IntArray, run_ends, run_starts, stable_order

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.decode.columns import PacketTable


_UNSET: Final = -1
_MIX: Final = tuple(np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


class Conversations:
    """Assigns packets to conversations, batch after batch.

    A conversation is the set of packets between two address/port pairs. For TCP a SYN whose sequence number
    differs from the initial one of its sender starts a new conversation on the same pair, as in Wireshark 4.0
    (packet-tcp.c); UDP conversations never end. Packets quoted by ICMP errors take part in the numbering, as
    Wireshark dissects them, but carry no sequence state.

    Side 0 of a conversation is the end with the smaller (address id, port); who is the client is decided later.
    """

    def __init__(self) -> None:
        self._tuples: dict[tuple[int, int, int], int] = {}
        self._tuple_state = GrowingColumns({"flow": (np.int64, _UNSET)})
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
            }
        )
        self._streams = {TCP: 0, 17: 0}

    def assign(self, packets: PacketTable) -> tuple[IntArray, npt.NDArray[np.int8]]:
        """Flow number and side (0 or 1) of every packet, each of shape ``(n,)``.

        ``packets`` is in frame order. Flow numbers count up from 0 over the whole capture.
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

        tuples, first_row = self._tuple_numbers(lo, hi, ports)
        flags = packets["flags"]
        plain = packets["icmp_type"] < 0
        opens = plain & (proto == TCP) & ((flags & (SYN | ACK)) == SYN)
        repeated = opens & ~first_row

        # Rows that certainly start a conversation: the first of a tuple. A later SYN may start another one;
        # only the tuples that have such a SYN are walked packet by packet.
        starts = first_row.copy()
        if repeated.any():
            walked = np.isin(tuples, np.unique(tuples[repeated]))
            seq = packets["seq"].astype(np.int64)
            ack = packets["ack"].astype(np.int64)
            self._walk(np.flatnonzero(walked), tuples, side, flags, seq, ack, plain & (proto == TCP), starts)

        opened = np.flatnonzero(starts)
        first_flow = self.flows.rows
        self._open(opened, proto, lo, hi, lo_port, hi_port)
        flow = self._spread(opened, first_flow, tuples)
        np.maximum.at(self._tuple_state["flow"], tuples[opened], first_flow + np.arange(len(opened)))
        return flow, side

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

    def _tuple_numbers(self, lo: IntArray, hi: IntArray, ports: IntArray) -> tuple[IntArray, BoolArray]:
        """Number of every packet's address/port pair, and which packets are the first of a new one."""
        first, which = _distinct(lo, hi, ports)
        known = self._tuples
        numbers = np.empty(len(first), dtype=np.int64)
        fresh = []
        for place, key in enumerate(
            zip(lo[first].tolist(), hi[first].tolist(), ports[first].tolist(), strict=True)
        ):
            number = known.get(key)
            if number is None:
                number = known[key] = len(known)
                fresh.append(place)
            numbers[place] = number
        self._tuple_state.grow_to(len(known))
        first_row = np.zeros(len(lo), dtype=np.bool_)
        first_row[first[fresh]] = True
        return numbers[which], first_row

    def _walk(  # noqa: PLR0913 - the columns of one packet
        self,
        rows: IntArray,
        tuples: IntArray,
        side: npt.NDArray[np.int8],
        flags: npt.NDArray[Any],
        seq: IntArray,
        ack: IntArray,
        is_tcp: BoolArray,
        starts: BoolArray,
    ) -> None:
        """Mark the SYNs among ``rows`` that start a new conversation on an address/port pair already in use."""
        bases: dict[int, list[int]] = {}
        current = self._tuple_state["flow"]
        base0, base1 = self.flows["base0"], self.flows["base1"]
        columns = zip(
            rows.tolist(),
            tuples[rows].tolist(),
            side[rows].tolist(),
            flags[rows].tolist(),
            seq[rows].tolist(),
            ack[rows].tolist(),
            is_tcp[rows].tolist(),
            starts[rows].tolist(),
            strict=True,
        )
        for row, pair, sender, flag, number, acked, counts, first in columns:
            base = bases.get(pair)
            if base is None:
                flow = int(current[pair])
                base = [_UNSET, _UNSET] if first or flow < 0 else [int(base0[flow]), int(base1[flow])]
                bases[pair] = base
            if not counts:
                continue
            if flag & (SYN | ACK) == SYN and base[sender] not in (_UNSET, number):
                starts[row] = True
                base[0] = base[1] = _UNSET
            if base[sender] == _UNSET or flag & (SYN | ACK) == SYN | ACK:
                base[sender] = number if flag & SYN else (number - 1) & 0xFFFFFFFF
            if flag & ACK and base[1 - sender] == _UNSET:
                base[1 - sender] = (acked - 1) & 0xFFFFFFFF

    def _open(  # noqa: PLR0913 - the columns of a conversation
        self,
        opened: IntArray,
        proto: npt.NDArray[Any],
        lo: IntArray,
        hi: IntArray,
        lo_port: IntArray,
        hi_port: IntArray,
    ) -> None:
        first = self.flows.rows
        self.flows.grow_to(first + len(opened))
        rows = slice(first, first + len(opened))
        self.flows["proto"][rows] = proto[opened]
        for name, values in (("lo", lo), ("hi", hi), ("lo_port", lo_port), ("hi_port", hi_port)):
            self.flows[name][rows] = values[opened]
        for number, already in self._streams.items():
            mine = np.flatnonzero(proto[opened] == number)
            self.flows["stream"][first + mine] = already + np.arange(len(mine))
            self._streams[number] = already + len(mine)

    def _spread(self, opened: IntArray, first_flow: int, tuples: IntArray) -> IntArray:
        """Flow of every packet: the conversation most recently opened on its tuple, in this batch or before."""
        order = stable_order(tuples)
        ordered = tuples[order]
        started = np.full(len(tuples), _UNSET, dtype=np.int64)
        started[opened] = first_flow + np.arange(len(opened))
        value = started[order]
        starts = run_starts(ordered)
        carried = self._tuple_state["flow"][ordered[starts]]
        value[starts] = np.maximum(value[starts], carried)
        # Flow numbers only grow along a tuple, so a running maximum within each run spreads them.
        lift = np.zeros(len(value), dtype=np.int64)
        lift[starts] = self.flows.rows + 2
        lift = np.cumsum(lift)
        running = np.maximum.accumulate(value + lift) - lift
        flow = np.empty(len(tuples), dtype=np.int64)
        flow[order] = running
        return flow


def _distinct(lo: IntArray, hi: IntArray, ports: IntArray) -> tuple[IntArray, IntArray]:
    """First row of every distinct (lo, hi, ports), in row order, and for every row the place of its own there."""
    # Rows are sorted by a 64-bit mix of the key, which is much faster than by the key; where two keys share a mix
    # (an attacker could arrange that) the rows are grouped by the key itself.
    mix = lo.astype(np.uint64) * _MIX[0] + hi.astype(np.uint64) * _MIX[1] + ports.astype(np.uint64) * _MIX[2]
    mix ^= mix >> np.uint64(29)
    first, which = _grouped((mix >> np.uint64(32)).astype(np.int64))
    if not _alike(first[which], lo, hi, ports):
        _, first, which = np.unique(mix, return_index=True, return_inverse=True)
    if not _alike(first[which], lo, hi, ports):
        _, first, which = np.unique(
            np.stack([lo, hi, ports], axis=1), axis=0, return_index=True, return_inverse=True
        )
        which = which.reshape(-1)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[which]


def _alike(own: IntArray, *columns: IntArray) -> bool:
    """Whether every row equals the row that stands for it."""
    return all(np.array_equal(column[own], column) for column in columns)


def _grouped(keys: IntArray) -> tuple[IntArray, IntArray]:
    """First row of every distinct key, in the order of the keys, and for every row the place of its own there."""
    order = stable_order(keys)
    starts = run_starts(keys[order])
    which = np.empty(len(keys), dtype=np.int64)
    which[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(keys))))
    return order[starts], which
