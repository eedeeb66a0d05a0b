"""Which flows have ended, seen on hand-made captures with a look at them after every few frames."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.decode import AddressBook, Decoded, PacketTable
from forensics.flows.ending import Limits
from forensics.observations.collect import Collectors
from tests.flows.made import (
    ACK,
    CLIENT,
    FIN,
    RST,
    SERVER,
    START,
    SYN,
    Pkt,
    Talk,
    ask_tshark,
    collect,
    frames,
    table,
    tables,
    write_pcap,
)

MINUTE = 60_000.0
SMALL = Limits(frames=8, least=1)
OTHER = ("192.0.2.9", 53), ("192.0.2.10", 53)


def tick(ms, count=8):
    """Packets of a flow that is always there."""
    return [Pkt(*OTHER, proto=17, size=9, ms=ms) for _ in range(count)]


def closed_by_fin():
    talk = Talk().shake()
    talk.c(FIN | ACK)
    talk.s(FIN | ACK, 1, 2)
    return talk


def closed_by_reset():
    talk = Talk().shake()
    talk.s(RST)
    return talk


def half_closed():
    talk = Talk().shake()
    talk.c(FIN | ACK)
    return talk


def unanswered():
    talk = Talk()
    talk.c(SYN, 0)
    return talk


def one_datagram():
    return Talk(packets=[Pkt(proto=17, size=9)])


@pytest.mark.parametrize(
    ("begin", "minutes"),
    [(closed_by_fin, 2), (closed_by_reset, 2), (half_closed, 60), (unanswered, 5), (one_datagram, 5)],
)
def test_each_state_has_its_own_patience(begin, minutes):
    for late, ends in ((-0.1, False), (0.1, True)):
        packets = begin().packets
        later = (minutes + late) * MINUTE + packets[-1].ms
        collectors = collect([*packets, *tick(0), *tick(later), *tick(later)], (), SMALL)
        assert (collectors.flows.height == 1) == ends
        assert collectors.flows_ended_early == 0


def test_a_wild_clock_ends_nothing():
    live = Talk().shake().packets
    wild = Pkt(*OTHER, proto=17, size=9, ms=1e9)
    packets = [*live, *tick(20), wild, *tick(20), wild, *tick(20), wild, wild, *tick(20)]
    assert collect(packets, (), SMALL).flows.height == 0
    # most packets of the time between two looks agree: that is what time it is
    assert collect([*live, *tick(20), *tick(1e9), *tick(1e9)], (), SMALL).flows.height == 1


def test_a_flow_with_packets_since_the_last_look_goes_on_though_the_clock_leapt():
    live = Pkt(CLIENT, SERVER, proto=17, size=9, ms=5)
    leap = [Pkt(*OTHER, proto=17, size=9, ms=ms) for ms in (1e9, 1e9, 1e9, 1e9, 1e9, 1e9)]
    for at in (9, 14):
        packets = [*tick(0, 8), *leap, *leap]
        packets.insert(at, live)
        assert collect([*packets[:17]], (), SMALL).flows.height == 0


def test_few_flows_are_not_worth_the_work():
    packets = [Pkt(("192.0.2.1", port), SERVER, SYN, 1) for port in range(1, 8)]
    packets += tick(0) + tick(1e9) + tick(1e9)
    assert collect(packets, (), Limits(frames=8, least=8)).flows.height == 0
    assert collect(packets, (), Limits(frames=8, least=7)).flows.height == 7


def test_past_the_cap_those_idle_longest_end_early():
    packets = [Pkt(("192.0.2.1", port), SERVER, SYN, 1, ms=port) for port in range(1, 14)]
    packets.insert(11, Pkt(("192.0.2.1", 1), SERVER, SYN, 1, ms=100))  # the oldest flow is not the idlest
    collectors = collect([*packets, *tick(200, 3)], (), Limits(frames=16, most=8))
    assert collectors.flows_ended_early == 14 - 6
    assert frames(collectors)["flow"].filter(proto="tcp")["syn_count"].sum() == 14
    ended = collectors.flows.columns(["client_port", "first_frame"])
    assert ended.height == 14
    going = collectors.engine.conversations.flows
    ports = {
        int(lo) for lo, pair in zip(going.column("lo_port"), going.column("pair"), strict=True) if pair >= 0
    }
    assert 1 in ports
    assert 2 not in ports


def test_what_only_an_error_quoted_is_forgotten_without_a_row():
    quotes = [Pkt(("192.0.2.1", port), SERVER, SYN, 1, icmp=(3, 1)) for port in range(1, 8)]
    collectors = collect([*quotes, *tick(0), *tick(1), *tick(2)], (), SMALL)
    assert np.count_nonzero(collectors.engine.conversations.flows.column("pair") >= 0) == 1
    later = collect([*quotes, *tick(0), *tick(1), Pkt(("192.0.2.1", 1), SERVER, SYN, 1)], (), SMALL)
    row = frames(later)["flow"].filter(proto="tcp").row(0, named=True)
    assert (row["stream"], row["start_seen"], row["continued"]) == (0, True, False)


def going_on(answer):
    talk = Talk().shake()
    talk.c(ACK, 1, 1, size=100)
    late = 61 * MINUTE
    return [*talk.packets, *tick(50), *tick(late), *tick(late), *(
        Pkt(p.src, p.dst, p.flags, p.seq, p.ack, size=p.size, ms=late + 10 + place) for place, p in enumerate(answer)
    )]  # fmt: skip


STORIES = {
    "more data of the server": [Pkt(SERVER, CLIENT, ACK, 5001, 1101, size=50)],
    "its own SYN again": [Pkt(CLIENT, SERVER, SYN, 1000)],
    "a SYN with a new number": [Pkt(CLIENT, SERVER, SYN, 77_000), Pkt(SERVER, CLIENT, SYN | ACK, 9, 77_001)],
    "a SYN of the server": [Pkt(SERVER, CLIENT, SYN, 77_000)],
}


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize("story", STORIES)
def test_a_later_packet_of_an_ended_flow(story, tmp_path):
    packets = going_on(STORIES[story])
    rows = tables(packets, (), SMALL)["flow"].filter(proto="tcp")
    first, second = rows.to_dicts()
    theirs = [
        int(stream)
        for (stream,) in ask_tshark(write_pcap(tmp_path / "x.pcap", packets), "tcp.stream")
        if stream
    ]
    assert [first["stream"], second["stream"]] == [theirs[0], theirs[-1]]
    new = theirs[0] != theirs[-1]
    assert (first["start_seen"], first["continued"]) == (True, False)
    assert (second["start_seen"], second["continued"]) == (new, not new)
    if story == "more data of the server":
        ends = [(row["client"], row["client_port"], row["role_basis"]) for row in (first, second)]
        assert ends == [(*CLIENT, "syn")] * 2
        assert second["bytes_to_client"] == 50


def test_datagrams_after_a_long_pause_go_on_with_their_conversation():
    pause = [*tick(50), *tick(6 * MINUTE), *tick(6 * MINUTE)]
    packets = [Pkt(proto=17, size=9), *pause, Pkt(SERVER, CLIENT, proto=17, size=30, ms=6 * MINUTE)]
    rows = tables(packets, (), SMALL)["flow"].filter(client_port=CLIENT[1])
    assert rows["stream"].to_list() == [0, 0]
    assert rows["start_seen"].to_list() == [True, False]
    assert rows["bytes_to_client"].to_list() == [0, 30]


def test_a_short_capture_keeps_all_flows():
    packets = [*Talk().shake().packets, *tick(1e9, 100)]
    collectors = collect(packets)
    assert collectors.flows.height == 0
    assert collectors.limits.frames == 65_536
    assert frames(collectors)["flow"]["continued"].to_list() == [False, False]


def test_a_flood_of_openings_takes_no_more_room_than_the_cap():
    book, count, step = AddressBook(), 300_000, 20_000
    collectors = Collectors(book)
    model = table([Pkt(flags=SYN, seq=1)], book).packets
    for begin in range(0, count, step):
        columns = {name: np.repeat(values, step) for name, values in model.columns.items()}
        number = np.arange(begin, begin + step)
        columns |= {"frame": number + 1, "time": START + number * 1000, "src": 0x0A000000 + number}
        collectors.add(Decoded(PacketTable(columns), np.empty(0, dtype=np.uint8)))
    most = collectors.limits.most + collectors.limits.frames
    assert collectors.engine.flows.rows <= most
    for kept in (collectors.engine, collectors.engine.sequence, collectors.tls, collectors.resets):
        assert kept.sides.rows <= 2 * most
    assert collectors.flows_ended_early > 0
    rows = frames(collectors)["flow"]
    assert rows["stream"].to_list() == list(range(count))
    assert rows["syn_count"].sum() == count
