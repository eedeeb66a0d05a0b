from __future__ import annotations

import gzip
import struct

import lz4.frame
import pytest
import zstandard

from forensics.capture import open_capture
from forensics.capture.formats import COMPRESSIONS, CONTAINERS, compression
from forensics.capture.source import Peeking
from forensics.errors import CaptureError
from tests.capture.build import pcap, rich_pcapng
from tests.capture.build_more import snoop
from tests.capture.read import read_bytes

PACKETS = [(i, i, bytes([i]) * i) for i in range(1, 40)]
PACK = {"gzip": gzip.compress, "zstd": zstandard.compress, "lz4": lz4.frame.compress}
CONTENT = {"pcap": pcap(PACKETS), "pcapng": rich_pcapng(), "snoop": snoop(PACKETS)}


class Bytes:
    """A source in memory that gives as much as is asked for, but never more than ``most`` at once."""

    def __init__(self, content, most=1 << 30):
        self.damage = ""
        self.position = 0
        self._content = content
        self._most = most

    def read_into(self, target):
        filled = 0
        while filled < len(target):
            piece = self._content[self.position : self.position + min(self._most, len(target) - filled)]
            if not piece:
                break
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
            self.position += len(piece)
        return filled


def test_every_format_that_is_listed_is_tested():
    assert {container.name for container in CONTAINERS} == set(CONTENT)
    assert {packed.name for packed in COMPRESSIONS} == set(PACK)


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("name", CONTENT)
def test_every_container_in_every_compression(tmp_path, name, packed):
    plain, _ = read_bytes(tmp_path, CONTENT[name])
    packets, notes = read_bytes(tmp_path, PACK[packed](CONTENT[name]))
    assert packets == plain
    assert len(plain) > 1
    assert (notes.file_type, notes.damage) == (f"{name}+{packed}", "")
    assert notes.bytes_read == len(CONTENT[name])


@pytest.mark.parametrize("inner", PACK)
@pytest.mark.parametrize("outer", PACK)
def test_compressed_twice_is_refused(tmp_path, inner, outer):
    path = tmp_path / "twice"
    path.write_bytes(PACK[outer](PACK[inner](CONTENT["pcap"])))
    with pytest.raises(CaptureError, match=rf"twice: is compressed twice, and {inner} is the inner one"):
        open_capture(path)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\x02\x21\x4c\x18", "legacy"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh9", "bzip2"),
        (b"PK\x03\x04", "zip"),
        (b"\xa1\xb2\x34\xcd", "variant"),
        (b"\x1c\x00\x01\xac", "Ixia"),
        (b"\xa1\x2b\x3c\x4d", "Navtel"),
        (b"hello", "no capture"),
        (b"\0", "no capture"),
        (b"\xd4\xc3\xb2\xa1\x02\0", "cut short"),
        (b"\x0a\x0d\x0d\x0a", "cut short"),
        (b"snoop\0\0\0", "cut short"),
        (b"", "empty"),
    ],
)
def test_what_is_refused_says_what_it_is_and_what_to_do(tmp_path, head, says):
    path = tmp_path / "x"
    path.write_bytes(head + (b"" if says in {"cut short", "empty"} else bytes(40)))
    with pytest.raises(CaptureError) as caught:
        open_capture(path)
    assert says in str(caught.value)
    assert ": " in str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", PACK)
def test_a_compressed_header_cut_short_is_damage_of_the_compression(tmp_path, name):
    path = tmp_path / "x"
    path.write_bytes(PACK[name](CONTENT["pcap"])[:12])
    with pytest.raises(
        CaptureError, match=rf"x: {name} data ends early.*before any packet: get a whole copy"
    ):
        open_capture(path)


def test_skippable_frames_come_before_what_is_packed():
    skippable = struct.pack("<II", 0x184D2A5F, 9) + b"nine bytes"[:9]
    for name in ("zstd", "lz4"):
        head = skippable * 3 + PACK[name](b"x")
        assert compression(Peeking(Bytes(head))).name == name
    assert compression(Peeking(Bytes(skippable))) is None
    far = struct.pack("<II", 0x184D2A50, 0xFFFFFFFF) + PACK["zstd"](b"x")
    assert compression(Peeking(Bytes(far))) is None
