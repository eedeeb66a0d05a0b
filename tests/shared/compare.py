"""Every frame of every capture in some folders, as we read it and as tshark does; one line a file.

    python -m tests.shared.compare ../shared/captures pcaps

Compared are the number of frames, their times to the nanosecond, the TCP and UDP stream numbers of each frame (several
where one frame holds several headers: tunnels, errors that quote a packet), and how often each protocol occurs.
Differences that ``frame_differences.yaml`` explains are named as such; exit status 1 when others are left. tshark runs
once for each file, with its default preferences.
"""

# ruff: noqa: T201 - a program: its output is its purpose
from __future__ import annotations

import argparse
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from forensics.capture import open_capture
from forensics.decode import Decoder
from forensics.errors import CaptureError
from forensics.flows.engine import FlowEngine

KNOWN = Path(__file__).with_name("frame_differences.yaml")
SUFFIXES = {".pcap", ".pcapng", ".cap", ".snoop", ".gz", ".xz", ".zst", ".lz4"}
FIELDS = ("frame.number", "frame.time_epoch", "tcp.stream", "udp.stream", "frame.protocols")
TRANSPORT = {6: "tcp", 17: "udp"}
QUOTED = ("tcp", "udp")
"""Layers of ``frame.protocols`` that are counted wherever they stand, in the quote of an ICMP error too."""
UNQUOTED = ("ip", "ipv6", "icmp", "icmpv6")
"""Layers that are counted up to the first ICMP header of a frame."""
LAYERS = (*QUOTED, "ip", "ipv6", "icmp")
"""What is compared; icmp is both versions."""


@dataclass
class Frames:
    """What one program says of a capture."""

    refused: str = ""
    """The sentence with which the file was refused."""
    times: list[int] = field(default_factory=list)
    """Nanoseconds since the epoch, frame by frame; 0 where the file gives none."""
    streams: dict[str, dict[int, list[int]]] = field(default_factory=lambda: {"tcp": {}, "udp": {}})
    """Protocol → frame → stream numbers, outer header first."""
    layers: Counter[str] = field(default_factory=Counter)
    """Protocol → how often it occurs, headers in tunnels and quoted ones included."""


def theirs(path: Path) -> Frames:
    """What tshark says."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"]
    command += [word for name in FIELDS for word in ("-e", name)]
    # Not what this user's own Wireshark is set to.
    plain = {**os.environ, "WIRESHARK_CONFIG_DIR": str(KNOWN.parent / "no-such-profile"), "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain, errors="replace")
    seen = Frames()
    for line in done.stdout.splitlines():
        number, epoch, tcp, udp, protocols = line.split("\t")
        seconds, _, fraction = epoch.partition(".")
        seen.times.append(int(seconds or 0) * 10**9 + int(fraction[:9].ljust(9, "0") or 0))
        assert int(number) == len(seen.times)
        for kind, streams in (("tcp", tcp), ("udp", udp)):
            if streams:
                seen.streams[kind][int(number)] = [int(stream) for stream in streams.split(",")]
        seen.layers.update(counted(protocols.split(":")))
    if not seen.times and done.returncode != 0:
        seen.refused = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "refused"
    return seen


def counted(layers: list[str]) -> list[str]:
    """What is counted of the layers of one frame."""
    first = next((place for place, layer in enumerate(layers) if layer in {"icmp", "icmpv6"}), len(layers))
    own = [layer.replace("icmpv6", "icmp") for layer in layers[: first + 1] if layer in UNQUOTED]
    return own + [layer for layer in layers if layer in QUOTED]


def ours(path: Path, **batches: int) -> Frames:
    """What we say."""
    seen, decoder, engine = Frames(), Decoder(), FlowEngine()
    try:
        with open_capture(path, **batches) as reader:
            for batch in reader:
                assert batch.first_frame == len(seen.times) + 1
                seen.times += batch.time.tolist()
                packets = decoder.decode(batch).packets
                if not len(packets):
                    continue
                flow = engine.add(packets).flow_by_frame
                stream = engine.conversations.flows["stream"][flow]
                for number, kind in TRANSPORT.items():
                    mine = np.flatnonzero(packets["proto"] == number)
                    seen.layers[kind] += len(mine)
                    for frame, value in zip(packets["frame"][mine], stream[mine], strict=True):
                        seen.streams[kind].setdefault(int(frame), []).append(int(value))
    except CaptureError as error:
        seen.refused = str(error)
    counts = decoder.counts
    for layer, value in (
        ("ip", counts.ipv4),
        ("ipv6", counts.ipv6),
        ("icmp", counts.icmp_errors + counts.icmp_other),
    ):
        seen.layers[layer] = value
    return seen


def ranges(frames: list[int]) -> str:
    """``1-3, 7``."""
    runs: list[list[int]] = []
    for frame in sorted(frames):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(f"{low}-{high}" if low < high else str(low) for low, high in runs)


def differences(mine: Frames, other: Frames) -> dict[str, dict[str, Any]]:
    """Check → what differs: the frames, or the two numbers."""
    found: dict[str, dict[str, Any]] = {}
    if bool(mine.refused) != bool(other.refused):
        found["refused"] = {"ours": bool(mine.refused), "tshark": bool(other.refused)}
    if len(mine.times) != len(other.times):
        found["frames"] = {"ours": len(mine.times), "tshark": len(other.times)}
    pairs = enumerate(zip(mine.times, other.times, strict=False), 1)
    wrong = [number for number, (a, b) in pairs if a != b]
    if wrong:
        found["time"] = {"frames": ranges(wrong)}
    for kind in ("tcp", "udp"):
        a, b = mine.streams[kind], other.streams[kind]
        wrong = [frame for frame in a.keys() | b.keys() if a.get(frame) != b.get(frame)]
        if wrong:
            found[f"{kind}_stream"] = {"frames": ranges(wrong)}
    for layer in LAYERS:
        if mine.layers[layer] != other.layers[layer]:
            found[f"{layer}_headers"] = {"ours": mine.layers[layer], "tshark": other.layers[layer]}
    return found


def example(check: str, mine: Frames, other: Frames, frames: str) -> str:
    """The two answers for the first frame of a difference."""
    first = int(re.split("[-,]", frames, maxsplit=1)[0])
    if check == "time":
        return f"frame {first}: forensics {mine.times[first - 1]}, tshark {other.times[first - 1]}"
    kind = check.removesuffix("_stream")
    a, b = (side.streams[kind].get(first, []) for side in (mine, other))
    return f"frame {first}: forensics {a}, tshark {b}"


def load_known() -> dict[str, dict[str, dict[str, Any]]]:
    """Capture → check → difference with its reason, which must be there."""
    known: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in yaml.safe_load(KNOWN.read_text()) or []:
        assert str(entry["reason"]).strip(), entry
        checks = known.setdefault(entry["capture"], {})
        assert entry["check"] not in checks, f"listed twice: {entry}"
        checks[entry["check"]] = {
            key: value for key, value in entry.items() if key not in {"capture", "check"}
        }
    return known


def unpacked(path: Path, folder: Path) -> Path:
    """tshark reads no xz, and neither do we."""
    if path.suffix != ".xz":
        return path
    plain = folder / path.stem
    plain.write_bytes(lzma.decompress(path.read_bytes()))
    return plain


def both(path: Path) -> tuple[Frames, Frames]:
    """Our view and tshark's."""
    with tempfile.TemporaryDirectory() as folder:
        plain = unpacked(path, Path(folder))
        return ours(plain), theirs(plain)


def verdict(name: str, mine: Frames, other: Frames) -> tuple[str, bool]:
    """One line on one file, and whether nothing in it is left unexplained."""
    known, found = load_known().get(name, {}), differences(mine, other)
    said = []
    good = True
    for check in sorted({*known, *found}):
        explained = {key: value for key, value in known.get(check, {}).items() if key != "reason"}
        if check in known and explained == found.get(check):
            said.append(f"{check}: {known[check]['reason']}")
            continue
        good = False
        if check not in found:
            said.append(f"{check}: DIFFERS NO MORE, take it out of {KNOWN.name}")
            continue
        values = ", ".join(f"{key} {value}" for key, value in found[check].items())
        if "frames" in found[check]:
            values += f" ({example(check, mine, other, found[check]['frames'])})"
        said.append(f"{check}: DIFFERENT: {values}")
    if mine.refused and other.refused:
        said.append("refused by both")
    return f"{name}: {len(mine.times)} frames: {'; '.join(said) or 'equal'}", good


def main() -> int:
    """Prints one line a file and a sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="folders with captures, or captures")
    files = []
    for given in parser.parse_args().folders:
        if not given.exists():
            print(f"{given}: not here, left out", file=sys.stderr)
        inside = [given] if given.is_file() else sorted(given.rglob("*"))
        root = given.parent if given.is_file() else given
        files += [(path, path.relative_to(root)) for path in inside if path.suffix in SUFFIXES]
    if shutil.which("tshark") is None:
        sys.exit("compare: tshark is missing: install it (Debian: apt-get install tshark)")
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (_, name), (mine, other) in zip(files, pool.map(both, [path for path, _ in files]), strict=True):
            line, good = verdict(str(name), mine, other)
            wrong += not good
            print(line, flush=True)
    print(f"{len(files)} captures compared with tshark, {wrong} with unexplained differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
