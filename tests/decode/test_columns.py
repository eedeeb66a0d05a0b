"""The packet table: columns of one length and of the types that are written down, whatever it is made from."""

from __future__ import annotations

import numpy as np

from forensics.decode.columns import ABSENT, PACKET_COLUMNS, PacketTable


def types(table):
    return {name: values.dtype.type for name, values in table.columns.items()}


def test_what_is_not_given_is_absent():
    table = PacketTable({"frame": np.array([3, 4]), "proto": np.array([6, 17])})
    assert types(table) == PACKET_COLUMNS
    assert list(table.columns) == [
        "frame",
        "proto",
        *(n for n in PACKET_COLUMNS if n not in {"frame", "proto"}),
    ]
    for name in PACKET_COLUMNS.keys() - {"frame", "proto"}:
        assert table[name].tolist() == [ABSENT.get(name, 0)] * 2


def test_rows_by_order_and_by_name():
    table = PacketTable.of_rows([(1, 5, 6), {"frame": 2, "uid": 10_001}])
    assert types(table) == PACKET_COLUMNS
    first, second = table.to_dicts()
    assert (first["frame"], first["time"], first["proto"], first["uid"]) == (1, 5, 6, -1)
    assert (second["frame"], second["time"], second["uid"], second["icmp_type"]) == (2, 0, 10_001, -1)


def test_rows_are_chosen_by_mask_and_by_number():
    table = PacketTable.of_rows([(frame,) for frame in (7, 8, 9)])
    assert table.where(np.array([True, False, True]))["frame"].tolist() == [7, 9]
    assert table.where(np.array([2, 0]))["frame"].tolist() == [9, 7]
    assert types(table.where(np.zeros(3, dtype=bool))) == PACKET_COLUMNS


def test_no_rows():
    table = PacketTable.of_rows([])
    assert len(table) == 0
    assert table.to_dicts() == []
    assert types(table) == PACKET_COLUMNS
