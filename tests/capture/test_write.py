from __future__ import annotations

import io
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.capture.write import CommentedPacket, write_pcapng

packets = st.builds(
    CommentedPacket,
    linktype=st.sampled_from([1, 101, 113]),
    time=st.integers(0, 9 * 10**18),  # the year 2255; the reader holds no time beyond 2262
    wirelen=st.integers(0, 70_000),
    data=st.binary(max_size=90),
    comment=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
)


@given(st.lists(packets, max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("written") / "out.pcapng"
    with path.open("wb") as stream:
        assert write_pcapng(stream, [1, 101, 113], written) == len(written)
    read = []
    with open_capture(path) as reader:
        for batch in reader:
            for row in range(len(batch)):
                start = int(batch.offset[row])
                data = batch.data[start : start + int(batch.caplen[row])].tobytes()
                read.append((int(batch.linktype[row]), int(batch.time[row]), int(batch.wirelen[row]), data))
        assert reader.notes.damage == ""
    assert read == [(p.linktype, p.time, max(p.wirelen, len(p.data)), p.data) for p in written]


def test_wireshark_reads_times_lengths_and_comments(tshark: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    write_pcapng(
        stream,
        [1, 101],
        [
            CommentedPacket(
                101, 1_500_000_000_123_456_789, 1500, bytes.fromhex("45000014") + bytes(16), "häßlich; ok"
            ),
            CommentedPacket(1, 1_500_000_001_000_000_001, 60, bytes(60), "second"),
        ],
    )
    path = tmp_path / "out.pcapng"
    path.write_bytes(stream.getvalue())
    fields = ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.encap_type", "frame.comment"]
    command = [
        tshark,
        "-r",
        str(path),
        "-n",
        "-T",
        "fields",
        *(word for name in fields for word in ("-e", name)),
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("\t") for line in out] == [
        ["1500000000.123456789", "1500", "20", "7", "häßlich; ok"],
        ["1500000001.000000001", "60", "60", "1", "second"],
    ]
