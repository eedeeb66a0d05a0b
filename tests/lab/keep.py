"""Keep runs of the laboratory as cases of the corpus: the client's capture, and what must be said of it.

``python -m tests.lab.keep [--folder build/lab] [SCENARIO …]`` writes ``pcaps/lab-SCENARIO``. What is expected comes
from the scenario, the middlebox's truth, the ledger of what the client did, and tshark: nothing of the code under
test has a hand in it. A run that was not what it says is not kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.lab import run, session, truth
from tests.lab.middlebox import truth_of
from tests.lab.scenario import CLIENT, Conversation, Scenario
from tests.lab.scenarios import every

KEPT: Final[Mapping[str, str]] = {
    "benign-everything-near": "",
    "benign-names-round-robin": "",
    "benign-server-resets-on-hello": "",
    "dns-injection-race": "dns.inject.race",
    "dns-injection-two-answers": "dns.inject.race",
    "sni-drop-hello": "tls.sni.drop",
    "sni-reset-both-sides": "tls.sni.reset",
    "sni-reset-ipv6": "tls.sni.reset",
    "sni-reset-three-copies-far": "tls.sni.reset",
}
"""What is kept, and the rule that must see it: empty where none may."""
CORPUS: Final = run.ROOT / "pcaps"
LARGEST: Final = 100_000
"""Captures above that are cut: the first packets of each flow stay whole, of the others only the headers."""
WHOLE: Final = 9
HEADERS: Final = 76
STARTTLS: Final = frozenset({143, 587})
"""Ports where TLS begins in the midst of a conversation; such hellos are listed apart."""
SOURCE: Final = "recorded by tests/lab"
_FILE_HEADER: Final = 24
_RECORD_HEADER: Final = 16


class Row(NamedTuple):
    """What tshark says of one packet's hello, or of its question."""

    frame: int
    tcp: str
    udp: str
    sni: str
    qname: str
    qtype: str
    dns_id: str
    response: str


def keep(scenario: Scenario, folder: Path, corpus: Path = CORPUS) -> Path:
    """Write one run into the corpus; ValueError when the run was not what it says."""
    recorded = folder / f"{CLIENT}.pcapng"
    stopped, ledger = session.ledger_of(folder)
    events = truth_of(folder / "truth.ndjson")
    captures = {end: truth.read(folder / f"{end}.pcapng") for end in ("client", "server")}
    broken = run.outcome(scenario, ledger) + truth.check(captures, events, stopped)
    if broken:
        raise ValueError("; ".join(broken))
    target = corpus / f"lab-{scenario.name}"
    target.mkdir(exist_ok=True)
    capture = target / "capture.pcap"
    # pcapng would tell of the machine that recorded it
    subprocess.run(["editcap", "-F", "nsecpcap", str(recorded), str(capture)], check=True)
    cut = capture.stat().st_size > LARGEST
    if cut:
        capture.write_bytes(cut_short(capture.read_bytes(), captures[CLIENT]))
    expect = expected(scenario, ledger, events, captures[CLIENT], rows_of(capture), cut=cut)
    text = yaml.safe_dump(expect, sort_keys=False, width=110, allow_unicode=True)
    (target / "expect.yaml").write_text(text, encoding="utf-8")
    return target


def cut_short(pcap: bytes, capture: truth.Capture) -> bytes:
    """The same packets; of those that come late in their flow, only the headers, and the true length beside them."""
    kept = [pcap[:_FILE_HEADER]]
    seen: dict[truth.Key | None, int] = {}
    at = _FILE_HEADER
    for frame in capture.frames:
        head = pcap[at : at + _RECORD_HEADER]
        length = int.from_bytes(head[8:12], "little")
        data = pcap[at + _RECORD_HEADER : at + _RECORD_HEADER + length]
        at += _RECORD_HEADER + length
        seen[frame.key] = seen.get(frame.key, 0) + 1
        if seen[frame.key] > WHOLE:
            data = data[:HEADERS]
        kept += [head[:8], len(data).to_bytes(4, "little"), head[12:], data]
    return b"".join(kept)


def rows_of(capture: Path) -> list[Row]:
    """Packets with a server's name, a question or an answer, by tshark."""
    fields = (
        "frame.number", "tcp.stream", "udp.stream", "tls.handshake.extensions_server_name", "dns.qry.name",
        "dns.qry.type", "dns.id", "dns.flags.response", "icmp.type",
    )  # fmt: skip
    words = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-n", "-r", str(capture), "-o", "tcp.reassemble_out_of_order:TRUE", "-T", "fields"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    cells = [line.split("\t") for line in done.stdout.splitlines()]
    # an ICMP error quotes what the client had already got and did not wait for
    return [Row(int(row[0]), *row[1:-1]) for row in cells if (row[3] or row[4]) and not row[-1]]


def expected(  # noqa: PLR0913 - all that is known of one run
    scenario: Scenario, ledger: Sequence[Conversation], events: Iterable[Mapping[str, Any]],
    capture: truth.Capture, rows: Sequence[Row], *, cut: bool,
) -> dict[str, Any]:  # fmt: skip
    """The content of expect.yaml."""
    about = scenario.about
    if cut:
        about += f" After the first {WHOLE} packets of each flow, only {HEADERS} bytes of each are kept."
    later = {str(frame.stream) for frame in capture.frames if frame.key and frame.key[4] in STARTTLS}
    hellos: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for row in rows:
        if row.sni and row.tcp:
            one = {"frame": row.frame, "stream": int(row.tcp), "sni": row.sni}
            hellos[row.tcp in later].append(one)
    return {
        "description": about,
        "source": SOURCE,
        "capture": "capture.pcap",
        "pair": None,
        "packets": len(capture.frames),
        "findings": findings(scenario, ledger, events, capture, rows),
        "verdicts": [],
        "must_not": [{"signature": "*", "level": "likely"}],
        "sni": hellos[False],
        **({"starttls": hellos[True]} if hellos[True] else {}),
        "dns": look_ups(rows),
    }


def findings(
    scenario: Scenario, ledger: Sequence[Conversation], events: Iterable[Mapping[str, Any]],
    capture: truth.Capture, rows: Sequence[Row],
) -> list[dict[str, Any]]:  # fmt: skip
    """One row for each conversation that was interfered with: its hello or query, and what was forged to the client."""
    streams = {key: stream for (_, stream), key in capture.streams().items()}
    forged = {event["packet"] for event in events if event["event"] == "forged" and event["to"] == CLIENT}
    made = []
    for expect in scenario.expect:
        for one in ledger:
            if one.label not in expect.labels or CLIENT not in expect.ends:
                continue
            key = (one.proto, one.client, one.client_port, one.server, one.server_port)
            stream = streams[key]
            asked = [
                row.frame
                for row in rows
                if (row.tcp if one.proto == "tcp" else row.udp) == str(stream)
                and row.response not in {"1", "True"}
            ]
            role, answer = ("client_hello", "reset") if one.proto == "tcp" else ("query", "response")
            frames = [{"frame": frame, "role": role} for frame in asked]
            frames += [
                {"frame": frame.number, "role": answer}
                for frame in capture.frames
                if frame.key == key and frame.digest in forged
            ]
            made.append(
                {
                    "signature": KEPT[scenario.name],
                    "mechanism": expect.mechanism,
                    "min_level": expect.level,
                    "target": one.name,
                    "subjects": [{"proto": one.proto, "stream": stream}],
                    "frames_include": frames,
                }
            )
    return made


def look_ups(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Questions with all their answers, in the order in which they were asked."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        if not row.qname:
            continue
        one = found.setdefault(
            (row.udp, row.tcp, row.dns_id, row.qname, row.qtype),
            {
                "qname": row.qname,
                "qtype": {"1": "A", "28": "AAAA"}.get(row.qtype, row.qtype),
                "stream": int(row.udp or row.tcp),
                "query_frames": [],
                "response_frames": [],
            },
        )
        one["response_frames" if row.response in {"1", "True"} else "query_frames"].append(row.frame)
    return list(found.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Keep what the command line names, or all that is kept."""
    parser = argparse.ArgumentParser(prog="keep", description="Keep runs as cases of the corpus.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", choices=[*KEPT, []])
    parser.add_argument("--folder", type=Path, default=run.FOLDER, help="where the runs are (build/lab)")
    options = parser.parse_args(argv)
    for name in options.scenarios or KEPT:
        try:
            print(keep(every()[name], options.folder / name))  # noqa: T201 - a program
        except (OSError, ValueError) as error:
            print(f"keep: {name}: {error}", file=sys.stderr)  # noqa: T201 - a program
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
