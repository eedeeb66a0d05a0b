"""A target for the second process: whatever a file holds, it must say what is said here."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forensics.decode.stream import open_packets
from forensics.errors import CaptureError
from tests.fuzz.invariants import check_sentence


def drawn(path: Path, *, aside: bool) -> list[Any]:
    """All tables with their payloads, then the error or what is known at the end."""
    seen: list[Any] = []
    try:
        with open_packets(path, batch_packets=7, aside=aside) as stream:
            for decoded in stream:
                rows = decoded.packets.to_dicts()
                for row in rows:
                    at = row.pop("payload_offset")
                    row["payload"] = decoded.data[at : at + row["payload_captured"]].tobytes()
                    row["src"], row["dst"] = (stream.decoder.book.text(row[end]) for end in ("src", "dst"))
                seen.append(rows)
    except CaptureError as error:
        check_sentence(str(error))
        return [*seen, str(error)]
    return [
        *seen,
        asdict(stream.notes),
        asdict(stream.decoder.counts),
        stream.decoder.first_time,
        stream.decoder.last_time,
    ]


def check_aside(raw: bytes) -> None:
    """Read in this process and in another."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture"
        path.write_bytes(raw)
        assert drawn(path, aside=True) == drawn(path, aside=False)
