"""Packet tables come out the same wherever they are made, and a process of its own is started only where it pays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forensics.decode.aside import PacketsAside
from forensics.decode.stream import WORTH_A_PROCESS, PacketsHere, open_packets
from forensics.errors import CaptureError

CAPTURE = Path("pcaps/demo-whatsapp-2017/capture.pcap")


def test_small_files_are_read_here():
    with open_packets(str(CAPTURE)) as stream:
        assert isinstance(stream, PacketsHere)
        assert sum(len(decoded.packets) for decoded in stream) == stream.decoder.counts.packets


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: nothing is read aside")
def test_large_files_are_read_aside(tmp_path):
    path = tmp_path / "large.pcap"
    with path.open("wb") as file:
        file.write(CAPTURE.read_bytes())
        file.truncate(WORTH_A_PROCESS)
    for paths in (str(path), [str(path)], path):
        with open_packets(paths) as stream:
            assert isinstance(stream, PacketsAside)
    path.write_bytes(CAPTURE.read_bytes())
    with open_packets([str(path), str(CAPTURE)]) as stream:
        assert isinstance(stream, PacketsHere)


def test_pipes_are_read_here(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(descriptor, CAPTURE.read_bytes()[:60_000])
        with open_packets(str(tmp_path / "pipe")) as stream:
            assert isinstance(stream, PacketsHere)
    finally:
        os.close(descriptor)


def test_what_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(CaptureError, match="cannot be opened"):
        open_packets(str(tmp_path / "nothing"))
