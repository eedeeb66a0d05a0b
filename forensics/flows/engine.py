"""Flow state over a whole capture, built batch by batch with array code only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forensics.decode.flags import ACK, FIN, RST, SYN, TCP
from forensics.flows.arrays import (
    NEVER,
    BoolArray,
    GrowingColumns,
    IntArray,
    both_sides,
    run_ends,
    run_starts,
    stable_order,
)
from forensics.flows.conversations import Conversations
from forensics.flows.duplicates import CopyFinder
from forensics.flows.habits import TtlHabits
from forensics.flows.sequence import SequenceTracker
from forensics.flows.unseen import count_unseen

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

    from forensics.decode.columns import PacketTable


_CARRIED: Final = (
    "frame",
    "time",
    "ttl",
    "ipid",
    "df",
    "ip_bytes",
    "flags",
    "window",
    "payload_len",
    "payload_offset",
    "payload_captured",
    "checksum",
)

LETTERS: Final = "SHADFRTW"
"""History letters in the order in which one packet that earns several shows them."""


COUNTER_STEP: Final = 256
"""Largest step of IP-ID between packets of one flow that a per-host counter is believed to take."""


@dataclass(frozen=True)
class _Sent:
    """Who sent each packet of a batch, sorted by (flow, side, frame)."""

    flow: IntArray
    side: npt.NDArray[np.int8]
    fs: IntArray
    tcp: BoolArray
    column: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class FlowBatch:
    """The packets of one batch with what the flow rooms found out, sorted by (flow, side, frame).

    All arrays have one element a packet. ICMP-quoted packets are not among them.
    """

    flow: IntArray
    side: npt.NDArray[np.int8]
    """0: sent by the end with the smaller address; see Conversations."""
    fs: IntArray
    """2 × flow + side: the row of the sender in per-side tables."""
    starts: IntArray
    """Index of the first packet of every run of equal ``fs``."""
    tcp: BoolArray
    column: dict[str, npt.NDArray[Any]]
    """frame, time, ttl, ipid, df, ip_bytes, flags, window, payload_len, payload_offset, payload_captured, seq, ack."""
    rel: IntArray
    """Unwrapped sequence number relative to the sender's first packet (0 = its SYN, 1 = its first byte)."""
    highest: IntArray
    """Highest sequence end of the sender before this packet; -1 before its first packet."""
    new_ack: BoolArray
    """The packet acknowledges more than any before it of the same sender."""
    retransmission: BoolArray
    out_of_order: BoolArray
    ipid_before: IntArray
    """For resets the IP-ID of the sender's packet before; -1 for others, without one, and for IPv6."""
    flow_by_frame: IntArray
    """Flow of every packet of the packet table, in its own order, ICMP-quoted ones and copies included."""
    copies: IntArray
    """Rows of the packet table that the capture holds a second time: they are no packets of this batch."""

    def __len__(self) -> int:
        return len(self.flow)


class FlowEngine:
    """Keeps one row per flow and one per flow side, as arrays; see ``flows`` and ``sides`` for the columns."""

    def __init__(self) -> None:
        self.conversations = Conversations()
        self.sequence = SequenceTracker()
        self.copies = CopyFinder()
        self.unseen_segments = 0
        """Acknowledgements of bytes that the capture does not hold, and how many bytes: sums over all flows."""
        self.unseen_bytes = 0
        self.habits = TtlHabits()
        self.flows = GrowingColumns(
            {
                "packets": (np.int64, 0),
                "first_frame": (np.int64, NEVER),
                "last_frame": (np.int64, -1),
                "first_time": (np.int64, NEVER),
                "last_time": (np.int64, 0),
                "origin": (
                    np.int64,
                    -1,
                ),  # time of the first frame; not the earliest where the clock stepped back
                "v6": (np.int8, 0),
                "icmp_frame": (np.int64, NEVER),
                "icmp_type": (np.int16, -1),
                "icmp_code": (np.int16, -1),
                "syn_ack_side": (np.int8, -1),
                "syn_ack_frame": (np.int64, NEVER),
                "syn_ack_time": (np.int64, 0),
                "shake_ack_frame": (np.int64, NEVER),
                "shake_ack_time": (np.int64, 0),
                "uid": (np.int32, -1),  # of the first packet whose phone app is known
                "uid_differs": (np.bool_, False),
                "tunnel": (np.int32, -1),  # of the first packet, see TunnelBook
                "carrier": (np.bool_, False),  # some packet carries others
                "copies": (np.int64, 0),  # packets that the capture holds a second time
                "first_copy": (np.int64, NEVER),  # frame of the first of them that is no reset
            }
        )
        self.sides = GrowingColumns(
            {
                "packets": (np.int64, 0),
                "first_frame": (np.int64, NEVER),
                "ip_bytes": (np.int64, 0),
                "payload": (np.int64, 0),
                "data_packets": (np.int64, 0),
                "first_time": (np.int64, NEVER),
                "last_time": (np.int64, 0),
                "last_frame": (np.int64, -1),
                "syn_count": (np.int64, 0),
                "syn_last_frame": (np.int64, -1),
                "syn_first_time": (np.int64, NEVER),
                "syn_last_time": (np.int64, 0),
                "syn_time_before_syn_ack": (np.int64, -1),
                "rst_count": (np.int64, 0),
                "rst_ack_count": (np.int64, 0),
                "retransmissions": (np.int64, 0),
                "out_of_order": (np.int64, 0),
                "zero_windows": (np.int64, 0),
                "ipids": (np.int64, 0),
                "ipid_zero": (np.int64, 0),
                "ipid_steps": (np.int64, 0),
                "ipid_same": (np.int64, 0),
                "ipid_near": (np.int64, 0),
                "ipid_last": (np.int64, -1),
                "acked": (np.int64, -1),
                "unseen_segments": (np.int64, 0),
                "unseen_bytes": (np.int64, 0),
                **{f"first_{letter}": (np.int64, NEVER) for letter in LETTERS},
            }
        )

    def add(self, packets: PacketTable) -> FlowBatch:
        """Take in the packet table of one batch (frame order); copies count for nothing but the numbering."""
        flow, side = self.conversations.assign(packets)
        rows = self.conversations.flows.rows
        self.flows.grow_to(rows)
        self.sides.grow_to(2 * rows)
        quoted = packets["icmp_type"] >= 0
        if quoted.any():
            self._note_icmp(packets, flow, np.flatnonzero(quoted))
        owned = (packets["uid"] >= 0) & ~quoted
        if owned.any():
            self._note_owners(flow[owned], packets["uid"][owned])
        if (packets["tunnel"] >= 0).any():
            self._note_tunnels(flow[~quoted], packets["tunnel"][~quoted])
        self.flows["carrier"][flow[packets["carrier"]]] = True
        batch = self._annotate(packets, flow, side, quoted)
        self._sum_flows(batch)
        self._sum_sides(batch)
        missed = count_unseen(batch, self.sides, self.sequence)
        self.unseen_segments += missed[0]
        self.unseen_bytes += missed[1]
        self._count_ttls(batch)
        return batch

    def _note_tunnels(self, flow: IntArray, tunnel: npt.NDArray[np.int32]) -> None:
        """Before the packets are summed: flows without any begin here."""
        mine, first = np.unique(flow, return_index=True)
        fresh = self.flows["packets"][mine] == 0
        self.flows["tunnel"][mine[fresh]] = tunnel[first[fresh]]

    def _note_owners(self, flow: IntArray, uid: npt.NDArray[np.int32]) -> None:
        order = np.argsort(flow, kind="stable")
        starts = run_starts(flow[order])
        mine = flow[order[starts]]
        table = self.flows
        table["uid"][mine] = np.where(table["uid"][mine] < 0, uid[order[starts]], table["uid"][mine])
        other = uid[order] != table["uid"][flow[order]]
        table["uid_differs"][mine] |= np.logical_or.reduceat(other, starts)

    def _note_icmp(self, packets: PacketTable, flow: IntArray, rows: IntArray) -> None:
        order = rows[np.argsort(flow[rows], kind="stable")]
        firsts = order[run_starts(flow[order])]
        mine = flow[firsts]
        fresh = self.flows["icmp_frame"][mine] == NEVER
        firsts, mine = firsts[fresh], mine[fresh]
        self.flows["icmp_frame"][mine] = packets["frame"][firsts]
        self.flows["icmp_type"][mine] = packets["icmp_type"][firsts]
        self.flows["icmp_code"][mine] = packets["icmp_code"][firsts]

    def _annotate(
        self, packets: PacketTable, flow: IntArray, side: npt.NDArray[np.int8], quoted: BoolArray
    ) -> FlowBatch:
        fs = flow * 2 + side
        order = stable_order(fs)
        if quoted.any():
            order = order[~quoted[order]]
        fs = fs[order]
        column = {name: packets[name][order] for name in _CARRIED}
        column["seq"] = packets["seq"][order].astype(np.int64)
        column["ack"] = packets["ack"][order].astype(np.int64)
        tcp = packets["proto"][order] == TCP
        twice = self._copies(fs, tcp, column)
        copies = order[twice]
        if len(copies):
            once = ~twice
            order, fs, tcp = order[once], fs[once], tcp[once]
            column = {name: values[once] for name, values in column.items()}
        starts = run_starts(fs)
        self.flows["v6"][flow[order]] = (packets["src"][order] >> 32 != 0).astype(np.int8)
        segments = np.flatnonzero(tcp)
        self.conversations.learn_bases(
            fs[segments],
            column["frame"][segments],
            column["seq"][segments],
            column["ack"][segments],
            column["flags"][segments].astype(np.int64),
        )
        sent = _Sent(flow[order], side[order], fs, tcp, column)
        self._handshake(sent)
        found = self.sequence.track(fs, tcp, column, self._reorder_limit(fs, column["frame"]))
        return FlowBatch(
            flow=sent.flow,
            side=sent.side,
            fs=fs,
            starts=starts,
            tcp=tcp,
            column=column,
            rel=found.rel,
            highest=found.highest,
            new_ack=found.new_ack,
            retransmission=found.retransmission,
            out_of_order=found.out_of_order,
            ipid_before=self._number_habits(fs, column),
            flow_by_frame=flow,
            copies=copies,
        )

    def _copies(self, fs: IntArray, tcp: BoolArray, column: dict[str, npt.NDArray[Any]]) -> BoolArray:
        """Packets that the capture holds a second time; they are counted here and used nowhere else."""
        found = self.copies.find(fs, tcp, column)
        rows = np.flatnonzero(found)
        if not len(rows):
            return found
        table = self.flows
        flow, frame = fs[rows] >> 1, column["frame"][rows]
        rst = tcp[rows] & ((column["flags"][rows] & RST) != 0)
        np.minimum.at(table["first_copy"], flow[~rst], frame[~rst])
        kept = rst & ~(frame > table["first_copy"][flow])  # a reset sent twice, for all that is known
        found[rows[kept]] = False
        np.add.at(table["copies"], flow[~kept], 1)
        self.copies.total += int(np.count_nonzero(~kept))
        return found

    def _reorder_limit(self, fs: IntArray, frame: IntArray) -> IntArray:
        """Per packet: how old (ns) a gap may be for the packet that fills it to count as merely late."""
        return np.clip(self.handshake_rtt(fs >> 1, frame) // 2, 3_000_000, 100_000_000)

    def handshake_rtt(self, flow: IntArray, frame: IntArray | None = None) -> IntArray:
        """Handshake RTT (ns) of each flow, -1 where unknown; with ``frame`` only what was known before that frame."""
        until = NEVER if frame is None else frame
        opener = flow * 2 + (1 - np.clip(self.flows["syn_ack_side"][flow], 0, 1))
        begun = self.sides["syn_time_before_syn_ack"][opener]
        known = (self.flows["shake_ack_frame"][flow] < until) & (begun >= 0)
        return np.where(known, self.flows["shake_ack_time"][flow] - begun, -1)

    def _sum_flows(self, batch: FlowBatch) -> None:
        if not len(batch):
            return
        starts = run_starts(batch.flow)
        flow = batch.flow[starts]
        frame, time = batch.column["frame"], batch.column["time"]
        table = self.flows
        table["packets"][flow] += np.diff(np.append(starts, len(batch)))
        first_frame = np.minimum.reduceat(frame, starts)
        fresh = table["first_frame"][flow] == NEVER
        earliest = np.flatnonzero(frame == np.repeat(first_frame, np.diff(np.append(starts, len(batch)))))
        table["origin"][flow[fresh]] = time[earliest[fresh]]
        table["first_frame"][flow] = np.minimum(table["first_frame"][flow], first_frame)
        table["last_frame"][flow] = np.maximum(table["last_frame"][flow], np.maximum.reduceat(frame, starts))
        table["first_time"][flow] = np.minimum(table["first_time"][flow], np.minimum.reduceat(time, starts))
        table["last_time"][flow] = np.maximum(table["last_time"][flow], np.maximum.reduceat(time, starts))

    def _sum_sides(self, batch: FlowBatch) -> None:
        if not len(batch):
            return
        starts, column = batch.starts, batch.column
        fs = batch.fs[starts]
        ends = run_ends(starts, len(batch))
        frame, time, flags = column["frame"], column["time"], column["flags"]
        payload = column["payload_len"].astype(np.int64)
        rst = (flags & RST) != 0
        plain_syn = batch.tcp & ((flags & (SYN | ACK)) == SYN)
        syn_ack = batch.tcp & ((flags & (SYN | ACK)) == SYN | ACK)
        data = (payload > 0) & ~rst
        table = self.sides

        def add(name: str, values: npt.NDArray[Any]) -> None:
            table[name][fs] += np.add.reduceat(values, starts, dtype=np.int64)

        table["packets"][fs] += ends - starts + 1
        add("ip_bytes", column["ip_bytes"])
        add("payload", np.where(rst, 0, payload))
        add("data_packets", data)
        add("syn_count", plain_syn)
        add("rst_count", rst)
        add("rst_ack_count", rst & ((flags & ACK) != 0))
        add("retransmissions", batch.retransmission)
        add("out_of_order", batch.out_of_order)
        zero_window = batch.tcp & (column["window"] == 0) & ((flags & (SYN | RST | FIN)) == 0)
        add("zero_windows", zero_window)
        table["first_time"][fs] = np.minimum(table["first_time"][fs], np.minimum.reduceat(time, starts))
        table["last_time"][fs] = np.maximum(table["last_time"][fs], np.maximum.reduceat(time, starts))
        table["first_frame"][fs] = np.minimum(table["first_frame"][fs], frame[starts])
        table["last_frame"][fs] = frame[ends]
        latest = np.maximum.reduceat(np.where(plain_syn, frame, -1), starts)
        table["syn_last_frame"][fs] = np.maximum(table["syn_last_frame"][fs], latest)
        latest = np.maximum.reduceat(np.where(plain_syn, time, 0), starts)
        table["syn_last_time"][fs] = np.maximum(table["syn_last_time"][fs], latest)
        earliest = np.minimum.reduceat(np.where(plain_syn, time, NEVER), starts)
        table["syn_first_time"][fs] = np.minimum(table["syn_first_time"][fs], earliest)
        pure_ack = batch.tcp & ((flags & (SYN | FIN | RST | ACK)) == ACK) & (payload == 0)
        marks = {
            "S": plain_syn,
            "H": syn_ack,
            "A": pure_ack,
            "D": data,
            "F": batch.tcp & ((flags & FIN) != 0),
            "R": rst,
            "T": batch.retransmission,
            "W": zero_window,
        }
        for letter, mark in marks.items():
            name = f"first_{letter}"
            earliest = np.minimum.reduceat(np.where(mark, frame, NEVER), starts)
            table[name][fs] = np.minimum(table[name][fs], earliest)

    def _count_ttls(self, batch: FlowBatch) -> None:
        rows = np.flatnonzero((batch.column["flags"] & RST) == 0)
        self.habits.add(batch.fs[rows], batch.column["ttl"][rows], batch.column["df"][rows])

    def clear(self, flows: IntArray, client: IntArray) -> None:
        """Forget flows; their numbers are used again. ``client``: see Conversations.release."""
        self.conversations.release(flows, client)
        self.flows.clear(flows)
        sides = both_sides(flows)
        self.sides.clear(sides)
        self.sequence.clear(sides)
        self.copies.clear(sides)
        self.habits.clear(sides)

    def ttl_habits(self, flows: IntArray) -> pl.DataFrame:
        """TtlHabits.of both senders of the given flows, from all their packets that are no resets."""
        return self.habits.of(both_sides(flows))

    def _number_habits(self, fs: IntArray, column: dict[str, npt.NDArray[Any]]) -> IntArray:
        """Learn how each sender numbers its IPv4 packets, from everything but its resets.

        Returns for every reset the IP-ID of its sender's packet before it; -1 for other packets or without one.
        """
        before = np.full(len(fs), -1, dtype=np.int64)
        table = self.sides
        rst = (column["flags"] & RST) != 0
        resets = np.flatnonzero(rst)
        before[resets] = table["ipid_last"][fs[resets]]
        rows = np.flatnonzero(~rst & (column["ipid"] >= 0))
        if not len(rows):
            return before
        mine = fs[rows]
        ipid = column["ipid"][rows].astype(np.int64)
        if len(resets):
            place = np.searchsorted(rows, resets) - 1
            same = (place >= 0) & (mine[np.maximum(place, 0)] == fs[resets])
            before[resets[same]] = ipid[place[same]]
        starts = run_starts(mine)
        side = mine[starts]
        previous = np.empty_like(ipid)
        previous[1:] = ipid[:-1]
        previous[starts] = table["ipid_last"][side]
        step = np.where(previous < 0, -1, (ipid - previous) & 0xFFFF)
        for name, mark in (
            ("ipids", np.ones(len(rows), dtype=np.bool_)),
            ("ipid_zero", ipid == 0),
            ("ipid_steps", step >= 0),
            ("ipid_same", step == 0),
            ("ipid_near", (step > 0) & (step <= COUNTER_STEP)),
        ):
            table[name][side] += np.add.reduceat(mark, starts, dtype=np.int64)
        table["ipid_last"][side] = ipid[run_ends(starts, len(rows))]
        return before

    def _handshake(self, batch: _Sent) -> None:
        """First SYN/ACK, the SYN it answers, and the ACK that completes the handshake."""
        flags, frame, time = batch.column["flags"], batch.column["frame"], batch.column["time"]
        table = self.flows
        answers = np.flatnonzero(batch.tcp & ((flags & (SYN | ACK | RST)) == SYN | ACK))
        if len(answers):
            order = answers[np.lexsort((frame[answers], batch.flow[answers]))]
            firsts = order[run_starts(batch.flow[order])]
            firsts = firsts[table["syn_ack_frame"][batch.flow[firsts]] == NEVER]
            mine = batch.flow[firsts]
            table["syn_ack_frame"][mine] = frame[firsts]
            table["syn_ack_time"][mine] = time[firsts]
            table["syn_ack_side"][mine] = batch.side[firsts]
        opens = np.flatnonzero(batch.tcp & ((flags & (SYN | ACK)) == SYN))
        opens = opens[frame[opens] < table["syn_ack_frame"][batch.flow[opens]]]
        if len(opens):
            lasts = opens[run_ends(run_starts(batch.fs[opens]), len(opens))]
            self.sides["syn_time_before_syn_ack"][batch.fs[lasts]] = time[lasts]
        closing = (
            batch.tcp
            & ((flags & (SYN | ACK | RST)) == ACK)
            & (frame > table["syn_ack_frame"][batch.flow])
            & (table["shake_ack_frame"][batch.flow] == NEVER)
            & (batch.side != table["syn_ack_side"][batch.flow])
        )
        rows = np.flatnonzero(closing)
        if len(rows):
            firsts = rows[run_starts(batch.flow[rows])]
            mine = batch.flow[firsts]
            table["shake_ack_frame"][mine] = frame[firsts]
            table["shake_ack_time"][mine] = time[firsts]
