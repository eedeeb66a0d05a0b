"""Server names, fingerprints and chosen cipher suites of the real captures, held against those of others.

JA3, JA3S and cipher suites are those of tshark; JA4 that of its authors (FoxIO) and of nDPI. What differs is listed
below with the reason; a difference that is not listed fails, and so does a listed one that is no more.
"""

from __future__ import annotations

import ipaddress
import json
import lzma
from typing import TYPE_CHECKING, Any, Final

import pytest

from forensics.analysis import analyze_capture
from forensics.observations.collector import Asked
from tests.conftest import NO_SHARED, SHARED_CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

TRUTH: Final = SHARED_CAPTURES / "truth"
TSHARK: Final = sorted(
    str(path.relative_to(TRUTH / "tshark")).removesuffix(".json")
    for path in (TRUTH / "tshark").rglob("*.json")
    if '"ja3' in path.read_text()
)
FOXIO: Final = sorted(
    str(path.relative_to(TRUTH / "ja4")).removesuffix(".python.json")
    for path in (TRUTH / "ja4").rglob("*.python.json")
    if '"JA4.1": "t' in path.read_text()
)
NDPI: Final = sorted(
    str(path.relative_to(TRUTH / "ndpi")).removesuffix(".json")
    for path in (TRUTH / "ndpi").rglob("*.json")
    if '"ja4"' in path.read_text()
)

NOT_TLS: Final = {
    ("client", "apps/ndpi_google_ssl.pcap"): "an SSLv2-compatible hello, which has no extensions and no JA3",
    ("client", "apps/ndpi_openvpn.pcap"): "TLS inside of OpenVPN, packet by packet",
    ("server", "apps/ndpi_openvpn.pcap"): "the same",
}
"""Captures with a hello of which tshark alone tells."""
LATER_FRAME: Final = {
    ("tls/ja4_latest.pcapng", 9): 4,
    ("tls/ja4_latest.pcapng", 10): 4,
    ("tls/ja4_tls-handshake.pcapng", 43): 2,
}
"""The record of the ServerHello goes on in later segments: tshark tells the last frame, we the first."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Rows of the tls table of one capture; each is read once."""
    known: dict[str, list[dict[str, Any]]] = {}
    folder: Path = tmp_path_factory.mktemp("plain")

    def rows(name: str) -> list[dict[str, Any]]:
        if name not in known:
            path = SHARED_CAPTURES / name
            if path.suffix == ".xz":
                (folder / path.stem).write_bytes(lzma.decompress(path.read_bytes()))
                path = folder / path.stem
            analysis = analyze_capture(str(path), asked=Asked(tables=frozenset({"tls"})))
            known[name] = analysis.tables["tls"].frame().to_dicts()
        return [row for row in known[name] if row["proto"] == "tcp"]

    return rows


@pytest.mark.skipif(not TSHARK, reason=NO_SHARED)
@pytest.mark.parametrize("name", TSHARK or ["(none)"])
def test_names_and_fingerprints_as_tshark_tells_them(name: str, table: Any) -> None:
    """Of the first hello of either side of each stream."""
    told = json.loads((TRUTH / "tshark" / f"{name}.json").read_text())
    clients: dict[int, tuple[Any, ...]] = {}
    for hello in told.get("tls_client_hellos", []):
        if hello["transport"] == "tcp" and ("client", name) not in NOT_TLS:
            sni = hello["sni"].lower() if hello["sni"] else None
            one = (hello["frame"], sni, hello["ja3"], hello["esni_extension"], hello["ech_extension"])
            clients.setdefault(hello["stream"], one)
    servers: dict[int, tuple[Any, ...]] = {}
    for hello in told.get("tls_server_hellos", []):
        if hello["transport"] == "tcp" and ("server", name) not in NOT_TLS:
            frame = hello["frame"] - LATER_FRAME.get((name, hello["stream"]), 0)
            servers.setdefault(hello["stream"], (frame, hello["ja3s"], int(hello["cipher"], 16)))
    rows = table(name)
    assert clients == {
        row["stream"]: (
            row["client_hello_frame"],
            row["sni"],
            row["ja3"],
            row["esni"],
            row["ech"] is not None,
        )
        for row in rows
        if row["client_hello"]
    }
    assert servers == {
        row["stream"]: (row["server_hello_frame"], row["ja3s"], row["cipher"])
        for row in rows
        if row["server_hello"]
    }


@pytest.mark.skipif(not FOXIO, reason=NO_SHARED)
@pytest.mark.parametrize("name", FOXIO or ["(none)"])
def test_ja4_as_its_authors_tell_it(name: str, table: Any) -> None:
    told = json.loads((TRUTH / "ja4" / f"{name}.python.json").read_text())
    expected = {one["stream"]: one["JA4.1"] for one in told if one.get("JA4.1", "").startswith("t")}
    assert expected == {row["stream"]: row["ja4"] for row in table(name) if row["client_hello"]}


@pytest.mark.skipif(not NDPI, reason=NO_SHARED)
@pytest.mark.parametrize("name", NDPI or ["(none)"])
def test_ja4_and_ja3s_as_ndpi_tells_them(name: str, table: Any) -> None:
    """What nDPI tells of flows over TCP, with three habits of its own put right.

    It says "ht" where the first protocol is http/1.1 (the last character is 1), "d" also where it has the name from
    elsewhere than the hello, and marks weak suites; and it tells nothing of servers in some flows.
    """

    def end(text: str) -> tuple[str, int]:
        host, port = text.rsplit(":", 1)
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)

    ours = {
        frozenset(((row["client"], row["client_port"]), (row["server"], row["server_port"]))): row
        for row in table(name)
        if row["client_hello"]
    }
    flows = json.loads((TRUTH / "ndpi" / f"{name}.json").read_text())["flows"]
    told = [flow for flow in flows if flow["l4"] == "TCP" and "ja4" in flow]
    for flow in told:
        row = ours[frozenset((end(flow["a"]), end(flow["b"])))]
        begin, *hashes = flow["ja4"].split("_")
        if row["alpn"] and row["alpn"][0] == "http/1.1":
            begin = begin.replace("ht", "h1")
        if row["sni"] is None:
            begin = begin.replace("d", "i")
        assert row["ja4"] == "_".join([begin, *hashes])
        assert row["ja3"] == flow["ja3c"]
        if "ja3s" in flow:
            assert row["ja3s"] == flow["ja3s"].removesuffix(" (WEAK)")
