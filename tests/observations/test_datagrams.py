from __future__ import annotations

import numpy as np

from forensics.decode.columns import PacketTable
from forensics.flows.engine import FlowEngine
from forensics.observations.datagrams import HEAD_BYTES, datagrams


def packet(frame: int, proto: int, payload: tuple[int, int]) -> dict[str, int]:
    offset, length = payload
    return {
        "frame": frame, "time": frame, "proto": proto, "src": 1, "dst": 2, "sport": 1000, "dport": 2000,
        "payload_offset": offset, "payload_len": length + 5, "payload_captured": length,
    }  # fmt: skip


def test_only_datagrams_with_payload_and_no_byte_of_a_neighbour():
    data = np.arange(1, 101, dtype=np.uint8)
    rows = [packet(1, 6, (0, 10)), packet(2, 17, (10, 4)), packet(3, 17, (20, 0)), packet(4, 17, (30, 60))]
    batch = FlowEngine().add(PacketTable.of_rows(rows))
    found = datagrams(batch, data)
    assert len(found) == 2
    assert batch.column["frame"][found.rows].tolist() == [2, 4]
    assert found.head[0].tolist() == [11, 12, 13, 14] + [0] * (HEAD_BYTES - 4)
    assert found.head[1].tolist() == list(range(31, 31 + HEAD_BYTES))
    assert found.captured.tolist() == [4, 60]
    assert found.length.tolist() == [9, 65]
