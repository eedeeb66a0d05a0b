"""Calls from hand-made packets and from real captures, however they are cut into batches."""

from __future__ import annotations

import random
import struct
import subprocess
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.decode import AddressBook, Decoder
from forensics.observations import collect
from forensics.observations.collect import Collectors
from forensics.observations.collector import Asked
from forensics.observations.media import MediaCollector
from forensics.observations.table import fact_table
from tests.flows.made import Pkt, ask_tshark, table, write_pcap
from tests.observations.test_media_rtp import rtp
from tests.protocols.test_rtp import BLOCK, LEFT, RECEIVED
from tests.protocols.test_stun import message, xored

PHONE, RELAY = ("192.0.2.1", 40000), ("198.51.100.7", 3478)
ASKED = Asked(frozenset({"call"}))
DTLS = bytes.fromhex("16feff0000000000000000000400112233")


@pytest.fixture(autouse=True)
def _only_media(monkeypatch):
    monkeypatch.setattr(collect, "PROTOCOLS", (MediaCollector,))


def up(data, ms, **more):
    return Pkt(PHONE, RELAY, data=data, ms=ms, proto=17, **more)


def down(data, ms, **more):
    return Pkt(RELAY, PHONE, data=data, ms=ms, proto=17, **more)


def tables(packets, cuts=()):
    packets = sorted(packets, key=lambda packet: packet.ms)
    book = AddressBook()
    collectors = Collectors(book, asked=ASKED)
    begin = 0
    for end in [*sorted(set(cuts)), len(packets)]:
        collectors.add(table(packets[begin:end], book, begin + 1))
        begin = end
    return {name: fact_table(name, rows).frame() for name, rows in collectors.finish().items()}


def call(packets, **wanted):
    """The only row of the call table, the same for every batch size."""
    whole = tables(packets)
    for cuts in (range(1, len(packets), 1 + len(packets) // 50), range(1, min(len(packets), 40))):
        again = tables(packets, cuts)
        assert again["call"].equals(whole["call"])
        assert again["flow"].equals(whole["flow"])
    (row,) = whole["call"].to_dicts()
    assert {name: row[name] for name in wanted} == wanted
    return row


def number(value):
    return value.to_bytes(12, "big")


def binding(ms, value=1, answer=15.0):
    kinds = ((up, 0x0001, ms), (down, 0x0101, ms + answer))
    return [send(message(kind, transaction=number(value)), at) for send, kind, at in kinds]


def voice(send, begin, end, ssrc, wrap=bytes):
    return [
        send(wrap(rtp(seq, seq * 960, ssrc=ssrc)), ms) for seq, ms in enumerate(range(begin, end, 20), 65500)
    ]


def test_a_call():
    packets = [*binding(0), up(DTLS, 40), down(DTLS, 60)]
    packets += voice(up, 100, 8100, 7) + voice(down, 130, 8130, 9)
    row = call(
        packets,
        stun_requests=1,
        stun_answered=1,
        stun_unanswered=0,
        stun_rtt_ms=15.0,
        stun_request_frames=[1],
        stun_answer_frames=[2],
        dtls_frame=3,
        rtp_packets_to_server=400,
        rtp_packets_to_client=400,
        rtp_lost_to_server=0,
        rtp_loss_to_client=0.0,
        payload_types_to_client=[111],
        codec_to_client=None,
        clock_rate_to_client=48000,
        jitter_to_client_ms=0.0,
        silence_to_server_ms=20.0,
        media_ms=8010.0,
        ended="still-running-at-end",
        one_way=False,
        relayed=False,
    )
    assert (row["proto"], row["client"], row["server_port"]) == ("udp", "192.0.2.1", 3478)
    flow = tables(packets)["flow"].to_dicts()[0]
    assert (flow["stun_answered"], flow["rtp_packets_to_client"], flow["media_ended"]) == (
        1,
        400,
        "still-running-at-end",
    )
    assert (flow["first_media_frame"], flow["last_media_frame"]) == (5, 804)


def test_one_way_stops():
    packets = binding(0) + voice(up, 100, 15100, 7) + voice(down, 130, 4130, 9)
    row = call(packets, ended="one-way-stopped", one_way=True)
    assert row["alone_to_server_ms"] == 15080 - 4110
    assert row["alone_to_client_ms"] == 0


def test_both_fall_silent():
    packets = voice(up, 100, 3100, 7) + voice(down, 130, 3130, 9)
    packets += [up(message(0x0001, transaction=number(value)), 3000 * value) for value in range(2, 6)]
    call(packets, ended="both-silent", stun_requests=4, stun_unanswered=4, stun_asking_ms=9000.0)


def test_one_way_only():
    packets = [down(packet.data, packet.ms + 1500 * (packet.ms > 900)) for packet in voice(down, 0, 2000, 9)]
    call(
        packets,
        ended="one-way-only",
        one_way=True,
        rtp_packets_to_server=0,
        silence_to_client_ms=1520.0,
        silence_to_client_frames=[46, 47],
    )


def test_never_started():
    asked = [up(message(0x0003, transaction=number(1)), 500.0 * 2**step) for step in range(7)]
    call(
        asked,
        ended="never-started",
        stun_requests=7,
        stun_transactions=1,
        stun_unanswered=1,
        stun_asking_ms=31500.0,
        stun_unanswered_frames=[1],
        rtp_packets_to_server=None,
    )


def test_bye_and_reports():
    packets = voice(up, 0, 2000, 7) + voice(down, 0, 2000, 9)
    packets += [down(RECEIVED, 1000), up(LEFT, 2000), down(LEFT, 2100)]
    call(
        packets,
        ended="rtcp-bye",
        bye_frame=203,
        rtcp_packets_to_client=2,
        rtcp_packets_to_server=1,
        reported_loss_to_server=0.25,
        reported_loss_to_client=None,
    )
    assert struct.unpack_from("!IB", BLOCK)[1] == 64  # 64 of 256


def channel(data):
    return struct.pack("!HH", 0x4001, len(data)) + data


def indication(kind):
    peer = (0x0012, xored(bytes([203, 0, 113, 5]), 5000))
    return lambda data: message(kind, peer, (0x0013, data))


def test_media_in_channels():
    packets = voice(up, 0, 1000, 7, channel) + voice(down, 5, 1005, 9, channel)
    packets += [up(channel(message(0x0001)), 1), down(channel(message(0x0101)), 31)]
    call(
        packets,
        relayed=True,
        rtp_packets_to_server=50,
        rtp_packets_to_client=50,
        stun_requests=0,
        relayed_checks=1,
        relayed_checks_answered=1,
    )


def test_media_in_indications():
    packets = voice(up, 0, 4000, 7, indication(0x0016)) + voice(down, 5, 4005, 9, indication(0x0017))
    packets += [up(indication(0x0016)(message(0x0001)), 1), down(indication(0x0017)(DTLS), 2)]
    row = call(packets, relayed=True, rtp_packets_to_server=200, rtp_packets_to_client=200, relayed_checks=1)
    assert row["peers"] == ["203.0.113.5:5000"]
    assert row["dtls_frame"] == 3


def test_whatsapp():
    packets = [up(message(0x0003, (0x4000, bytes(102))), 0), down(message(0x0103, (0x4002, bytes(8))), 20)]
    packets.append(up(message(0x0800, (0x4000, bytes(102)), transaction=number(5)), 9000))
    call(
        packets,
        whatsapp_stun_to_server=2,
        whatsapp_stun_to_client=1,
        whatsapp_frames=[1, 2, 3],
        stun_requests=1,
        allocations=1,
        stun_unanswered=0,
    )


def test_other_conversations_have_no_row():
    rng = random.Random(4)  # noqa: S311 - bytes of a test
    packets = [up(rng.randbytes(120), ms) for ms in range(0, 9000, 20)]
    packets += [up(bytes.fromhex("8000010000010000000000010377777700"), 9000 + ms) for ms in range(50)]
    found = tables(packets)
    assert found["call"].height == 0
    assert found["flow"]["stun_requests"].to_list() == [None]
    assert found["flow"]["media_ended"].to_list() == [None]


def test_forgotten_flows_leave_nothing_behind():
    packets = binding(0) + voice(up, 100, 2100, 7)
    book = AddressBook()
    collectors = Collectors(book, asked=ASKED)
    collectors.add(table(packets, book, 1))
    media = collectors.protocols[-1]
    assert media.stun
    media.clear(collectors.engine.conversations.flows.column("serial")[:1])
    assert not media.stun
    assert not len(media.rtp._keys)  # noqa: SLF001 - what is kept is the point


SENT = st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=80), st.integers(0, 40)), max_size=30)
BEGINNINGS = [b"", b"\x40\0\0\x20", bytes.fromhex("001600202112a442"), b"\x80\x6f", b"\x81\xc9\0\x07"]


@settings(max_examples=40)
@given(SENT, st.data())
def test_any_bytes(sent, data):
    kinds = st.sampled_from(BEGINNINGS)
    packets = [
        (up if ours else down)(data.draw(kinds) + raw, 20 * place, size=len(raw) + more)
        for place, (ours, raw, more) in enumerate(sent)
    ]
    whole, cut = tables(packets), tables(packets, range(1, len(packets)))
    assert whole["call"].equals(cut["call"])
    assert whole["flow"].equals(cut["flow"])


def test_made_calls_against_tshark(tshark, tmp_path):
    rng = random.Random(8)  # noqa: S311 - packets of a test
    packets = [
        up(rtp(n, n * 160, kind=0), 20 * n + rng.randrange(18)) for n in range(300) if rng.random() > 0.1
    ]
    packets.insert(0, up(rtp(0, 0, kind=0), 0)) if packets[0].ms > 18 else None
    path = write_pcap(tmp_path / "call.pcap", packets)
    streams = subprocess.run(
        [tshark, "-n", "-r", path, "-d", "udp.port==3478,rtp", "-q", "-z", "rtp,streams"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    (line,) = [line for line in streams if "0x0000CAFE" in line]
    words = line.replace("(", " ").replace("%)", " ").split()
    at = words.index("g711U")
    row = tables(packets)["call"].to_dicts()[0]
    assert [row["rtp_packets_to_server"], row["rtp_lost_to_server"]] == [
        int(words[at + 1]),
        int(words[at + 2]),
    ]
    assert row["codec_to_server"] == "PCMU"
    assert row["jitter_max_to_server_ms"] == pytest.approx(float(words[at + 9]), abs=0.3)


VOICE = (
    *(f"voice/{name}" for name in (
        "ndpi_rtp.pcapng", "ndpi_sip.pcap", "ndpi_stun_dtls_rtp.pcapng", "ndpi_stun_google_meet.pcapng",
        "ndpi_stun_signal.pcapng", "zeek_webrtc-stun.pcap",
    )),
    *(f"apps/ndpi_{name}.pcap" for name in (
        "line", "viber", "wa_voice", "whatsapp_voice_and_message", "telegram", "zoom",
    )),
)  # fmt: skip
MORE_THAN_TSHARK = {
    # SRTP encrypts the count of padding, the last byte: tshark's guess refuses packets where it is too large. The
    # sequence numbers of these run without a hole; tshark calls the same packets lost.
    ("voice/ndpi_stun_google_meet.pcapng", 2, 19305): 6,
    ("voice/ndpi_stun_google_meet.pcapng", 6, 19305): 11,
    ("voice/ndpi_stun_signal.pcapng", 20, 61498): 1,
}


def analysed(path, packets=50):
    decoder = Decoder()
    collectors = Collectors(decoder.book, decoder.tunnels, asked=ASKED)
    with open_capture(str(path), batch_packets=packets) as reader:
        for batch in reader:
            collectors.add(decoder.decode(batch))
    return fact_table("call", collectors.finish()["call"]).frame().to_dicts()


@pytest.mark.parametrize("name", VOICE)
def test_real_captures_against_tshark(shared_captures, tshark, name):
    """Requests and responses of STUN, and the packets of every RTP stream of two packets and more."""
    path = shared_captures / name
    rows = {row["stream"]: row for row in analysed(path) if row["proto"] == "udp"}
    stun = Counter()
    for stream, port, kind, quoted in ask_tshark(
        path, "udp.stream", "udp.srcport", "stun.type", "icmp.type", where="stun && udp", prefs=()
    ):
        if int(kind, 16) & 0x110 == 0 and int(kind, 16) < 0x800 and not quoted:
            stun[int(stream), int(port)] += 1
    said = Counter()
    for stream, row in rows.items():
        said[stream, row["client_port"]] += row["stun_requests"] or 0
        said[stream, row["server_port"]] += row["stun_peer_requests"] or 0
    assert +said == stun
    done = subprocess.run(
        [tshark, "-n", "-r", path, "-o", "rtp.heuristic_rtp:TRUE", "--enable-heuristic", "rtp_udp", "-Y", "rtp && udp",
         "-T", "fields", "-e", "udp.stream", "-e", "udp.srcport", "-e", "rtp.ssrc"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    packets = Counter(tuple(line.split("\t")) for line in done.stdout.splitlines())
    theirs = Counter()
    for (stream, port, _), count in packets.items():
        if int(stream) in rows or count > 1:
            theirs[int(stream), int(port)] += count
    ours = Counter()
    for stream, row in rows.items():
        ours[stream, row["client_port"]] += row["rtp_packets_to_server"] or 0
        ours[stream, row["server_port"]] += row["rtp_packets_to_client"] or 0
    for key in list(ours):
        ours[key] -= MORE_THAN_TSHARK.get((name, *key), 0)
    assert +ours == theirs


def test_no_calls_where_there_are_none(shared_captures):
    found = {}
    for folder in ("quic", "dns", "tls", "interference", "encap"):
        for path in sorted((shared_captures / folder).glob("*.pcap*")):
            rows = analysed(path, 5000)
            if rows:
                found[path.name] = len(rows)
    assert found == {}
