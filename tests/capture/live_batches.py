"""Batches as live capture makes them, without a socket."""

from __future__ import annotations

import numpy as np

from forensics.capture.batch import Batch, CaptureNotes, InterfaceNotes


def notes(*names):
    listed = [InterfaceNotes(name=name, linktype=1, resolution=9) for name in names]
    return CaptureNotes(file_type="live", interface_list=listed, interfaces=len(listed))


def batch(packets, first_frame=1, gap=0):
    """Each packet is (time, bytes), with more items for interface, link type, direction and wire length."""
    full = []
    for packet in packets:
        usual = (0, 0, 0, 1, 1, len(packet[1]))
        full.append((*packet, *usual[len(packet) :]))
    data, offset = b"", []
    for _, raw, *_ in full:
        data += bytes(gap)
        offset.append(len(data))
        data += raw
    column = [list(values) for values in zip(*full, strict=True)]
    return Batch(
        data=np.frombuffer(data, dtype=np.uint8),
        first_frame=first_frame,
        offset=np.array(offset, dtype=np.int64),
        caplen=np.array([len(raw) for raw in column[1]], dtype=np.int64),
        wirelen=np.array(column[5], dtype=np.int64),
        time=np.array(column[0], dtype=np.int64),
        linktype=np.array(column[3], dtype=np.int32),
        interface=np.array(column[2], dtype=np.int32),
        direction=np.array(column[4], dtype=np.int8),
    )
