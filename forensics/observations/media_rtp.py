"""RTP told by what it does, over all datagrams of a batch at once: runs of one SSRC whose numbers go on."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from forensics.flows.arrays import NEVER, BoolArray, GrowingColumns, IntArray, run_ends, run_starts
from forensics.protocols.rtp import CLOCK_RATES, STATIC_TYPES, looks_like_rtp

if TYPE_CHECKING:
    import numpy.typing as npt

SSRCS: Final = 64
"""Different SSRCs that are followed on one side of a flow; a conference has a few dozen."""
STREAMS: Final = 1 << 18
"""Streams that are followed at one time, over all flows."""
MAX_DROPOUT: Final = 3000
"""A larger step of sequence numbers is a restart, not loss (RFC 3550, A.1)."""
REPLAY: Final = 64
"""How far behind the highest number a packet may be and still be told from a copy (RFC 3711, 3.3.2)."""
_NEAR: Final = 64
"""Steps of sequence numbers that are ordinary, even where most packets are lost."""
_NEAR_TIME: Final = 1 << 24
"""The same of timestamps: three minutes at 90 kHz."""
_RATE_NS: Final = 1_000_000_000
"""A dynamic payload type's clock is measured over that long."""
_RATE_SLACK: Final = 6
"""A measured clock is one of CLOCK_RATES when it is off by no more than one part in this many."""
_RATE_OF_TYPE: Final = np.array(
    [STATIC_TYPES.get(number, ("", 0))[1] for number in range(128)], dtype=np.int64
)

MIN_PACKETS: Final = 8
"""Packets of one SSRC that make RTP of a flow on which nothing else speaks for media."""
MIN_BESIDE: Final = 2
"""The same where STUN or DTLS share the flow (RFC 7983 leaves such first bytes to RTP alone), or RTP is there."""


class Candidates(NamedTuple):
    """Datagrams, or what TURN carries in them, sorted by (fs, frame); arrays of one length."""

    fs: IntArray
    """2 × flow + side of the sender."""
    frame: IntArray
    time: IntArray
    head: npt.NDArray[np.uint8]
    """n × 12 or more first bytes, zero padded."""
    length: IntArray
    """Bytes on the wire."""

    def where(self, chosen: BoolArray | IntArray) -> Candidates:
        """Only some of them."""
        fs, frame, time, head, length = self
        return Candidates(fs[chosen], frame[chosen], time[chosen], head[chosen], length[chosen])


class RtpStreams:
    """One row a side and SSRC (``table``), one a side (``sides``); integers only, so that batches may be cut anywhere.

    ``lost`` is what RFC 3550, A.3 calls so: expected less received; copies are not received twice here.
    """

    def __init__(self) -> None:
        self.table = GrowingColumns(
            {
                "fs": (np.int64, -1),
                "ssrc": (np.int64, 0),
                "packets": (np.int64, 0),
                "first_frame": (np.int64, NEVER),
                "last_frame": (np.int64, -1),
                "first_time": (np.int64, 0),
                "last_time": (np.int64, 0),
                "first_ts": (np.int64, 0),
                "last_ts": (np.int64, 0),
                "last_seq": (np.int64, 0),
                "ext": (np.int64, 0),  # of the last packet: 1 for the first, then on without wrapping
                "highest": (np.int64, 0),
                "seen": (np.uint64, 0),  # bit k: highest - k has come
                "near": (np.int64, 0),  # ordinary steps of the sequence number
                "near_ts": (np.int64, 0),
                "moved_ts": (np.int64, 0),
                "skipped": (np.int64, 0),
                "filled": (np.int64, 0),
                "late": (np.int64, 0),
                "copies": (np.int64, 0),
                "jumps": (np.int64, 0),
                "type": (np.int64, -1),  # payload type of the first packet
                "types_low": (np.uint64, 0),  # bit per payload type
                "types_high": (np.uint64, 0),
                "rate": (np.int64, 0),  # Hz; 0: not known yet, -1: never will be
                "jitter": (np.int64, 0),  # × 16, in units of the clock, as RFC 3550, A.8
                "jitter_max": (np.int64, 0),
                "jitter_sum": (np.int64, 0),
                "jitter_packets": (np.int64, 0),
            }
        )
        self.sides = GrowingColumns(
            {
                "ssrcs": (np.int64, 0),
                "first_frame": (np.int64, NEVER),
                "last_frame": (np.int64, -1),
                "first_time": (np.int64, 0),
                "last_time": (np.int64, 0),
                "gap": (np.int64, -1),
                "gap_from": (np.int64, -1),
                "gap_to": (np.int64, -1),
            }
        )
        self._keys: IntArray = np.empty(0, dtype=np.int64)  # fs << 32 | ssrc, ascending
        self._rows: IntArray = np.empty(0, dtype=np.int64)
        self._free: IntArray = np.empty(0, dtype=np.int64)

    def add(self, packets: Candidates) -> None:
        """Take in what one batch holds."""
        packets = packets.where(looks_like_rtp(packets.head, packets.length))
        if not len(packets.fs):
            return
        self.sides.grow_to(int(packets.fs.max()) + 1)
        ssrc = _big_endian(packets.head, 8, 4)
        row = self._rows_of(packets, packets.fs << 32 | ssrc)
        kept = row >= 0
        packets, row = packets.where(kept), row[kept]
        if not len(row):
            return
        self._silences(packets)
        order = np.argsort(row, kind="stable")
        self._follow(packets.where(order), row[order])

    def _rows_of(self, packets: Candidates, key: IntArray) -> IntArray:
        """Row of each packet's stream, which is opened where it is new; -1 past the limits."""
        unique, first, which = np.unique(key, return_index=True, return_inverse=True)
        place = np.searchsorted(self._keys, unique)
        known = np.zeros(len(unique), dtype=np.bool_)
        inside = place < len(self._keys)
        known[inside] = self._keys[place[inside]] == unique[inside]
        rows = np.full(len(unique), -1, dtype=np.int64)
        rows[known] = self._rows[place[known]]
        fresh = np.flatnonzero(~known)
        if len(fresh):
            fresh = fresh[
                np.argsort(packets.frame[first[fresh]], kind="stable")
            ]  # in the order of the capture
            fresh = fresh[: max(STREAMS - len(self._keys), 0)]
            fs = unique[fresh] >> 32
            by_side = np.argsort(fs, kind="stable")
            starts = run_starts(fs[by_side])
            rank = np.empty(len(fs), dtype=np.int64)
            sizes = np.diff(np.append(starts, len(fs)))
            rank[by_side] = np.arange(len(fs)) - np.repeat(starts, sizes)
            fresh = fresh[self.sides["ssrcs"][fs] + rank < SSRCS]
            rows[fresh] = self._open(unique[fresh])
        return rows[which]

    def _open(self, keys: IntArray) -> IntArray:
        reused, self._free = self._free[: len(keys)], self._free[len(keys) :]
        begin = self.table.rows
        self.table.grow_to(begin + len(keys) - len(reused))
        rows = np.concatenate([reused, np.arange(begin, self.table.rows)])
        self.table["fs"][rows], self.table["ssrc"][rows] = keys >> 32, keys & 0xFFFFFFFF
        np.add.at(self.sides["ssrcs"], keys >> 32, 1)
        order = np.argsort(keys, kind="stable")
        places = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, places, keys[order])
        self._rows = np.insert(self._rows, places, rows[order])
        return rows

    def _silences(self, packets: Candidates) -> None:
        """First and last packet of every side, and the longest time between two."""
        table, starts = self.sides, run_starts(packets.fs)
        side, ends = packets.fs[starts], run_ends(starts, len(packets.fs))
        fresh = table["last_frame"][side] < 0
        before_time, before_frame = _before(packets.time), _before(packets.frame)
        before_time[starts] = np.where(fresh, packets.time[starts], table["last_time"][side])
        before_frame[starts] = np.where(fresh, -1, table["last_frame"][side])
        gap = np.where(before_frame < 0, -1, packets.time - before_time)
        longest = np.maximum.reduceat(gap, starts)
        sizes = ends - starts + 1
        hit = np.flatnonzero(gap == np.repeat(longest, sizes))
        first = hit[np.searchsorted(hit, starts)]
        better = longest > table["gap"][side]
        for name, values in (("gap", gap), ("gap_from", before_frame), ("gap_to", packets.frame)):
            table[name][side[better]] = values[first[better]]
        for name, values in (("first_frame", packets.frame), ("first_time", packets.time)):
            table[name][side[fresh]] = values[starts[fresh]]
        for name, values in (("last_frame", packets.frame), ("last_time", packets.time)):
            table[name][side] = values[ends]

    def _follow(self, packets: Candidates, row: IntArray) -> None:
        """Packets sorted by (row, frame)."""
        table, starts = self.table, run_starts(row)
        mine, ends = row[starts], run_ends(starts, len(row))
        run = np.repeat(np.arange(len(starts)), ends - starts + 1)
        fresh = table["packets"][mine] == 0
        seq, ts = _big_endian(packets.head, 2, 2), _big_endian(packets.head, 4, 4)
        kind = (packets.head[:, 1] & 127).astype(np.int64)
        for name, values in (
            ("first_frame", packets.frame),
            ("first_time", packets.time),
            ("first_ts", ts),
            ("type", kind),
        ):
            table[name][mine[fresh]] = values[starts[fresh]]
        table["rate"][mine[fresh]] = _RATE_OF_TYPE[kind[starts[fresh]]]
        before_seq, before_ts, before_time = _before(seq), _before(ts), _before(packets.time)
        before_seq[starts] = np.where(fresh, (seq[starts] - 1) & 0xFFFF, table["last_seq"][mine])
        before_ts[starts] = np.where(fresh, ts[starts], table["last_ts"][mine])
        before_time[starts] = np.where(fresh, packets.time[starts], table["last_time"][mine])
        opening = np.zeros(len(row), dtype=np.bool_)
        opening[starts[fresh]] = True
        step = (seq - before_seq + 0x8000 & 0xFFFF) - 0x8000
        ts_step = (ts - before_ts + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
        jump = np.abs(step) > MAX_DROPOUT
        sums = {
            "packets": np.ones(len(row), dtype=np.int64),
            "near": (np.abs(step) <= _NEAR) & (step != 0) & ~opening,
            "near_ts": (np.abs(ts_step) < _NEAR_TIME) & ~opening,
            "moved_ts": ts_step != 0,
            "jumps": jump,
            **self._order(row, run, starts, mine, np.where(jump, 1, step)),
        }
        for name, values in sums.items():
            table[name][mine] += np.add.reduceat(values.astype(np.int64), starts)
        for name, base in (("types_low", 0), ("types_high", 64)):
            bit = np.where((kind >= base) & (kind < base + 64), kind - base, 0).astype(np.uint64)
            bits = np.where((kind >= base) & (kind < base + 64), np.uint64(1) << bit, np.uint64(0))
            table[name][mine] |= np.bitwise_or.reduceat(bits, starts)
        self._jitter(packets.time, before_time, ts, ts_step, row, opening)
        for name, values in (
            ("last_frame", packets.frame),
            ("last_time", packets.time),
            ("last_seq", seq),
            ("last_ts", ts),
        ):
            table[name][mine] = values[ends]

    def _order(
        self, row: IntArray, run: IntArray, starts: IntArray, mine: IntArray, step: IntArray
    ) -> dict[str, npt.NDArray[Any]]:
        """What each packet says of loss, reordering and copies (RFC 3550, A.3)."""
        table, ends = self.table, run_ends(starts, len(row))
        total = np.cumsum(step)
        base = table["ext"][mine] - total[starts] + step[starts]
        ext = total + base[run]
        carried = table["highest"][mine]
        # One running maximum over all runs: each is lifted above the one before it.
        lift = run << 41
        lifted = ext + lift + (1 << 40)
        reached = np.maximum.accumulate(np.maximum(lifted, carried[run] + lift + (1 << 40)))
        before = _before(reached)
        before[starts] = carried + (np.arange(len(starts)) << 41) + (1 << 40)
        highest = before - lift - (1 << 40)
        gain = ext - highest
        behind = gain <= 0
        came = self._came(row, run, ext, carried, behind & (gain > -REPLAY))
        table["ext"][mine] = ext[ends]
        final = np.maximum(highest[ends], ext[ends])
        table["highest"][mine] = final
        back = final[run] - ext
        near = back < REPLAY
        bits = np.where(near, np.uint64(1) << np.where(near, back, 0).astype(np.uint64), np.uint64(0))
        moved = final - carried
        kept = np.where(
            moved < REPLAY,
            table["seen"][mine] << np.minimum(moved, REPLAY - 1).astype(np.uint64),
            np.uint64(0),
        )
        table["seen"][mine] = kept | np.bitwise_or.reduceat(bits, starts)
        return {
            "skipped": np.where(gain > 1, gain - 1, 0),
            "filled": behind & (gain > -REPLAY) & ~came,
            "late": behind & ~came,
            "copies": came,
        }

    def _came(
        self, row: IntArray, run: IntArray, ext: IntArray, carried: IntArray, behind: BoolArray
    ) -> BoolArray:
        """Which of the packets that are ``behind`` the highest number are there a second time."""
        came = np.zeros(len(row), dtype=np.bool_)
        some = np.flatnonzero(behind)
        if not len(some):
            return came
        back = carried[run[some]] - ext[some]
        old = (back >= 0) & (back < REPLAY)
        shift = np.where(old, back, 0).astype(np.uint64)
        came[some] = old & ((self.table["seen"][row[some]] >> shift & np.uint64(1)) != 0)
        # or in this batch, before it
        touched = np.zeros(int(run[-1]) + 1, dtype=np.bool_)
        touched[run[some]] = True
        rows = np.flatnonzero(touched[run])
        order = rows[np.lexsort((rows, ext[rows], run[rows]))]
        again = np.zeros(len(order), dtype=np.bool_)
        again[1:] = (run[order[1:]] == run[order[:-1]]) & (ext[order[1:]] == ext[order[:-1]])
        came[order[again]] |= behind[order[again]]
        return came

    def _jitter(  # noqa: PLR0913 - what one packet is compared by
        self,
        time: IntArray,
        before_time: IntArray,
        ts: IntArray,
        ts_step: IntArray,
        row: IntArray,
        opening: BoolArray,
    ) -> None:
        """Interarrival jitter (RFC 3550, A.8) from the packet on at which the clock is known."""
        table = self.table
        age = time - table["first_time"][row]
        measured = np.flatnonzero((table["rate"][row] == 0) & (age >= _RATE_NS))
        since = np.full(len(table["rate"]), -1, dtype=np.int64)
        if len(measured):
            first = measured[run_starts(row[measured])]
            moved = (ts[first] - table["first_ts"][row[first]] + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            table["rate"][row[first]] = _nearest_rate(moved, age[first])
            since[row[first]] = first
        rate = table["rate"][row]
        start = table["first_time"][row]
        arrived, earlier = ((at - start) // 1000 * rate // 1_000_000 for at in (time, before_time))
        off = np.abs(arrived - earlier - ts_step)
        use = (rate > 0) & ~opening & (np.arange(len(row)) > since[row]) & (off < 10 * rate)
        chosen = np.flatnonzero(use)
        if not len(chosen):
            return
        starts = run_starts(row[chosen])
        for begin, end in zip(starts.tolist(), np.append(starts[1:], len(chosen)).tolist(), strict=True):
            # Each value needs the one before it; arithmetic alone, some 0.1 µs a packet.
            mine = int(row[chosen[begin]])
            found = np.fromiter(
                accumulate(off[chosen[begin:end]].tolist(), _smooth, initial=int(table["jitter"][mine])),
                np.int64,
            )[1:]
            table["jitter"][mine] = found[-1]
            table["jitter_max"][mine] = max(int(table["jitter_max"][mine]), int(found.max()))
            table["jitter_sum"][mine] += found.sum()
            table["jitter_packets"][mine] += len(found)

    def media(self, flows: IntArray, beside: BoolArray) -> IntArray:
        """Rows of ``table`` that are RTP, in the order of their sides and SSRCs.

        ``flows`` are numbers of the engine; ``beside`` says of each whether STUN or DTLS was seen on it.
        """
        if not len(self._keys) or not len(flows):
            return np.empty(0, dtype=np.int64)
        place = np.full(int(flows.max()) + 1, -1, dtype=np.int64)
        place[flows] = np.arange(len(flows))
        owner = self._keys >> 33
        mine = (owner <= int(flows.max())) & (place[np.minimum(owner, len(place) - 1)] >= 0)
        rows = self._rows[mine]
        which = place[owner[mine]]
        table = self.table
        packets, copies = table["packets"][rows], table["copies"][rows]
        steps = packets - 1
        runs = (
            (table["near"][rows] > 0)
            & (4 * table["near"][rows] >= 3 * (steps - copies))
            & (4 * table["near_ts"][rows] >= 3 * steps)
            & (2 * copies <= packets)
        )
        alone = runs & (packets >= MIN_PACKETS) & (table["moved_ts"][rows] > 0)
        sure = beside[which] & runs & (packets >= MIN_BESIDE)
        is_media = np.zeros(len(flows), dtype=np.bool_)
        is_media[which[alone | sure]] = True
        taken = is_media[which] & ((runs & (packets >= MIN_BESIDE)) | ((packets == 1) & beside[which]))
        return np.asarray(rows[taken])

    def clear(self, flows: IntArray) -> None:
        """Forget these flows."""
        if len(self._keys):
            gone = np.isin(self._keys >> 33, flows)
            rows = self._rows[gone]
            self.table.clear(rows)
            self._free = np.sort(np.concatenate([self._free, rows]))
            self._keys, self._rows = self._keys[~gone], self._rows[~gone]
        self.sides.clear(np.concatenate([2 * flows, 2 * flows + 1]))


def payload_types(low: int, high: int) -> list[int]:
    """The payload types whose bits are set."""
    return [number for number in range(128) if (low, high)[number >> 6] >> (number & 63) & 1]


def _nearest_rate(moved: IntArray, age: IntArray) -> IntArray:
    """The clock rate (Hz) that moved so far in ``age`` ns; -1 where none of the usual ones would."""
    hertz = moved * 1_000_000 // (age // 1000)
    rates = np.array(CLOCK_RATES, dtype=np.int64)
    off = np.abs(hertz[:, None] - rates)
    best = np.argmin(off, axis=1)
    near = off[np.arange(len(hertz)), best] * _RATE_SLACK <= rates[best]
    return np.where(near, rates[best], -1)


def _smooth(jitter: int, off: int) -> int:
    return jitter + off - ((jitter + 8) >> 4)


def _before(values: IntArray) -> IntArray:
    """Each value's predecessor; the first one's is to be filled in."""
    out = np.empty_like(values)
    out[1:] = values[:-1]
    return out


def _big_endian(head: npt.NDArray[np.uint8], begin: int, size: int) -> IntArray:
    value = np.zeros(len(head), dtype=np.int64)
    for place in range(begin, begin + size):
        value = value << 8 | head[:, place]
    return value
