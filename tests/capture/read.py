"""Draws a whole capture as a list of plain packets."""

from __future__ import annotations

from forensics.capture import open_capture


def read(path, **sizes):
    """(packets, notes); a packet is (frame, time, linktype, wirelen, bytes)."""
    packets = []
    with open_capture(path, **sizes) as reader:
        batches = list(reader)
    # Only now are the bytes looked at: a batch must outlive those drawn after it.
    for batch in batches:
        for i in range(len(batch)):
            at, size = int(batch.offset[i]), int(batch.caplen[i])
            data = batch.data[at : at + size].tobytes()
            assert len(data) == size
            packets.append(
                (
                    batch.first_frame + i,
                    int(batch.time[i]),
                    int(batch.linktype[i]),
                    int(batch.wirelen[i]),
                    data,
                )
            )
    return packets, reader.notes


def read_bytes(tmp_path, content, **sizes):
    path = tmp_path / "capture"
    path.write_bytes(content)
    return read(path, **sizes)
