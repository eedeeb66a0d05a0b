from __future__ import annotations

import gzip

import lz4.frame
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.errors import CaptureError
from tests.capture.build import pcap, rich_pcapng
from tests.capture.build_more import patched, snoop
from tests.capture.read import read, read_bytes

SMALL = {
    "pcap": pcap([(i, i, bytes([i]) * (7 * i % 40), 50) for i in range(12)]),
    "pcap-big-endian-ns": pcap([(i, i, b"x" * i) for i in range(9)], ">", nano=True),
    "pcapng": rich_pcapng() + rich_pcapng(),
    "gzip": gzip.compress(pcap([(i, i, b"y" * i) for i in range(9)])),
    "snoop": snoop([(i, i, b"z" * i) for i in range(9)], drops=3),
    "zstd": zstandard.compress(snoop([(i, i, bytes([i]) * i) for i in range(9)])),
    "lz4": lz4.frame.compress(pcap([(i, i, b"w" * i) for i in range(9)])),
}
# Of these a cut within the first records may be read as another variant, as Wireshark does.
VARIANTS = {
    "pcap-patched": patched([(i, i, b"v" * i) for i in range(1, 9)], extra=bytes(12)),
    "pcap-nokia": patched([(i, i, b"n" * i) for i in range(1, 9)], ">", magic=0xA1B2C3D4, extra=bytes(4)),
}
MANY = SMALL | VARIANTS
MODEST = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", MANY)
@MODEST
@given(batch_bytes=st.integers(1, 300), batch_packets=st.integers(1, 8))
def test_batch_size_changes_nothing(tmp_path, name, batch_bytes, batch_packets):
    content = MANY[name] + b"\xff" * 40  # damage too must be found at the same place
    sizes = {"batch_bytes": batch_bytes, "batch_packets": batch_packets}
    assert read_bytes(tmp_path, content, **sizes) == read_bytes(tmp_path, content)


@pytest.mark.parametrize("name", SMALL)
def test_every_cut_gives_the_packets_before_it(tmp_path, name):
    content = SMALL[name]
    whole, _ = read_bytes(tmp_path, content)
    refused = 0
    for cut in range(len(content)):
        try:
            packets, notes = read_bytes(tmp_path, content[:cut])
        except CaptureError:
            refused += 1
            continue
        assert packets == whole[: len(packets)]
        assert len(packets) < len(whole) or notes.damage
        assert "\n" not in notes.damage
    # Only within the file header; a compressed file gives nothing before the end of its first block.
    assert refused <= (len(content) if name in {"gzip", "zstd", "lz4"} else 28)


@pytest.mark.parametrize("name", MANY)
@settings(MODEST, max_examples=150)
@given(data=st.data())
def test_flipped_and_inserted_bytes_never_surprise(tmp_path, name, data):
    content = bytearray(MANY[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            content[at:at] = data.draw(st.binary(max_size=9))
    try:
        packets, notes = read_bytes(tmp_path, bytes(content), batch_bytes=64)
    except CaptureError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is fine, but each has its duties
    else:
        assert [p[0] for p in packets] == list(range(1, len(packets) + 1))
        assert notes.packets == len(packets)
        assert notes.damage.isprintable()
        assert len(notes.sha256) == 64


def test_a_reader_that_is_left_early_stops(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(SMALL["pcap"])
    with open_capture(path, batch_packets=1) as reader:
        next(reader)
    assert list(reader) == []
    assert reader.notes.sha256 == ""


@pytest.mark.parametrize("sizes", [{"batch_bytes": 0}, {"batch_packets": 0}])
def test_batches_hold_something(tmp_path, sizes):
    with pytest.raises(ValueError, match="at least one"):
        read(tmp_path, **sizes)
