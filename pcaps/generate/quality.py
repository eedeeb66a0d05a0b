"""Captures that show less than they seem to: what the quality block must say of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pcaps.generate import tls
from pcaps.generate.dns import lookup
from pcaps.generate.formats import reset_story
from pcaps.generate.tcp import CLIENT, SERVER, Tcp, visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.world import Packet, World

NAME = "www.python.org"
MIRROR_DELAY = 0.00006


def _healthy(w: World, what: str, pair: str | None = None) -> None:
    w.story(f"Two healthy visits {what}", pair)
    lookup(w, 0.0, NAME, ["151.101.0.223"])
    server = w.host("151.101.0.223", 57)
    visit(w, 0.2, NAME, server)
    visit(w, 1.2, NAME, server)


def mirrored(w: World) -> None:
    """Every packet twice: before and behind a router, as a mirror port of both interfaces shows it."""
    reset_story(
        w, "157.240.22.60", "at a mirror port that copies each packet on its way in and on its way out."
    )
    w.packets.sort(key=lambda packet: packet.time)
    originals = list(w.packets)
    copies: dict[int, Packet] = {}
    for packet in originals:
        ttl = packet.src.ttl if packet.ttl is None else packet.ttl
        packet.ipid = w._next_ipid(packet.src) if packet.ipid is None else packet.ipid  # noqa: SLF001 - both have it
        copies[id(packet)] = w.add(replace(packet, time=packet.time + MIRROR_DELAY, ttl=ttl - 1))
    for row in w.expect.dns:
        query = row["query"]
        query.queries += [copies[id(packet)] for packet in query.queries]
        query.responses += [copies[id(packet)] for packet in query.responses]
    # The client's own two resets are equal in all things, so one of them is taken for a copy of the other.
    w.expect.notes["quality"] = {"duplicated_packets": len(originals) + 1, "acked_unseen_segments": 0}


def dropped(w: World) -> None:
    """The kernel says how many packets it dropped."""
    _healthy(w, "in a pcapng whose statistics say that the kernel dropped 12 packets.")
    w.container = "pcapng-drops"
    w.expect.notes["quality"] = {"dropped_by_kernel": 12, "received_by_interfaces": len(w.packets) + 12}


def coarse_clock(w: World) -> None:
    """All times are multiples of 10 ms."""
    _healthy(w, "captured with a clock that ticks every 10 ms.", "quality-kernel-drops")
    w.packets.sort(key=lambda packet: packet.time)
    for packet in w.packets:
        packet.time = math.floor(packet.time * 100 + 1e-6) / 100
    w.expect.notes["quality"] = {"clock_tick_ms": 10, "backward_timestamps": 0}


def offload(w: World) -> None:
    """The capturing host puts 16 segments together."""
    _healthy(w, "and a download whose segments the capturing host put together by the sixteen (GRO).")
    flow = Tcp(w, w.host("151.101.0.223", 57))
    single = flow.mss
    flow.hello(flow.open(2.0) + 0.001, NAME)
    flow.mss = 16 * single
    flow.send(SERVER, 2.2, tls.server_flight(w.rng, 5 * flow.mss))
    long = [packet for packet in w.packets if len(packet.layer) > 9216 - 20]
    w.expect.notes["quality"] = {
        "packets_over_1500_bytes": len(long),
        "packets_over_9216_bytes": len(long),
        "longest_packet_over_1500_bytes": max(len(packet.layer) for packet in long) + 20,
    }


def capture_loss(w: World) -> None:
    """Segments that the client acknowledges but the capture does not hold."""
    _healthy(w, "and a download of which the capture missed three segments that arrived.", "quality-offload")
    flow = Tcp(w, w.host("151.101.0.223", 57))
    flow.hello(flow.open(2.0) + 0.001, NAME)
    segments = flow.send(SERVER, 2.2, tls.server_flight(w.rng, 40 * flow.mss))
    for place in (9, 15, 25):  # each is the last that an acknowledgement covers
        w.packets.remove(segments[place])
    flow.segment(CLIENT, 2.4, "A")
    w.expect.notes["quality"] = {
        "acked_unseen_segments": 3,
        "acked_unseen_bytes": 3 * flow.mss,
        "flows_with_capture_loss": 1,
    }


CASES: dict[str, Callable[[World], None]] = {
    "quality-mirror-port": mirrored,
    "quality-kernel-drops": dropped,
    "quality-coarse-clock": coarse_clock,
    "quality-offload": offload,
    "quality-capture-loss": capture_loss,
}
