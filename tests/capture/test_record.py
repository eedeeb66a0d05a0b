"""What is written while capturing is what a reader gets back: ours, and tshark."""

from __future__ import annotations

import io
import subprocess

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture.record import Recorder, RingRecorder
from tests.capture.live_batches import batch, notes
from tests.capture.read import read, read_bytes

T0 = 1_700_000_000_123_456_789


@settings(max_examples=50)
@given(
    packets=st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=90)), min_size=1, max_size=20),
    gap=st.integers(0, 70),
    cut=st.integers(0, 20),
)
def test_packets_come_back(tmp_path_factory, packets, gap, cut):
    stream = io.BytesIO()
    recorder = Recorder(stream, notes("eth0"), "tests")
    for part in (packets[:cut], packets[cut:]):
        if part:
            recorder.write(batch(part, gap=gap))
    recorder.close()
    found, about = read_bytes(tmp_path_factory.mktemp("record"), stream.getvalue())
    assert [(time, data) for _, time, _, _, data in found] == packets
    assert not about.damage
    assert recorder.size == len(stream.getvalue())


def test_interfaces_link_types_directions_and_losses_are_told(tmp_path, tshark):
    about = notes("eth0", "tun0")
    about.interface_list[0].received, about.interface_list[0].dropped = 1000, 7
    about.interface_list[0].filter = "tcp port 443"
    path = tmp_path / "a.pcapng"
    frame = bytes(12) + b"\x08\x00" + bytes(40)
    with path.open("wb") as stream:
        recorder = Recorder(stream, about, "tests")
        recorder.write(batch([(T0, frame, 0, 1, 2), (T0 + 1, b"\x45" + bytes(30), 1, 101, 1, 1500)]))
        recorder.close()
    fields = [
        "frame.interface_name",
        "frame.encap_type",
        "frame.packet_flags_direction",
        "frame.len",
        "frame.time_epoch",
    ]
    words = [tshark, "-r", str(path), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        ["eth0", "1", "0x00000002", "54", "1700000000.123456789"],
        ["tun0", "7", "0x00000001", "1500", "1700000000.123456790"],
    ]
    _, found = read(path)
    assert found.dropped_by_kernel == 7
    assert [one.name for one in found.interface_list] == ["eth0", "tun0"]
    assert found.interface_list[0].filter == "tcp port 443"


def test_some_packets_of_a_batch():
    stream = io.BytesIO()
    recorder = Recorder(stream, notes("eth0"), "tests")
    recorder.write(batch([(T0 + i, bytes([i] * 5)) for i in range(6)]), np.array([1, 4]))
    assert b"\x01" * 5 in stream.getvalue()
    assert b"\x02" * 5 not in stream.getvalue()


def test_a_set_of_files_keeps_the_last(tmp_path):
    paths = [tmp_path / f"r-{number}.pcapng" for number in range(4)]
    streams = [path.open("wb+") for path in paths]
    ring = RingRecorder(streams, 40_000, notes("eth0"), "tests")
    sent = [(T0 + i * 1000, i.to_bytes(4, "big") + bytes(96)) for i in range(2000)]
    for begin in range(0, len(sent), 130):
        ring.write(batch(sent[begin : begin + 130]))
    ring.close()
    for stream in streams:
        stream.close()
    total = sum(path.stat().st_size for path in paths)
    assert total <= 40_000
    found = sorted(packet[1:] for path in paths for packet in read(path)[0])
    kept = len(found)
    assert kept > 100
    assert [(time, data) for time, _, _, data in found] == sent[-kept:], "the last ones, without a hole"


def test_a_packet_larger_than_a_file_of_the_set_is_written_all_the_same(tmp_path):
    paths = [tmp_path / f"r-{number}.pcapng" for number in range(2)]
    streams = [path.open("wb+") for path in paths]
    ring = RingRecorder(streams, 1000, notes("eth0"), "tests")
    ring.write(batch([(T0 + i, bytes([i]) * 2000) for i in range(5)]))
    ring.close()
    for stream in streams:
        stream.close()
    assert sorted(read(path)[0][0][4][0] for path in paths) == [3, 4]


def test_a_set_can_be_read_before_all_files_are_used(tmp_path):
    paths = [tmp_path / f"r-{number}.pcapng" for number in range(3)]
    streams = [path.open("wb+") for path in paths]
    ring = RingRecorder(streams, 100_000, notes("eth0"), "tests")
    ring.write(batch([(T0, bytes(60))]))
    ring.flush()
    found, about = read(paths, batch_packets=10)
    assert len(found) == 1
    assert not about.damage
