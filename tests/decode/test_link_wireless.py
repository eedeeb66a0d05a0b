from __future__ import annotations

import pytest

from forensics.decode.counts import DecodeCounts
from forensics.decode.link import find_network
from forensics.decode.link_wireless import MAX_PRESENT_WORDS, MAX_SUBFRAMES
from tests.decode.build import batch_of, decode
from tests.decode.link_cases import DATA, FOUR, aggregate, llc, radiotap, wifi


@pytest.mark.parametrize(
    ("raw", "linktype"),
    [
        (b"\x08", 105), (DATA[:23], 105), (wifi(b"", "8801"), 105), (wifi(b"", "0803"), 105),
        (wifi(b"", "8801", behind="8000") + bytes(13), 105), (bytes(7), 127), (radiotap(b"\x08", 0), 127),
        (bytes(7), 192), (b"\x44\0\0\0" + bytes(139), 119), (bytes.fromhex("80211001000000"), 163),
    ],
)  # fmt: skip
def test_a_cut_header_is_counted(raw, linktype):
    rows, counts = decode((raw, linktype), (FOUR, 101), gap=DATA)
    assert [row["frame"] for row in rows] == [2]
    assert counts.bad_link_header == 1


def test_as_many_subframes_as_are_followed():
    rows, counts = decode(aggregate(*[llc()] * (MAX_SUBFRAMES + 1)), linktype=105)
    assert len(rows) == MAX_SUBFRAMES
    assert counts.link_depth_limit == 1
    assert counts.aggregated == MAX_SUBFRAMES


def test_encrypted_frames_are_counted_apart():
    secret = wifi(llc(), "0841")
    rows, counts = decode(secret, radiotap(secret), DATA, linktype=105)
    assert [row["frame"] for row in rows] == [3]
    assert counts.encrypted_wifi == 1  # the second one is radiotap's first bytes, which are no data frame
    assert counts.not_ip == 1


def test_flags_that_the_header_has_no_room_for_are_not_read():
    """The byte in their place is the frame's."""
    rows, _ = decode(radiotap(DATA, 2, size=8), (radiotap(b"\x08" + DATA[1:], 2, size=8), 127), linktype=127)
    assert [row["payload"] for row in rows] == [b"hello", b"hello"]


@pytest.mark.parametrize("behind", [b"", bytes(4)], ids=len)
def test_a_checksum_is_not_payload(behind):
    raw = radiotap(DATA + behind, 2, fields=b"\x10" if behind else b"\0")
    found = find_network(batch_of(raw, linktype=127), DecodeCounts())
    assert found.wire_length.tolist() == [len(FOUR)]
    assert (found.end - found.start).tolist() == [len(FOUR)]


@pytest.mark.parametrize(("words", "padded"), [(MAX_PRESENT_WORDS, True), (MAX_PRESENT_WORDS + 1, False)])
def test_as_many_present_words_as_are_followed(words, padded):
    """Behind more of them the flags are not looked for, and the padding they announce is taken for the packet."""
    raw = radiotap(
        wifi(bytes(2) + llc(), "8801", behind="0000"),
        1 << 31 | 2,
        *[1 << 31] * (words - 1),
        0,
        fields=b"\x20",
    )
    rows, counts = decode(raw, linktype=127)
    assert (len(rows), counts.not_ip) == (padded, not padded)


def test_a_checksum_that_was_not_captured_takes_no_payload():
    raw = radiotap(DATA, 2, fields=b"\x10")
    found = find_network(batch_of((raw, 127, len(raw) + 4)), DecodeCounts())
    assert (found.end - found.start).tolist() == [len(FOUR)]


def test_a_packet_of_an_aggregate_ends_before_the_next_one():
    found = find_network(batch_of(aggregate(llc(), llc()), linktype=105), DecodeCounts())
    assert (found.end - found.start).tolist() == [len(FOUR)] * 2
