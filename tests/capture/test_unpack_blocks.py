from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys

import lz4.block
import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture.source import Peeking
from forensics.capture.unpack_blocks import Lz4Bytes, ZstdBytes, lz4_prefix
from tests.capture.build import pcap
from tests.capture.read import read_bytes
from tests.capture.test_formats import Bytes

NOISE = b"".join(hashlib.sha256(b"%d" % i).digest() * 3 for i in range(8000))
SKIPPED = struct.pack("<II", 0x184D2A53, 5) + b"hello"
MAKE = {
    "zstd": lambda content: zstandard.ZstdCompressor(level=1).compress(content),
    "zstd-checksum": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
    "zstd-unknown-size": lambda content: zstandard.ZstdCompressor(write_content_size=False).compress(content),
    "lz4": lz4.frame.compress,
    "lz4-linked-4mb": lambda content: lz4.frame.compress(content, block_size=lz4.frame.BLOCKSIZE_MAX4MB),
    "lz4-checksums": lambda content: lz4.frame.compress(content, content_checksum=True, block_checksum=True),
    "lz4-independent": lambda content: lz4.frame.compress(content, block_linked=False, store_size=False),
}


def unpack(name, packed, piece=1 << 16):
    """(unpacked, damage), asked for in pieces of a size."""
    stored = Bytes(packed)
    reader = (ZstdBytes if name.startswith("zstd") else Lz4Bytes)(Peeking(stored), stored)
    seen = io.BytesIO()
    target = bytearray(piece)
    while count := reader.read_into(memoryview(target)):
        seen.write(target[:count])
    return seen.getvalue(), reader.damage


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("piece", [997, 1 << 16, 1 << 24])
def test_frames_one_after_another_and_what_is_to_be_skipped(name, piece):
    make = MAKE[name]
    packed = make(NOISE) + SKIPPED + make(b"") + make(b"second") + SKIPPED
    assert unpack(name, packed, piece) == (NOISE + b"second", "")


def test_blocks_of_one_repeated_byte_and_stored_ones():
    header = b"\x28\xb5\x2f\xfd\x00\x50"  # a window of 1 MiB
    repeated = (100_000 << 3 | 1 << 1).to_bytes(3, "little") + b"r"
    stored = (3 << 3 | 1).to_bytes(3, "little") + b"end"
    assert unpack("zstd", header + repeated * 50 + stored) == (b"r" * 5_000_000 + b"end", "")


@pytest.mark.parametrize("name", MAKE)
def test_every_cut_gives_the_blocks_before_it_and_says_so(name):
    content = NOISE[:300_000]
    packed = MAKE[name](content)
    before = 0
    for cut in [*range(4, 60), *range(60, len(packed), 7919), *range(len(packed) - 9, len(packed))]:
        seen, damage = unpack(name, packed[:cut])
        assert content.startswith(seen)
        assert len(seen) >= before
        before = len(seen)
        assert damage == f"{name.split('-')[0]} data ends early, at stored byte {cut}"
    assert before > 100_000


@pytest.mark.parametrize("name", MAKE)
@settings(max_examples=60)
@given(at=st.integers(4, 2000), value=st.integers(1, 255), piece=st.sampled_from([64, 4096]))
def test_changed_bytes_give_damage_or_other_bytes_at_any_size(name, at, value, piece):
    packed = bytearray(MAKE[name](NOISE[:3000]))
    packed[at % len(packed)] ^= value
    seen, damage = unpack(name, bytes(packed), piece)
    assert (seen, damage) == unpack(name, bytes(packed), 1 << 20)
    assert damage.isprintable()


@pytest.mark.parametrize("size", [70, 3000, 200_000])
@pytest.mark.parametrize("block_size", [lz4.frame.BLOCKSIZE_MAX64KB, lz4.frame.BLOCKSIZE_MAX4MB])
def test_an_lz4_file_that_is_cut_gives_nearly_all_that_it_holds(size, block_size):
    content = b"".join(hashlib.sha256(b"%d" % i).digest()[:5] * 2 for i in range(size))
    packed = lz4.frame.compress(content, block_size=block_size)
    for part in (0.3, 0.6, 0.99):
        cut = int(len(packed) * part)
        seen, damage = unpack("lz4", packed[:cut])
        assert content.startswith(seen)
        assert "ends early" in damage
        # as much as half as many stored bytes give, at the least
        assert len(seen) > len(content) * part / 2 - 40


@settings(max_examples=150)
@given(
    content=st.lists(st.binary(max_size=40) | st.sampled_from([b"a" * 300, b"abcd" * 90]), max_size=12).map(
        b"".join
    ),
    window=st.binary(max_size=70),
    cut=st.integers(0, 400),
)
def test_a_cut_lz4_block_gives_the_beginning_of_what_the_library_makes_of_it(content, window, cut):
    block = lz4.block.compress(window[:33] + content + window, store_size=False, dict=window)
    whole = window[:33] + content + window
    assert lz4_prefix(block, window, 1 << 20) == whole
    assert whole.startswith(lz4_prefix(block[:cut], window, 1 << 20))
    assert lz4_prefix(block, window, 17) == whole[:17]


@given(block=st.binary(max_size=200), window=st.binary(max_size=20), most=st.integers(0, 5000))
def test_any_bytes_as_an_lz4_block_are_bounded(block, window, most):
    assert len(lz4_prefix(block, window, most)) <= most


@pytest.mark.parametrize("name", ["zstd-checksum", "lz4-checksums"])
def test_a_wrong_checksum_costs_no_byte(name):
    content = b"plain" * 10
    packed = bytearray(MAKE[name](content))
    packed[-1] ^= 1
    seen, damage = unpack(name, bytes(packed))
    assert (seen, "is corrupt" in damage) == (content, True)


@pytest.mark.parametrize("name", ["zstd", "lz4"])
@pytest.mark.parametrize("junk", [b"garbage", bytes(20), b"\x01", gzip.compress(b"x")])
def test_junk_behind_the_last_frame_costs_no_byte(name, junk):
    packed = MAKE[name](NOISE)
    seen, damage = unpack(name, packed + junk)
    assert (seen, damage) == (
        NOISE,
        f"{name} data is followed by garbage, before stored byte {len(packed + junk)}",
    )


def zstd_frame(*, window=0x00, flags=0x00, rest=b""):
    return b"\x28\xb5\x2f\xfd" + bytes([flags]) + (b"" if flags & 0x20 else bytes([window])) + rest


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (zstd_frame(window=0x89), "needs a window of 144 MiB where 128 are allowed (unpack it with 'zstd"),
        (zstd_frame(window=21 << 3), "needs a window of 2048 MiB"),
        (zstd_frame(window=0xFF), "impossible window"),
        (zstd_frame(flags=0xE0, rest=(1 << 40).to_bytes(8, "little")), "impossible window"),
        (zstd_frame(flags=0xA0, rest=(1 << 30).to_bytes(4, "little")), "needs a window of 1024 MiB"),
        (zstd_frame(flags=0x01, rest=b"\x07"), "needs a dictionary"),
        (zstd_frame(flags=0x03, rest=b"\0\0\0\1"), "needs a dictionary"),
        (zstd_frame(flags=0x08), "reserved bit"),
        (zstd_frame(rest=(3 << 1).to_bytes(3, "little")), "impossible block"),
        (zstd_frame(rest=(0x1FFFFF << 3).to_bytes(3, "little")), "impossible block"),
    ],
)
def test_what_a_zstd_header_must_not_ask_for(packed, says):
    seen, damage = unpack("zstd", packed + bytes(100))
    assert seen == b""
    assert damage.startswith("zstd data ")
    assert says in damage


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (b"\x04\x22\x4d\x18\x61\x40" + bytes(9), "needs a dictionary"),
        (b"\x04\x22\x4d\x18\x20\x40" + bytes(9), "unknown version"),
        (b"\x04\x22\x4d\x18\x60\x40\x00" + bytes(9), "is corrupt"),  # its header checksum is not 0
        (lz4.frame.compress(b"x")[:15] + b"\xff\xff\xff\x7f" + bytes(99), "impossible block"),
    ],
)
def test_what_an_lz4_header_must_not_ask_for(packed, says):
    seen, damage = unpack("lz4", packed)
    assert seen == b""
    assert damage.startswith("lz4 data ")
    assert says in damage


def test_a_dictionary_of_the_library_is_named():
    samples = [NOISE[i : i + 300] for i in range(0, 200_000, 300)]
    packed = zstandard.ZstdCompressor(dict_data=zstandard.train_dictionary(2000, samples)).compress(
        NOISE[:999]
    )
    assert "needs a dictionary" in unpack("zstd", packed)[1]


@pytest.mark.parametrize("name", sorted({*MAKE} - {"lz4-linked-4mb"}))
@pytest.mark.parametrize("batch_bytes", [500, 1 << 20])
def test_packets_before_corrupt_data_are_the_same_at_any_batch_size(tmp_path, name, batch_bytes):
    bodies = [hashlib.sha256(b"%d" % i).digest() * 30 for i in range(700)]
    packed = MAKE[name](pcap([(i, i, body) for i, body in enumerate(bodies)]))
    bad = packed[:-900] + b"\xff" * 900
    packets, notes = read_bytes(tmp_path, bad, batch_bytes=batch_bytes)
    assert name.split("-")[0] in notes.damage
    assert notes.sha256 == hashlib.sha256(bad).hexdigest()
    # all blocks before the broken one, of 64 or 128 KiB
    assert len(packets) > 500
    assert [packet[4] for packet in packets[:500]] == bodies[: min(500, len(packets))]
    assert packets == read_bytes(tmp_path, bad)[0]


def test_the_libraries_are_loaded_only_for_what_needs_them():
    code = "import sys, forensics.capture; print(*({'zstandard', 'lz4', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
