from __future__ import annotations

import io
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture import open_capture
from forensics.capture.write import PcapngWriter, WrittenInterface, WrittenPacket

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
interfaces = st.lists(
    st.builds(WrittenInterface, st.sampled_from([1, 101, 113]), texts, texts, st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=3,
)


@st.composite
def packets(draw):
    known = draw(interfaces)
    return draw(
        st.lists(
            st.builds(
                WrittenPacket,
                interface=st.sampled_from(known),
                time=st.integers(0, 9 * 10**18),  # the year 2255; the reader holds no time beyond 2262
                wirelen=st.integers(0, 70_000),
                data=st.binary(max_size=90),
                comment=texts.filter(lambda text: not text.startswith("u-")),
                direction=st.integers(0, 2),
            ),
            max_size=12,
        )
    )


def write(path: Path, written, application: str = "") -> Path:
    with path.open("wb") as stream:
        writer = PcapngWriter(stream, application)
        for packet in written:
            writer.write(packet)
    return path


@given(packets(), texts)
@settings(max_examples=80)
def test_what_is_written_is_read_back(tmp_path_factory, written, application):
    path = write(tmp_path_factory.mktemp("written") / "out.pcapng", written, application)
    read = []
    with open_capture(path) as reader:
        for batch in reader:
            for row in range(len(batch)):
                start = int(batch.offset[row])
                data = batch.data[start : start + int(batch.caplen[row])].tobytes()
                said = reader.notes.interface_list[int(batch.interface[row])]
                assert said.linktype == int(batch.linktype[row])
                interface = WrittenInterface(said.linktype, said.name, said.description, said.snaplen)
                direction = 0 if batch.direction is None else int(batch.direction[row])
                comment = reader.notes.comments.get(batch.first_frame + row, "")
                times = int(batch.time[row]), int(batch.wirelen[row])
                read.append(WrittenPacket(interface, *times, data, comment, direction))
    assert reader.notes.damage == ""
    assert reader.notes.application == application
    whole = [
        (p.interface, p.time, max(p.wirelen, len(p.data)), p.data, p.comment, p.direction) for p in written
    ]
    assert [(p.interface, p.time, p.wirelen, p.data, p.comment, p.direction) for p in read] == whole


def test_nothing_written_is_a_capture_of_nothing(tmp_path):
    with open_capture(write(tmp_path / "c", [])) as reader:
        assert list(reader) == []
    assert (reader.notes.damage, reader.notes.interfaces) == ("", 0)


def test_texts_are_cut_and_times_before_1970_are_1970(tmp_path):
    interface = WrittenInterface(1, "n" * 70_000, "d\0e")
    packet = WrittenPacket(interface, -5, 1, b"x", "ü" * 70_000)
    with open_capture(write(tmp_path / "c", [packet])) as reader:
        (batch,) = reader
    assert batch.time.tolist() == [0]
    assert reader.notes.comments == {1: "ü" * 1000}
    assert reader.notes.interface_list[0].name == "n" * 1000
    assert reader.notes.interface_list[0].description == "d e"
    assert reader.notes.damage == ""


def test_wireshark_reads_the_same(tshark: str, tmp_path: Path) -> None:
    wifi = WrittenInterface(101, "wlan0", "drahtlos", 96)
    wire = WrittenInterface(1, "eth0: \x1b[31m", "", 0)
    start = 1_500_000_000_123_456_789
    ip = bytes.fromhex("45000014") + bytes(16)
    path = write(
        tmp_path / "out.pcapng",
        [
            WrittenPacket(wifi, start, 1500, ip, "häßlich; ok", 2),
            WrittenPacket(wire, start + 999_999_999, 60, bytes(60), "second"),
            WrittenPacket(wifi, start + 1, 0, ip, "", 1),
            WrittenPacket(wifi, 0, 20, ip),
        ],
        "forensics",
    )
    fields = [
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.encap_type",
        "frame.comment",
        "frame.interface_name",
        "frame.interface_description",
        "frame.packet_flags_direction",
    ]
    command = [tshark, "-r", str(path), "-n", "-T", "fields"]
    command += [word for name in fields for word in ("-e", name)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("\t") for line in out] == [
        ["1500000000.123456789", "1500", "20", "7", "häßlich; ok", "wlan0", "drahtlos", "0x00000002"],
        ["1500000001.123456788", "60", "60", "1", "second", "eth0: \x1b[31m", "", ""],
        ["1500000000.123456790", "20", "20", "7", "", "wlan0", "drahtlos", "0x00000001"],
        ["0.000000000", "20", "20", "7", "", "wlan0", "drahtlos", ""],
    ]
    capinfos = [tshark.removesuffix("tshark") + "capinfos", "-F", str(path)]
    told = subprocess.run(capinfos, capture_output=True, text=True, check=True).stdout
    assert "Capture application: forensics" in told


def test_an_interface_is_described_once_before_its_first_packet() -> None:
    stream = io.BytesIO()
    writer = PcapngWriter(stream)
    first = stream.tell()
    for interface in (WrittenInterface(1), WrittenInterface(1, "a"), WrittenInterface(1)):
        writer.write(WrittenPacket(interface, 0, 4, b"data"))
    kinds, content, at = [], stream.getvalue(), first
    while at < len(content):
        kinds.append(content[at])
        at += int.from_bytes(content[at + 4 : at + 8], "little")
    assert kinds == [1, 6, 1, 6, 6]
