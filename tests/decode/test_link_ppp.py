from __future__ import annotations

import pytest

from tests.decode.build import decode
from tests.decode.link_cases import FOUR, SIX, eth, pppoe


@pytest.mark.parametrize("linktype", [9, 50, 166])
@pytest.mark.parametrize("protocol", ["0021", "21"])
@pytest.mark.parametrize("address", ["", "ff03"])
def test_every_way_to_write_the_header(linktype, protocol, address):
    rows, _ = decode(bytes.fromhex(address + protocol) + FOUR, linktype=linktype)
    assert [row["payload"] for row in rows] == [b"hello"]


@pytest.mark.parametrize(
    "raw", [b"", b"\x00", b"\xff\x03", b"\xff\x03\x00", b"\x0f\x00\x08", b"\x00\x31\x00"]
)
def test_a_cut_header_is_counted(raw):
    _, counts = decode(raw, linktype=9)
    assert counts.bad_link_header == 1


def test_a_length_beyond_what_was_captured_reads_what_is_there():
    rows, _ = decode(eth(0x8864, pppoe(b"\x00\x57" + SIX, 900)))
    assert [row["payload"] for row in rows] == [b"hello"]


@pytest.mark.parametrize("raw", ["", "18", "1841", "184103", "184103 00", "18410380000000"])
def test_a_cut_header_of_frame_relay_is_counted(raw):
    _, counts = decode(bytes.fromhex(raw), linktype=107)
    assert counts.bad_link_header == 1
