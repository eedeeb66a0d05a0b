from __future__ import annotations

import hashlib
import os
import threading

import pytest

from forensics.capture import digest
from forensics.capture.digest import FileDigest


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, 3 * (1 << 20) + 17])
def test_the_whole_file_whatever_the_file_position(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as stream:
        stream.read(5)
        hashing = FileDigest(stream.fileno())
        assert hashing.result() == hashlib.sha256(content).hexdigest()
        assert stream.tell() == min(5, size)


def test_close_ends_the_thread_early(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    with path.open("rb") as stream:
        FileDigest(stream.fileno()).close()
    assert not [thread for thread in threading.enumerate() if thread.name == "capture-hash"]


def test_a_reader_far_ahead_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "LAG", 1 << 20)
    path = tmp_path / "file"
    path.write_bytes(bytes(8 << 20))
    with path.open("rb") as stream:
        hashing = FileDigest(stream.fileno())
        hashing.wait_near(8 << 20)
        assert hashing._position >= 7 << 20  # noqa: SLF001 - how far it came shows nowhere else
        hashing.wait_near(1 << 40)  # past the end: nothing more will be hashed, so nobody waits for it
        assert hashing.result() == hashlib.sha256(bytes(8 << 20)).hexdigest()


def test_a_descriptor_that_cannot_be_read_ends_the_hash(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    hashing = FileDigest(descriptor)
    hashing.wait_near(1 << 40)
    assert hashing.result() == hashlib.sha256(b"").hexdigest()
    hashing.close()
    os.close(descriptor)
