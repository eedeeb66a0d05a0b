"""The protocol of every flow of the real captures, held against nDPI's verdict.

``protocol_differences.yaml`` says where we differ and why; a difference that is not listed fails, and so does a listed
one that is no more.
"""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from forensics.analysis import analyze_capture
from forensics.observations.collect import PROTOCOLS
from forensics.observations.media import MediaCollector
from tests.conftest import NO_SHARED, SHARED_CAPTURES

KNOWN = Path(__file__).parent / "protocol_differences.yaml"
TRUTH = SHARED_CAPTURES / "truth" / "ndpi"
TOO_LARGE = {"tcp/ndpi_synscan.pcap"}
"""Bare SYNs to 2,000 ports: nDPI guesses each by its port."""
WITH_CALLS = ("voice/", "apps/ndpi_line", "apps/ndpi_wa_voice")
"""Captures whose flows are named by how their media behaves."""
OURS = {
    "dropbox": "dropbox-lan",
    "spotify": "spotify-connect",
    "imaps": "tls",
    "applepush": "tls",
    "ftp_control": "ftp",
    "srtp": "rtp",
    "smbv23": "smb",
    "telegram": "telegram-call",
}
"""nDPI's words for what we call otherwise; below the first dot of its word stands what is carried."""
CAPTURES = sorted(str(path.relative_to(TRUTH)).removesuffix(".json") for path in TRUTH.rglob("*.json"))


def end(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return str(ipaddress.ip_address(host.strip("[]"))), int(port)


def ndpi_words(capture: str) -> dict[Any, str]:
    """Transport and both ends of each flow → nDPI's word for its outermost protocol."""
    found = {}
    for flow in json.loads((TRUTH / f"{capture}.json").read_text())["flows"]:
        if flow["l4"] not in ("TCP", "UDP"):
            continue
        word = flow["proto"].split(".")[0].lower()
        found[flow["l4"].lower(), tuple(sorted([end(flow["a"]), end(flow["b"])]))] = OURS.get(word, word)
    return found


def known_differences() -> dict[str, dict[str, int]]:
    """Capture → ``nDPI's word: our word`` → how many flows."""
    known: dict[str, dict[str, int]] = {}
    for entry in yaml.safe_load(KNOWN.read_text()):
        assert str(entry["reason"]).strip(), entry
        known.setdefault(entry["capture"], {}).update({entry["ndpi_ours"]: entry["flows"]})
    return known


def test_the_list_names_captures() -> None:
    if not TRUTH.is_dir():
        pytest.skip(NO_SHARED)
    assert set(known_differences()) - set(CAPTURES) == set()


@pytest.mark.parametrize("capture", [name for name in CAPTURES if name not in TOO_LARGE] or [None])
def test_protocols_against_ndpi(capture: str | None) -> None:
    if capture is None:
        pytest.skip(NO_SHARED)
    if capture.startswith(WITH_CALLS) and MediaCollector not in PROTOCOLS:
        pytest.skip("nothing follows calls")
    truth = ndpi_words(capture)
    analysis = analyze_capture(str(SHARED_CAPTURES / capture))
    columns = ["proto", "client", "client_port", "server", "server_port", "protocol"]
    found: Counter[str] = Counter()
    for proto, client, client_port, server, server_port, ours in (
        analysis.tables["flow"].columns(columns).iter_rows()
    ):
        ends = tuple(sorted([end(f"{client}:{client_port}"), end(f"{server}:{server_port}")]))
        theirs = truth.get((proto, ends))
        if theirs is not None and (None if theirs == "unknown" else theirs) != ours:
            found[f"{theirs}: {ours}"] += 1
    assert dict(found) == known_differences().get(capture, {})


ZEEK_SERVICES = {
    "ssl": "tls",
    "http": "http",
    "dns": "dns",
    "quic": "quic",
    "quic,ssl": "quic",
    "ssl,quic": "quic",
}


@pytest.mark.parametrize(
    "log", sorted((SHARED_CAPTURES / "truth" / "zeek").rglob("*conn.log*")) or [None], ids=str
)
def test_services_against_zeek(log: Path | None) -> None:
    """Zeek's conn.log of the same capture: every flow to which it gives a service has that protocol."""
    if log is None:
        pytest.skip(NO_SHARED)
    lines = log.read_text().splitlines()
    header = next((line for line in lines if line.startswith("#fields")), None)
    capture = next(
        path for path in (SHARED_CAPTURES / log.parent.name).iterdir() if log.name.startswith(f"{path.name}.")
    )
    if header is None:
        pytest.skip("only some columns were kept of this log")
    names = header.split("\t")[1:]
    rows = [
        dict(zip(names, line.split("\t"), strict=True)) for line in lines if line and not line.startswith("#")
    ]
    said = {}
    for row in rows:
        inside = row.get("tunnel_parents", "-") != "-"  # Zeek finds Teredo at any port, we at its own
        if row.get("service") in ZEEK_SERVICES and "id.orig_h" in row and not inside:
            ends = (
                end(f"{row['id.orig_h']}:{row['id.orig_p']}"),
                end(f"{row['id.resp_h']}:{row['id.resp_p']}"),
            )
            said[row["proto"], tuple(sorted(ends))] = ZEEK_SERVICES[row["service"]]
    columns = ["proto", "client", "client_port", "server", "server_port", "protocol"]
    ours = {}
    for proto, client, client_port, server, server_port, word in (
        analyze_capture(str(capture)).tables["flow"].columns(columns).iter_rows()
    ):
        ends = end(f"{client}:{client_port}"), end(f"{server}:{server_port}")
        ours[proto, tuple(sorted(ends))] = word
    multicast = {5353: "mdns", 5355: "llmnr", 137: "netbios"}
    for key, word in said.items():
        ports = {port for _, port in key[1]}
        assert ours[key] == next((multicast[port] for port in ports & set(multicast)), word), key
