"""What must hold for every input, however broken: the only oracle that fuzzing has."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from forensics.capture import Batch, open_capture
from forensics.decode import PACKET_COLUMNS, Decoder
from forensics.errors import CaptureError

ADDRESSES = ("src", "dst", "icmp_from")
BY_BATCH = ("payload_offset", "tunnel", *ADDRESSES)
"""Columns whose numbers may depend on the batch; what they stand for may not."""


class Reader:
    """Decodes batches and keeps what must not depend on how they were cut."""

    def __init__(self) -> None:
        self.decoder = Decoder()
        self.rows: list[dict[str, Any]] = []
        self.frames = 0

    def take(self, batch: Batch) -> None:
        check_batch(batch, self.frames + 1)
        self.frames += len(batch)
        decoded = self.decoder.decode(batch)
        packets, data, book = decoded.packets, decoded.data, self.decoder.book
        assert set(packets.columns) == set(PACKET_COLUMNS)
        start, captured = packets["payload_offset"], packets["payload_captured"].astype(np.int64)
        # No row may point outside the data, nor claim more than there was on the wire.
        assert (start >= 0).all()
        assert (captured >= 0).all()
        assert (captured <= packets["payload_len"]).all()
        assert (start + captured <= len(data)).all()
        frame = packets["frame"]
        assert ((frame >= batch.first_frame) & (frame < batch.first_frame + len(batch))).all()
        assert (np.diff(frame) >= 0).all()
        tunnels = getattr(self.decoder, "tunnels", None)
        for row in packets.to_dicts():
            at, size = row["payload_offset"], row["payload_captured"]
            shown = {name: value for name, value in row.items() if name not in BY_BATCH}
            shown["payload"] = data[at : at + size].tobytes()
            for name in ADDRESSES:
                shown[name] = book.text(row[name]) if row[name] >= 0 else ""
            shown["tunnel"] = repr(tunnels[row["tunnel"]]) if tunnels and row["tunnel"] >= 0 else ""
            self.rows.append(shown)

    def check(self) -> None:
        """Every packet is accounted for, once."""
        counts = self.decoder.counts
        assert counts.packets == self.frames
        assert counts.explained == self.frames


def counted(decoder: Decoder) -> dict[str, Any]:
    """All counts; addresses as text, for the ids of IPv6 addresses depend on the batches."""
    counts = asdict(decoder.counts)
    counts["checksums"]["senders"] = {decoder.book.text(one) for one in decoder.counts.checksums.senders}
    return counts


def check_batch(batch: Batch, first_frame: int) -> None:
    """A batch is never empty, counts its frames without gaps, and stays inside its data."""
    assert len(batch) > 0
    assert batch.first_frame == first_frame
    assert (batch.offset >= 0).all()
    assert (batch.caplen >= 0).all()
    assert (batch.offset + batch.caplen <= len(batch.data)).all()
    assert {len(column) for column in (batch.caplen, batch.wirelen, batch.time, batch.linktype)} == {
        len(batch)
    }


def check_frames(frames: list[bytes], linktype: int) -> None:
    """The invariants for raw frames: together, and each in a batch of its own."""
    if not frames:
        return
    batch = batch_of(frames, linktype)
    together, alone = Reader(), Reader()
    together.take(batch)
    for number in range(len(frames)):
        one = slice(number, number + 1)
        parts = ("offset", "caplen", "wirelen", "time", "linktype", "interface")
        alone.take(
            replace(
                batch,
                first_frame=batch.first_frame + number,
                **{name: getattr(batch, name)[one] for name in parts},
            )
        )
    together.check()
    alone.check()
    assert alone.rows == together.rows
    assert counted(alone.decoder) == counted(together.decoder)


def batch_of(frames: list[bytes], linktype: int) -> Batch:
    """Frames one behind the other, without a gap: a read beyond the end of one meets the next."""
    caplen = np.array([len(frame) for frame in frames], np.int64)
    count = len(frames)
    return Batch(
        data=np.frombuffer(b"".join(frames), np.uint8),
        first_frame=1,
        offset=np.cumsum(caplen) - caplen,
        caplen=caplen,
        wirelen=caplen + np.arange(count) % 3 * 40,
        time=1_700_000_000_000_000_000 + np.arange(count, dtype=np.int64) * 1_000_000,
        linktype=np.full(count, linktype, np.int32),
        interface=np.zeros(count, np.int32),
    )


def read(*paths: Path, **limits: int) -> tuple[Reader, dict[str, Any]] | str:
    """Everything that the files hold, or ``refused``."""
    reader = Reader()
    try:
        with open_capture(paths, **limits) as capture:
            for batch in capture:
                reader.take(batch)
            notes = capture.notes
    except CaptureError as error:
        check_sentence(str(error))
        return "refused"
    reader.check()
    assert notes.packets == reader.frames
    check_sentence(notes.damage)
    return reader, asdict(notes)


def check_sentence(text: str) -> None:
    """One line that a terminal can show."""
    assert all(character.isprintable() for character in text), ascii(text)


def check_file(*raws: bytes) -> None:
    """The invariants for a capture of one or more files: read in one batch, and packet by packet from small windows."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(raws))]
        for path, raw in zip(paths, raws, strict=True):
            path.write_bytes(raw)
        whole = read(*paths)
        for limits in ({"batch_packets": 1}, {"batch_packets": 2, "batch_bytes": 61}):
            pieces = read(*paths, **limits)
            if isinstance(whole, str) or isinstance(pieces, str):
                assert whole == pieces
                continue
            assert pieces[0].rows == whole[0].rows
            assert counted(pieces[0].decoder) == counted(whole[0].decoder)
            assert pieces[1] == whole[1]
