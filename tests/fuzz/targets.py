"""What is fuzzed: for each target how to run bytes, and valid inputs to begin with."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dpkt
from rich.console import Console

from forensics.analysis import Analysis, analyze_capture
from forensics.errors import CaptureError
from forensics.report.json_format import dump_json
from forensics.report.text import text_report
from tests.capture import build, build_more, build_pcapng
from tests.conftest import REPO_ROOT, SHARED_CAPTURES
from tests.fuzz.aside import check_aside
from tests.fuzz.frames import (
    INNER,
    LINKS,
    TUNNELS,
    fragment_seeds,
    fragments,
    link_seeds,
    nested_seeds,
    outer,
    tunnel_seeds,
)
from tests.fuzz.invariants import check_file, check_frames, check_sentence
from tests.fuzz.messages import MESSAGES
from tests.fuzz.protocols import PARSERS

ETHERNET = 1
SMALL = 12_000
"""Bytes of a seed, at most: mutations of larger ones rarely hit a header."""


@dataclass(frozen=True)
class Target:
    """Bytes in; an exception when an invariant does not hold."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    examples: int = 120
    """How many the ordinary tests try."""


def framed(packets: list[bytes]) -> bytes:
    """Frames as one byte string: a 16-bit length before each."""
    return b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def unframed(raw: bytes) -> list[bytes]:
    """The frames of such a string; the last one may be cut, lengths modulo 2 KB keep them many."""
    packets = []
    while len(raw) > 2:
        size = struct.unpack(">H", raw[:2])[0] & 0x7FF
        packets.append(raw[2 : 2 + size])
        raw = raw[2 + size :]
    return packets


def link_target(linktype: int) -> Target:
    """Frames of one link type."""

    def run(raw: bytes) -> None:
        check_frames(unframed(raw), linktype)

    def seeds() -> list[bytes]:
        packets = link_seeds(linktype)
        packets += phone_packets() if linktype == ETHERNET else []
        return [framed(packets), *(framed([packet]) for packet in packets)]

    return Target(run, seeds)


def tunnel_target(kind: str) -> Target:
    """What a tunnel carries, behind headers that announce it."""

    def run(raw: bytes) -> None:
        check_frames(outer(kind, raw[:60_000]), ETHERNET)

    return Target(run, lambda: tunnel_seeds(kind) + nested_seeds(kind))


def packets_for_files() -> list[bytes]:
    """Ethernet frames with something in them."""
    return link_seeds(ETHERNET)


def pcap_seeds() -> list[bytes]:
    """Both byte orders and resolutions, cut packets, an unknown link type, none."""
    packets = [(1_700_000_000 + i, i * 1000, data) for i, data in enumerate(packets_for_files())]
    cut = [(1, 2, packets_for_files()[0][:40], 74)]
    return [
        build.pcap(packets),
        build.pcap(packets, ">"),
        build.pcap(packets, nano=True),
        build.pcap(cut, snaplen=40),
        build.pcap(packets, linktype=147),
        build.pcap([]),
        build_more.patched(packets),
        build.pcap([(1, 2, data) for data in phone_packets()]),
        *from_disk("pcap"),
    ]


def pcapng_seeds() -> list[bytes]:
    """Both byte orders, two interfaces, all packet blocks, blocks that are none."""
    seeds = []
    for order in ("<", ">"):
        one = build.section(order) + build.interface(order) + build.interface(order, resolution=9, offset=5)
        for number, data in enumerate(packets_for_files()):
            one += build.enhanced(data, 1_700_000_000_000_000 + number, order, number=number % 2)
        one += build.simple(packets_for_files()[0], order) + build.block(0xBAD, bytes(20), order)
        seeds += [one, one + one, described(order)]
    return [*seeds, *from_disk("pcapng")]


def described(order: str) -> bytes:
    """A capture with everything that pcapng can say of it besides its packets."""
    told = build_pcapng
    data = packets_for_files()[0]
    options = told.comment("u-10123", order) + told.comment("seen", order) + told.flags(1, order)
    return b"".join([
        told.section_with(told.comment("made by hand", order) + build.option(4, b"dumpcap", order), order),
        told.interface_with(build.option(2, b"wlan0", order) + told.END, order, snaplen=96),
        told.packet(data, options + told.dropcount(3, order) + told.END, order),
        told.old_packet_with(data, told.comment("old", order), order, drops=2),
        told.names((1, bytes([192, 0, 2, 1]) + b"name.example\0"), (2, bytes(16) + b"six\0"), order=order),
        told.secrets(0x544C534B, b"CLIENT_RANDOM 00 00", order),
        told.uid_map(10123, b"org.example", b"Example", order),
        told.statistics({4: 10, 5: 1}, order),
    ])  # fmt: skip


def phone_packets() -> list[bytes]:
    """Frames with the trailer in which PCAPdroid names the app (see forensics.decode.pcapdroid)."""
    packets = []
    for inner in INNER:
        frame = bytes(12) + (b"\x86\xdd" if inner[0] >> 4 == 6 else b"\x08\x00") + inner
        trailer = struct.pack(">Ii20s4x", 0x01072021, 10123, b"Example")
        packets.append(frame + bytes(-len(frame) % 4) + trailer)
    return packets


def snoop_seeds() -> list[bytes]:
    """RFC 1761."""
    packets = [(1_700_000_000, number, data) for number, data in enumerate(packets_for_files())]
    return [build_more.snoop(packets), build_more.snoop(packets, drops=2, datalink=9), build_more.snoop([])]


def check_several(raw: bytes) -> None:
    """Two files as one capture: the first begins with its length."""
    if len(raw) < 2:
        return
    size = struct.unpack(">H", raw[:2])[0]
    check_file(raw[2 : 2 + size], raw[2 + size :])


def several_seeds() -> list[bytes]:
    """One after the other, overlapping in time, of two formats, and the same twice."""
    early = build.pcap([(10 + 2 * i, 0, data) for i, data in enumerate(packets_for_files())])
    between = build.pcap([(11 + 2 * i, 0, data) for i, data in enumerate(packets_for_files())], nano=True)
    late = build.pcap([(90 + i, 0, data) for i, data in enumerate(packets_for_files())], ">")
    pairs = [(early, late), (late, early), (early, between), (early, described("<")), (early, early)]
    return [struct.pack(">H", len(first)) + first + second for first, second in pairs]


def compressed_seeds() -> list[bytes]:
    """gzip in one and two members; zstd and lz4 where their libraries are installed."""
    plain = pcap_seeds()[0]
    half = len(plain) // 2
    seeds = [
        gzip.compress(plain, mtime=0),
        gzip.compress(plain[:half], mtime=0) + gzip.compress(plain[half:], mtime=0),
        gzip.compress(plain + bytes(4_000), mtime=0),
    ]
    try:
        import zstandard  # noqa: PLC0415 - not every installation has it

        seeds.append(zstandard.compress(plain))
        seeds.append(zstandard.compress(plain[:half]) + zstandard.compress(plain[half:]))
    except ImportError:
        pass
    try:
        import lz4.frame  # noqa: PLC0415 - the same

        seeds.append(lz4.frame.compress(plain))
    except ImportError:
        pass
    return seeds


def from_disk(suffix: str) -> list[bytes]:
    """Small captures of the corpus, and real ones where they are."""
    folders = [REPO_ROOT / "pcaps", SHARED_CAPTURES]
    files = [path for folder in folders for path in sorted(folder.glob(f"*/*.{suffix}"))]
    return [path.read_bytes() for path in files if path.stat().st_size <= SMALL]


def check_analysis(raw: bytes) -> None:
    """The whole way to both reports: no exception but CaptureError, and nothing a terminal would obey."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture"
        path.write_bytes(raw)
        try:
            whole = analyze_capture(str(path))
        except CaptureError as error:
            check_sentence(str(error))
            return
        for line in as_text(whole).split("\n"):
            check_sentence(line)
        assert as_json(analyze_capture(str(path), batch_packets=1)) == as_json(whole)


def as_json(analysis: Analysis) -> str:
    """The report for programs."""
    stream = io.StringIO()
    dump_json(analysis, stream)
    return stream.getvalue()


def as_text(analysis: Analysis) -> str:
    """The report for people, without colours."""
    stream = io.StringIO()
    text_report(analysis, Console(file=stream, width=100, color_system=None))
    return stream.getvalue()


def analysis_seeds() -> list[bytes]:
    """Captures with TLS, DNS and interference in them."""
    cases = ("sni-reset-late-server-hello", "dns-race-df-differs", "hostile-dns-loop", "hostile-lengths")
    chosen = [REPO_ROOT / "pcaps" / case / "capture.pcap" for case in cases]
    return [path.read_bytes() for path in chosen] + from_disk("pcap")


def check_packets(raw: bytes) -> None:
    """The same for frames in a file that is whole: what is broken is inside the packets."""
    packets = [(1_700_000_000, 50_000 * number, data) for number, data in enumerate(unframed(raw)[:200])]
    check_analysis(build.pcap([(at + micro // 10**6, micro % 10**6, data) for at, micro, data in packets]))


def packet_seeds() -> list[bytes]:
    """The first packets of every case of the corpus that is a pcap of Ethernet frames."""
    seeds = []
    for path in sorted((REPO_ROOT / "pcaps").glob("*/capture.pcap")):
        with path.open("rb") as file:
            reader = dpkt.pcap.Reader(file)
            if reader.datalink() == ETHERNET:
                seeds.append(framed([data[:2_047] for _, data in itertools.islice(reader, 100)]))
    return seeds


TARGETS: dict[str, Target] = {
    "pcap": Target(check_file, pcap_seeds),
    "pcapng": Target(check_file, pcapng_seeds),
    "snoop": Target(check_file, snoop_seeds),
    "compressed": Target(check_file, compressed_seeds),
    "several": Target(check_several, several_seeds),
    **{f"link-{linktype}": link_target(linktype) for linktype in LINKS},
    **{f"tunnel-{kind}": tunnel_target(kind) for kind in TUNNELS},
    "fragments": Target(lambda raw: check_frames(fragments(raw), ETHERNET), fragment_seeds),
    **{name: Target(run, load) for name, (run, load) in MESSAGES.items()},
    **{
        f"message-{name}": Target(run, lambda valid=valid: list(valid))
        for name, (run, valid) in PARSERS.items()
    },
    "second-process": Target(
        check_aside, lambda: pcap_seeds()[:6] + pcapng_seeds()[:6] + compressed_seeds(), examples=10
    ),
    "analyze-packets": Target(check_packets, packet_seeds, examples=8),
    "analyze": Target(check_analysis, analysis_seeds, examples=8),
}
"""By name."""
