from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture.pcapng_options import DamageError, PacketOptions, read_options, text_of
from tests.capture import wireshark
from tests.capture.build import interface, option, section
from tests.capture.build_pcapng import END, comment, dropcount, flags, old_packet_with, packet, raw_option

U32, U64 = struct.pack("<I", 1), struct.pack("<Q", 1)
PEN = struct.pack("<I", 62652)
# options of a packet, and whether Wireshark 4.0 refuses the packet for them
CASES = {
    "flags": (flags(1) + END, False),
    "no-end": (flags(1), False),
    "flags-of-2": (option(2, b"ab") + END, True),
    "flags-of-8": (option(2, U64) + END, True),
    "flags-twice": (flags(1) + flags(2) + END, False),
    "dropcount": (dropcount(3) + END, False),
    "dropcount-of-4": (option(4, U32) + END, True),
    "packetid-of-4": (option(5, U32) + END, True),
    "queue": (option(6, U32) + END, False),
    "queue-of-8": (option(6, U64) + END, True),
    "verdict": (option(7, b"\0") + END, False),
    "verdict-of-0": (option(7, b"") + END, True),
    "hash-of-0": (option(3, b"") + END, False),
    "unknown": (option(999, b"abc") + END, False),
    "comment": (comment("hello") + END, False),
    "comment-empty": (comment("") + END, False),
    "comment-not-utf8": (comment(b"\xff\xfe") + END, False),
    "runs-out": (raw_option(1, 100, b"abcd"), True),
    "runs-out-later": (flags(1) + comment("x") + raw_option(1, 0xFFFF), True),
    "no-room-for-padding": (raw_option(1, 3), True),
    "end-with-length": (raw_option(0, 8, b"abcdefgh"), False),
    "end-that-runs-out": (raw_option(0, 100), True),
    "junk-behind-end": (END + raw_option(1, 100), False),
    "custom": (option(2988, PEN + b"hello") + END, False),
    "custom-short": (option(2988, b"ab") + END, True),
    "custom-binary-short": (option(2989, b"abc") + END, True),
    "custom-no-copy-short": (option(19372, b"") + END, True),
    "custom-binary-no-copy-short": (option(19373, b"abc") + END, True),
}


def of(*lists, order="<", pad=0):
    """PacketOptions over some option lists, with ``pad`` plain ones before them so that array code reads them."""
    full = [flags(3, order)] * pad + list(lists)
    data = b"....".join(full)
    sizes = np.array([len(item) for item in full], np.int64)
    start = np.concatenate([[0], np.cumsum(sizes + 4)[:-1]]).astype(np.int64)
    return PacketOptions(np.frombuffer(data, np.uint8), start, start + sizes, order)


@pytest.mark.parametrize("pad", [0, 40], ids=["few", "many"])
@pytest.mark.parametrize("name", CASES)
def test_what_breaks_a_packet(name, pad):
    options, broken = CASES[name]
    found = of(flags(1), options, flags(2), pad=pad)
    assert (found.bad < pad + 3, bool(found.damage)) == (broken, broken)
    if broken:
        assert found.bad == pad + 1


def test_wireshark_refuses_the_same_packets(tshark, tmp_path):
    files = {}
    for name, (options, broken) in CASES.items():
        for kind, broken_packet in (
            ("new", packet(b"abcde", options)),
            ("old", old_packet_with(b"abcde", options)),
        ):
            path = tmp_path / f"{name}-{kind}"
            path.write_bytes(section() + interface() + packet() + broken_packet + packet())
            files[path] = (1, True) if broken else (3, False)
    assert wireshark.counts(tshark, list(files)) == files


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pad", [0, 40], ids=["few", "many"])
def test_what_packets_say(order, pad):
    end = option(0, b"", order)
    lists = [
        flags(1, order) + end,
        flags(2, order) + comment("u-10123", order) + end,
        comment("u-10123", order),
        comment("seen", order) + flags(0x1FE, order) + comment("twice", order),
        comment("u--1", order) + dropcount(7, order),
        comment("u-99999999999", order),
        comment("u-", order) + dropcount((1 << 40) + 1, order) + dropcount(9, order),
        comment("u-12x", order) + comment("u-5", order),
        comment("u-2147483647", order),
        comment("u-2147483648", order),
        flags(1, order) + flags(2, order),
        b"",
        comment(b"with\0nul", order),
    ]
    found = of(*lists, order=order, pad=pad)
    assert found.bad == pad + len(lists)
    mine = slice(pad, None)
    assert found.direction[mine].tolist() == [1, 2, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found.uid[mine].tolist() == [-1, 10123, 10123, -1, -1, -1, -1, 5, 2**31 - 1, -1, -1, -1, -1]
    assert found.lost[mine].tolist() == [0, 0, 0, 0, 7, 0, (1 << 40) + 1, 0, 0, 0, 0, 0, 0]
    assert found.counts_losses[mine].nonzero()[0].tolist() == [4, 6]
    expected = {3: "seen\ntwice", 5: "u-99999999999", 6: "u-", 7: "u-12x", 9: "u-2147483648", 12: "with"}
    assert found.comments(100) == {pad + row: text for row, text in expected.items()}
    assert found.comments(2) == {pad + row: expected[row] for row in (3, 5)}


@st.composite
def option_lists(draw):
    parts = draw(
        st.lists(
            st.one_of(
                st.sampled_from([flags(1), flags(2), END, dropcount(5), comment("u-12"), comment("hi")]),
                st.builds(option, st.sampled_from([1, 2, 4, 7, 2988, 9]), st.binary(max_size=20)),
                st.builds(raw_option, st.integers(0, 7), st.integers(0, 30), st.binary(max_size=12)),
            ),
            max_size=9,
        )
    )
    joined = b"".join(parts)
    return joined[: len(joined) & ~3]


@settings(max_examples=200)
@given(st.lists(option_lists(), min_size=1, max_size=5))
def test_array_code_and_the_loop_agree(lists):
    few, many = of(*lists), of(*lists, pad=20)
    good = min(few.bad, len(lists))
    assert (many.bad - 20, many.damage) == (few.bad, few.damage)
    for name in ("direction", "uid", "lost", "counts_losses", "commented"):
        assert getattr(many, name)[20 : 20 + good].tolist() == getattr(few, name)[:good].tolist()
    assert {row - 20: text for row, text in many.comments(99).items()} == few.comments(99)


@settings(max_examples=60)
@given(st.lists(option_lists(), min_size=1, max_size=3))
def test_wireshark_stops_at_the_same_packet(tshark, tmp_path_factory, lists):
    path = tmp_path_factory.mktemp("options") / "c"
    path.write_bytes(section() + interface() + b"".join(packet(b"abc", options) for options in lists))
    found = of(*lists)
    assert wireshark.counts(tshark, [path])[path] == (found.bad, found.bad < len(lists))


def test_a_flood_of_options_is_read_once_and_kept_short():
    found = of(comment("") * 100_000 + comment("u-7") + flags(1))
    assert (found.uid.tolist(), found.direction.tolist()) == ([7], [1])
    assert len(found.comments(1)[0]) <= 1000
    assert len(of(comment("x" * 65_000)).comments(1)[0]) == 1000


def test_options_as_a_list():
    block = memoryview(option(2, b"eth0") + option(3, b"") + END + option(2, b"late"))
    assert read_options(block, "<", 0, len(block)) == [(2, b"eth0"), (3, b"")]
    for broken in (raw_option(2, 9, b"12345678"), raw_option(0, 1), option(2988, b"abc"), b"ab"):
        with pytest.raises(DamageError):
            read_options(memoryview(broken), "<", 0, len(broken))


def test_text_is_short_and_ends_at_the_first_nul():
    assert text_of("grüße".encode() + b"\0rest") == "grüße"
    assert text_of(b"\xffabc") == "\ufffdabc"
    assert text_of("ü".encode() * 2000) == "ü" * 1000
    assert text_of(b"\x1b[2J" * 1000) == "\x1b[2J" * 250
