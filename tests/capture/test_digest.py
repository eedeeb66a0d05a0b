from __future__ import annotations

import hashlib
import os
import threading
import time

import pytest

from forensics.capture import digest
from forensics.capture.digest import FileDigest


def digest_of(path):
    """A digest of an open file, and the file; both are closed by whoever calls."""
    stream = path.open("rb")
    return FileDigest(stream.fileno(), path.stat().st_size), stream


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, 3 * (1 << 20) + 17])
def test_the_whole_file_whatever_the_file_position(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    path = tmp_path / "file"
    path.write_bytes(content)
    with path.open("rb") as stream:
        stream.read(5)
        hashing = FileDigest(stream.fileno(), size)
        assert hashing.result() == hashlib.sha256(content).hexdigest()
        assert stream.tell() == min(5, size)


def test_close_ends_the_thread_early(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    hashing, stream = digest_of(path)
    with stream:
        hashing.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "capture-hash"]


def test_the_thread_gets_through_by_itself(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    hashing, stream = digest_of(path)
    with stream:
        until = time.monotonic() + 30
        while hashing._position < 3 << 20 and time.monotonic() < until:  # noqa: SLF001 - how far it came shows nowhere else
            time.sleep(0.01)
        assert hashing._position == 3 << 20  # noqa: SLF001
        assert hashing.result() == hashlib.sha256(bytes(3 << 20)).hexdigest()


def test_a_reader_far_ahead_hashes_itself_what_is_late(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "LAG", 1 << 20)
    monkeypatch.setattr(FileDigest, "_run", lambda _: None)  # a thread that never gets a turn
    path = tmp_path / "file"
    content = os.urandom(8 << 20)
    path.write_bytes(content)
    hashing, stream = digest_of(path)
    with stream:
        hashing.follow(1 << 20)
        assert hashing._position == 0  # noqa: SLF001
        hashing.follow(8 << 20)
        assert hashing._position == 7 << 20  # noqa: SLF001
        hashing.follow(1 << 40)  # past the end: there is no more to hash
        assert hashing.result() == hashlib.sha256(content).hexdigest()


def test_what_is_added_after_the_end_was_read_is_not_hashed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    hashing, stream = digest_of(path)
    with stream:
        with path.open("ab") as growing:
            growing.write(b", second")
        hashing.follow(len(b"first, second"))
        with path.open("ab") as growing:
            growing.write(b", third")
        assert hashing.result(len(b"first, second")) == hashlib.sha256(b"first, second").hexdigest()


def test_many_turns_between_two_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "_CHUNK", 64)
    monkeypatch.setattr(digest, "LAG", 100)
    path = tmp_path / "file"
    content = os.urandom(200_000)
    path.write_bytes(content)
    hashing, stream = digest_of(path)
    with stream:
        for position in range(0, len(content), 999):
            hashing.follow(position)
        assert hashing.result(len(content)) == hashlib.sha256(content).hexdigest()


def test_a_descriptor_that_cannot_be_read_ends_the_hash(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    hashing = FileDigest(descriptor, 5)
    hashing.follow(1 << 40)
    assert hashing.result() == hashlib.sha256(b"").hexdigest()
    hashing.close()
    os.close(descriptor)
