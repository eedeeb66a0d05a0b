"""From what was kept of STUN and RTP to the columns of the call table and of the flow table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from forensics.flows.arrays import NEVER
from forensics.observations.media_rtp import payload_types
from forensics.observations.media_stun import KEPT
from forensics.protocols.rtp import STATIC_TYPES

if TYPE_CHECKING:
    from forensics.flows.arrays import GrowingColumns
    from forensics.observations.media_rtp import RtpStreams
    from forensics.observations.media_stun import StunFlow

STOPPED_NS: Final = 5_000_000_000
"""A side that sends no media for that long has stopped, as far as a capture can tell."""
_MS: Final = 1e6


@dataclass(frozen=True)
class Side:
    """The media that one side of a flow sent."""

    side: int
    """0 or 1, as FlowBatch.side."""
    other: GrowingColumns
    """What the collector keeps beside RTP, by ``fs``."""
    rtp: RtpStreams
    fs: int
    streams: list[int]
    """Rows of the streams that are media; without any the times below mean nothing."""

    def total(self, name: str) -> int:
        """Sum over the streams."""
        return sum(int(self.rtp.table[name][stream]) for stream in self.streams)

    def kept(self, name: str) -> int:
        """What is kept of the whole side."""
        return int(self.rtp.sides[name][self.fs])

    def beside(self, name: str) -> int:
        """What is kept of the side beside RTP."""
        return int(self.other[name][self.fs])

    @cached_property
    def main(self) -> int:
        """Row of the stream with the most packets."""
        return max(self.streams, key=lambda stream: (int(self.rtp.table["packets"][stream]), -stream))

    def of_main(self, name: str) -> int:
        """A value of that stream."""
        return int(self.rtp.table[name][self.main])

    @property
    def lost(self) -> int:
        """Sequence numbers that never came."""
        return self.total("skipped") - self.total("filled")

    @property
    def loss(self) -> float | None:
        """Their share of those expected."""
        if not self.streams:
            return None
        expected = self.total("packets") - self.total("copies") + self.lost
        return self.lost / expected if expected else None


def call_facts(stun: StunFlow | None, ways: tuple[Side, Side], clock: int) -> dict[str, Any]:
    """One row of the call table; ``clock`` is the latest time of the capture so far, in ns."""
    frames = [side.kept(name) for side in ways if side.streams for name in ("first_frame", "last_frame")]
    if stun is not None:
        frames += [stun.first_frame, stun.last_frame]
    dtls = min(side.beside("dtls") for side in ways)
    times = [side.kept("first_time") for side in ways if side.streams]
    if stun is not None:
        times.append(stun.first_time)
    byes = [side.beside("bye") for side in ways if side.beside("bye") >= 0]
    facts: dict[str, Any] = {
        "first_frame": min(frames),
        "last_frame": max(frames),
        "first_time": min(times),
        "dtls_frame": dtls if dtls != NEVER else None,
        "bye_frame": max(byes) if byes and (ways[0].streams or ways[1].streams) else None,
        **_stun(stun, ways[0].side),
        **_ended(ways, clock),
    }
    for word, mine, other in (("to_server", *ways), ("to_client", *ways[::-1])):
        facts.update({name.format(word): value for name, value in _media(mine, other).items()})
    return facts


def flow_facts(stun: StunFlow | None, ways: tuple[Side, Side], clock: int) -> dict[str, Any]:
    """The same for one row of the flow table."""
    facts: dict[str, Any] = {}
    if stun is not None:
        asker = stun.askers[ways[0].side]
        facts = {
            "stun_requests": asker.requests,
            "stun_answered": asker.answered,
            "stun_unanswered": asker.transactions - asker.answered,
            "whatsapp_stun": sum(one.whatsapp for one in stun.askers),
        }
    heard = [side for side in ways if side.streams]
    if heard:
        facts.update(
            rtp_packets_to_server=ways[0].total("packets"),
            rtp_packets_to_client=ways[1].total("packets"),
            rtp_loss_to_server=ways[0].loss,
            rtp_loss_to_client=ways[1].loss,
            media_ended=_ended(ways, clock)["ended"],
            first_media_frame=min(side.kept("first_frame") for side in heard),
            last_media_frame=max(side.kept("last_frame") for side in heard),
        )
    return facts


def _stun(stun: StunFlow | None, client: int) -> dict[str, Any]:
    if stun is None:
        return {}
    asker, peer, inside = stun.askers[client], stun.askers[1 - client], stun.inside
    asking = (asker.last_time - asker.first_time) / _MS if asker.requests else None
    return {
        "stun_requests": asker.requests,
        "stun_transactions": asker.transactions,
        "stun_answered": asker.answered,
        "stun_unanswered": asker.transactions - asker.answered,
        "stun_asking_ms": asking,
        "stun_rtt_ms": asker.rtt / _MS if asker.rtt >= 0 else None,
        "stun_errors": asker.errors or None,
        "stun_peer_requests": peer.requests,
        "stun_peer_answered": peer.answered,
        "stun_request_frames": asker.request_frames or None,
        "stun_answer_frames": asker.answer_frames or None,
        "stun_unanswered_frames": asker.unanswered()[:KEPT] or None,
        "stun_error_frames": asker.error_frames or None,
        "allocations": asker.allocations,
        "relayed_address": asker.relayed,
        "mapped_address": asker.mapped,
        "peers": stun.peers or None,
        "relayed_checks": inside[client].transactions if inside else 0,
        "relayed_checks_answered": inside[client].answered if inside else 0,
        "stun_realm": stun.realm,
        "stun_software": stun.software,
        "stun_wrong_fingerprints": stun.wrong_fingerprints,
        "whatsapp_stun_to_server": asker.whatsapp,
        "whatsapp_stun_to_client": peer.whatsapp,
        "whatsapp_frames": sorted(asker.whatsapp_frames + peer.whatsapp_frames) or None,
    }


def _ended(ways: tuple[Side, Side], clock: int) -> dict[str, Any]:
    """How the media ended, and whether one side fell silent alone."""
    heard = [side for side in ways if side.streams]
    if not heard:
        return {"ended": "never-started", "one_way": False, "relayed": None}
    last = max(side.kept("last_time") for side in heard)
    apart = last - min(side.kept("last_time") for side in heard)
    if len(heard) == 1:
        word = "one-way-only"
    elif apart >= STOPPED_NS:
        word = "one-way-stopped"
    elif any(side.beside("bye") >= side.kept("last_frame") for side in heard):
        word = "rtcp-bye"
    elif clock - last < STOPPED_NS:
        word = "still-running-at-end"
    else:
        word = "both-silent"
    return {
        "ended": word,
        "one_way": word.startswith("one-way"),
        "relayed": any(side.beside("carried") > 0 for side in heard),
        "media_ms": (last - min(side.kept("first_time") for side in heard)) / _MS,
    }


def _media(mine: Side, other: Side) -> dict[str, Any]:
    """Media of one side; ``{}`` stands for to_server or to_client."""
    if not mine.streams and not other.streams:
        return {}
    facts: dict[str, Any] = {
        "rtp_packets_{}": mine.total("packets"),
        "rtcp_packets_{}": mine.beside("rtcp"),
        "ssrcs_{}": len(mine.streams),
    }
    if other.beside("reported") >= 0:
        facts["reported_loss_{}"] = other.beside("reported") / 256
    if not mine.streams:
        return facts
    low, high = 0, 0
    for stream in mine.streams:
        low |= int(mine.rtp.table["types_low"][stream])
        high |= int(mine.rtp.table["types_high"][stream])
    rate = mine.of_main("rate")
    first, last = mine.kept("first_time"), mine.kept("last_time")
    since = other.kept("last_time") if other.streams else first
    facts |= {
        "payload_types_{}": payload_types(low, high),
        "codec_{}": STATIC_TYPES.get(mine.of_main("type"), (None, 0))[0],
        "clock_rate_{}": rate if rate > 0 else None,
        "rtp_lost_{}": mine.lost,
        "rtp_loss_{}": mine.loss,
        "rtp_late_{}": mine.total("late"),
        "rtp_copies_{}": mine.total("copies"),
        "first_media_{}_frame": mine.kept("first_frame"),
        "last_media_{}_frame": mine.kept("last_frame"),
        "media_{}_ms": (last - first) / _MS,
        "alone_{}_ms": max(last - since, 0) / _MS,
    }
    if mine.kept("gap") >= 0:
        facts["silence_{}_ms"] = mine.kept("gap") / _MS
        facts["silence_{}_frames"] = [mine.kept("gap_from"), mine.kept("gap_to")]
    if mine.of_main("jitter_packets"):
        unit = 1000 / (16 * rate)
        facts["jitter_{}_ms"] = mine.of_main("jitter_sum") / mine.of_main("jitter_packets") * unit
        facts["jitter_max_{}_ms"] = mine.of_main("jitter_max") * unit
    return facts
