"""A second process reads and decodes: the same tables, notes and errors as here, and nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from forensics.capture import BATCH_BYTES
from forensics.decode.aside import PacketsAside
from forensics.decode.columns import PACKET_COLUMNS
from forensics.decode.stream import PacketsHere
from forensics.errors import CaptureError

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="no memory to share by descriptor here"
)
CAPTURES = [
    next(Path("pcaps", case).glob("capture.*")) for case in ("demo-whatsapp-2017", "phone-trailer-root")
]


def drawn(stream):
    """Everything that can be seen of a stream; payloads stand for offsets, which depend on the memory at hand."""
    tables, payloads = [], []
    with stream:
        for decoded in stream:
            packets = decoded.packets
            tables.append({name: packets[name].copy() for name in PACKET_COLUMNS if name != "payload_offset"})
            for start, size in zip(packets["payload_offset"], packets["payload_captured"], strict=True):
                payloads.append(decoded.data[start : start + size].tobytes())
    columns = {name: np.concatenate([table[name] for table in tables]).tolist() for name in tables[0]}
    decoder = stream.decoder
    addresses = {number: decoder.book.text(number) for number in columns["src"] + columns["dst"]}
    said = (
        stream.notes,
        stream.decoder.first_time,
        stream.decoder.last_time,
        stream.size,
        decoder.counts,
        decoder.phone,
    )
    return columns, payloads, addresses, said


@pytest.mark.parametrize("paths", [*[[path] for path in CAPTURES], CAPTURES], ids=["one", "phone", "two"])
@pytest.mark.parametrize("packets", [37, 1 << 18])
def test_all_is_as_it_is_here(paths, packets):
    assert drawn(PacketsAside(paths, BATCH_BYTES, packets)) == drawn(PacketsHere(paths, BATCH_BYTES, packets))


def test_memory_is_used_again():
    with PacketsAside(CAPTURES[0], 4096, 10) as stream:
        mapped = [stream.mapped for _ in stream]
    assert len(mapped) > 20 > max(mapped)


def test_ipv6_addresses_come_along():
    names = [
        path for path in sorted(Path("pcaps").glob("*/capture.*")) if "v6" in path.parent.name
    ] or CAPTURES
    assert drawn(PacketsAside(names[0], BATCH_BYTES, 5)) == drawn(PacketsHere(names[0], BATCH_BYTES, 5))


def test_refusals_are_said_here(tmp_path):
    path = tmp_path / "no.pcap"
    path.write_bytes(b"this is no capture")
    with PacketsAside(path, BATCH_BYTES, 10) as stream, pytest.raises(CaptureError, match=r"no\.pcap: "):
        list(stream)


def test_damage_is_noted_here(tmp_path):
    path = tmp_path / "cut.pcap"
    path.write_bytes(CAPTURES[0].read_bytes()[:-3])
    with PacketsAside(path, BATCH_BYTES, 10) as stream:
        assert sum(len(decoded.packets) for decoded in stream)
    assert "ends inside the record" in stream.notes.damage
    assert stream.notes.sha256


def test_nobody_stays_when_the_reader_leaves_early():
    with PacketsAside(CAPTURES[0], 4096, 10) as stream:
        next(iter(stream))
        process = stream.process
    assert process.returncode is not None
    assert not stream.notes.sha256


def test_the_end_of_the_other_process_is_an_error_in_one_line():
    with PacketsAside(CAPTURES[0], 4096, 10) as stream:
        tables = iter(stream)
        next(tables)
        stream.process.send_signal(signal.SIGKILL)
        with pytest.raises(CaptureError, match="ended early") as caught:
            list(tables)
    assert "\n" not in str(caught.value)


def test_no_descriptor_is_left_open():
    gc.collect()  # what the tests before left
    before = len(list(Path("/proc/self/fd").iterdir()))
    drawn(PacketsAside(CAPTURES[0], BATCH_BYTES, 10))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_ctrl_c_reaches_only_the_first_process():
    """A terminal sends it to the whole group, and the second process may just be starting."""
    with PacketsAside(CAPTURES[0], 4096, 10) as stream:
        assert os.getpgid(stream.process.pid) != os.getpgrp()
        list(stream)
