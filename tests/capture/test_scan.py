"""What the reader relies on in every container format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture.batch import CaptureNotes
from forensics.capture.pcap import HEADER_LENGTH, PLAIN, PcapFormat
from forensics.capture.pcapng import PcapngFormat
from forensics.capture.scan import MAX_CAPLEN, no_columns
from tests.capture.build import pcap, rich_pcapng

DTYPES = {
    "offset": np.int64,
    "caplen": np.int64,
    "wirelen": np.int64,
    "time": np.int64,
    "linktype": np.int32,
    "interface": np.int32,
}
PCAP = pcap([(i, i, bytes([i]) * (11 * i % 50), 60) for i in range(8)], linktype=101)
FORMATS = {
    "pcap": (PCAP, HEADER_LENGTH, lambda: PcapFormat(PCAP[:HEADER_LENGTH], PLAIN, 101, CaptureNotes())),
    "pcapng": (rich_pcapng(), 0, lambda: PcapngFormat(CaptureNotes())),
}


def rows(columns, data, shift=0):
    for name, dtype in DTYPES.items():
        assert getattr(columns, name).dtype == dtype
    listed = [getattr(columns, name).tolist() for name in DTYPES]
    return [
        (data[at : at + size].tobytes(), at + shift, size, *rest)
        for at, size, *rest in zip(*listed, strict=True)
    ]


def whole(kind):
    content, start, opened = FORMATS[kind]
    data = np.frombuffer(content, np.uint8)
    scan = opened().scan(data, start, len(data), 0, 1000)
    assert (scan.position, scan.damage) == (len(data), "")
    return rows(scan.columns, data)


def test_no_columns_have_the_types_of_columns():
    empty = no_columns()
    assert {name: (getattr(empty, name).dtype, len(getattr(empty, name))) for name in DTYPES} == {
        name: (np.dtype(dtype), 0) for name, dtype in DTYPES.items()
    }


@pytest.mark.parametrize("kind", FORMATS)
@settings(deadline=None)
@given(data=st.data())
def test_scans_of_pieces_give_what_one_scan_gives(kind, data):
    """A scan asks for no more than it needs, gets on with it, and takes what it was not given for absent."""
    content, position, opened = FORMATS[kind]
    reader = opened()
    found = []
    end = position
    while position < len(content):
        limit = data.draw(st.integers(1, 5))
        first = data.draw(st.integers(0, position))  # the window may start anywhere before
        window = np.frombuffer(content[first:end] + b"\xff" * 40, np.uint8)
        scan = reader.scan(window, position - first, end - first, first, limit)
        assert scan.damage == ""
        new = rows(scan.columns, window, first)
        assert len(new) <= limit
        assert scan.position >= position - first
        found += new
        position = first + scan.position
        if scan.need:
            assert position + scan.need > end
            assert position + scan.need <= len(content) or position == len(content)
            end = min(len(content), position + scan.need + data.draw(st.integers(0, 30)))
        else:
            assert len(new) == limit
    assert found == whole(kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_placed_in_the_capture_and_not_in_the_window(kind):
    content, start, opened = FORMATS[kind]
    data = np.frombuffer(content + b"\xff" * 64, np.uint8)
    base = 5_000_000_000
    scan = opened().scan(data, start, len(data), base, 1000)
    assert scan.damage
    assert str(base + len(content)) in scan.damage
    assert scan.position == len(content)
    assert len(scan.columns.offset) == len(whole(kind))


@pytest.mark.parametrize(("length", "damaged"), [(MAX_CAPLEN, False), (MAX_CAPLEN + 1, True)])
def test_the_largest_packet(length, damaged):
    content = pcap([(1, 0, bytes(length))])
    data = np.frombuffer(content, np.uint8)
    scan = PcapFormat(content[:HEADER_LENGTH], PLAIN, 1, CaptureNotes()).scan(
        data, HEADER_LENGTH, len(data), 0, 9
    )
    assert bool(scan.damage) == damaged
    assert len(scan.columns.offset) == (not damaged)
