"""Capturing from interfaces that the test makes; needs the right to open packet sockets."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import time

import pytest

from forensics.capture.live import LiveSource
from forensics.capture.record import Recorder
from forensics.errors import CaptureError
from tests.capture.read import read

PORT = 39_999
WORDS = f"udp port {PORT}"


def drawn(source, count, seconds=3.0):
    """Packets as (frame, linktype, direction, bytes), until there are so many."""
    packets, end = [], time.monotonic() + seconds
    while len(packets) < count and time.monotonic() < end:
        batch = source.read(0.1)
        for row in range(len(batch) if batch else 0):
            at = int(batch.offset[row])
            raw = batch.data[at : at + int(batch.caplen[row])].tobytes()
            packets.append(
                (batch.first_frame + row, int(batch.linktype[row]), int(batch.direction[row]), raw)
            )
    return packets


def send(*payloads, port=PORT, address="127.0.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for payload in payloads:
            sender.sendto(payload, (address, port))


@pytest.mark.usefixtures("may_capture")
@pytest.mark.parametrize("interface", ["lo", "any"])
def test_the_loopback_gives_each_packet_once(interface):
    with LiveSource(interface, words=WORDS) as source:
        send(*(bytes([n] * 20) for n in range(10)))
        send(b"other", port=PORT + 1)
        packets = drawn(source, 11, 0.6)
    assert [raw[42:] for *_, raw in packets] == [bytes([n] * 20) for n in range(10)]
    assert [frame for frame, *_ in packets] == list(range(1, 11))
    assert {linktype for _, linktype, *_ in packets} == {1}
    assert source.notes.packets == 10
    assert [one.name for one in source.notes.interface_list] == ["lo"]


@pytest.mark.usefixtures("may_capture")
def test_what_came_is_counted_and_nothing_is_lost():
    with LiveSource("lo", words=WORDS) as source:
        send(*[b"x" * 1000] * 300)
        assert len(drawn(source, 300)) == 300
        assert source.count_lost() == 0
    assert source.notes.interface_list[0].received == 300
    assert source.notes.dropped_by_kernel == 0


@pytest.mark.usefixtures("may_capture")
def test_drops_are_counted_where_the_ring_is_too_small():
    with LiveSource("lo", words=WORDS, ring_bytes=1) as source:
        send(*[b"x" * 60_000] * 200)  # 12 MB into a ring of 4 MiB that nobody empties
        assert source.count_lost() > 0
        assert len(drawn(source, 200, 0.5)) < 200
    assert source.notes.dropped_by_kernel + source.notes.packets == source.notes.interface_list[0].received


@pytest.mark.usefixtures("may_capture")
def test_tunnels_give_raw_ip_next_to_ethernet(wires):
    """Both ways of a tun device; a filter holds for both kinds of interface."""
    name, tun = wires
    with LiveSource(name, words=WORDS) as source, LiveSource("any", words=WORDS) as every:
        send(b"out", address="198.51.100.2")
        going = b""
        while not going.endswith(b"out"):  # the system says hello in IPv6 first
            going = os.read(tun, 2000)
        answer = going[:12] + going[16:20] + going[12:16] + going[20:28] + b"back"
        os.write(tun, answer[:2] + len(answer).to_bytes(2, "big") + answer[4:])
        time.sleep(0.2)
        alone, among = drawn(source, 2, 1), drawn(every, 2, 1)
    assert alone[0][1:] == (101, 2, going)
    assert [one[1:3] for one in alone] == [(101, 2), (101, 1)]
    assert [one[1:] for one in among] == [one[1:] for one in alone]
    assert source.notes.interface_list[0].linktype == 101


@pytest.fixture
def wires():
    name = "fortest0"
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))
    except OSError as error:
        pytest.skip(f"no tun device can be made here: {error}")
    try:
        for words in (["addr", "add", "198.51.100.1/24", "dev", name], ["link", "set", name, "up"]):
            subprocess.run(["ip", *words], check=True)
        yield name, tun
    finally:
        os.close(tun)


@pytest.mark.usefixtures("may_capture")
def test_a_written_capture_is_what_was_read(tmp_path):
    path = tmp_path / "a.pcapng"
    with LiveSource("lo", words=WORDS) as source, path.open("wb") as stream:
        recorder = Recorder(stream, source.notes, "tests")
        send(*(bytes([n]) * n for n in range(50)))
        batch = source.read(1)
        while batch is not None:
            recorder.write(batch)
            batch = source.read(0.2)
        source.count_lost()
        recorder.close()
    packets, notes = read(path)
    assert [raw[42:] for *_, raw in packets] == [bytes([n]) * n for n in range(50)]
    assert notes.interface_list[0].received == 50


@pytest.mark.usefixtures("may_capture")
def test_it_stops_and_gives_what_is_still_in_the_ring():
    with LiveSource("lo", words=WORDS) as source:
        send(b"before")
        source.stop()
        send(b"after")
        assert [raw[42:] for *_, raw in drawn(source, 2, 0.5)] == [b"before"]


@pytest.mark.usefixtures("may_capture")
def test_an_interface_that_goes_away_ends_the_capture():
    made = subprocess.run(
        ["ip", "link", "add", "fortest1", "type", "veth", "peer", "name", "fortest2"],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no interface can be made here")
    subprocess.run(["ip", "link", "set", "fortest1", "up"], check=True)
    with LiveSource("fortest1") as source:
        assert source.read(0) is None
        subprocess.run(["ip", "link", "del", "fortest1"], check=True)
        source.read(1)
        assert source.ended == "fortest1: the capture ended early (Network is down)"
        assert source.notes.warnings == [source.ended]


def test_an_interface_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(CaptureError, match=r"^nosuch0: there is no such interface: use one of .*any$"):
        LiveSource("nosuch0")


def test_without_the_right_one_line_names_the_command(monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refused)
    with pytest.raises(CaptureError, match=r"run 'sudo setcap cap_net_raw=ep /.*python[\d.]*' once"):
        LiveSource("lo")
