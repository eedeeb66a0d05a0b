from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest

from forensics.apps import AppCatalogue
from tests.observations.frames import table

TRUTH = Path(__file__).parents[3] / "shared" / "captures" / "truth" / "tshark" / "apps"
ME = "10.0.0.2"


@pytest.fixture(scope="module")
def catalogue():
    return AppCatalogue.load()


def dns_row(name, *responses, public=True, cnames=(), first_frame=2):
    answers = sorted({address for text in responses for address in text.split()})
    frames = list(range(first_frame, first_frame + len(responses)))
    return {"client": ME, "qname": name, "public_name": public, "answers": answers, "cnames": list(cnames),
            "response_frames": frames, "response_answers": list(responses)}  # fmt: skip


def flow_row(server, port=443, proto="tcp", **more):
    return {"client": ME, "server": server, "server_port": port, "proto": proto, "first_frame": 100, **more}


@pytest.mark.parametrize(
    ("row", "mismatch"),
    [
        (dns_row("www.facebook.com", "31.13.85.53"), False),
        (dns_row("facebook.com", "104.244.43.136"), True),
        (dns_row("twitter.com", "31.13.85.53"), True),
        (dns_row("www.google.com", "108.160.165.8"), True),
        (dns_row("www.google.com", "46.82.174.68"), True),
        (dns_row("small-site.example-shop.de", "157.240.17.35"), True),
        (dns_row("small-site.example-shop.de", "46.82.174.68"), None),
        (dns_row("faceboook.de", "157.240.17.35"), None),
        (dns_row("shop.example-shop.de", "157.240.17.35", cnames=["star.c10r.facebook.com"]), False),
        (dns_row("printer.lan", "157.240.17.35", public=False), None),
        (dns_row("g.whatsapp.net", "174.37.243.85"), None),
        (dns_row("twitter.com", "174.37.243.85"), None),
        (dns_row("www.google.com", "174.37.243.85"), True),
        (dns_row("www.google.com", "142.250.74.36"), None),
        (dns_row("notfacebook.de", "93.184.216.34"), None),
        (dns_row("youtube.com", "2a03:2880:f130:83:face:b00c:0:25de"), True),
    ],
)
def test_owner_mismatch(catalogue, row, mismatch):
    assert catalogue.annotate_dns(table("dns", [row]))["owner_mismatch"].to_list() == [mismatch]


def pool_facts(catalogue, *rows):
    return catalogue.annotate_dns(table("dns", list(rows))).to_dicts()


def test_pool_facts_name_the_frames_that_carried_the_answers(catalogue):
    row = dns_row("twitter.com", "108.160.165.8", "192.0.2.9", "31.13.85.53 108.160.165.9")
    found, other = pool_facts(catalogue, row, dns_row("a.example", "192.0.2.1"))
    assert found["pool"] == "gfw-2025"
    assert found["pool_answers"] == ["108.160.165.8", "108.160.165.9", "31.13.85.53"]
    assert found["pool_frames"] == [2, 4]
    assert (found["name_owner"], found["answer_owner"]) == ("twitter", "dropbox")
    assert found["answer_owners"] == ["dropbox", "meta"]
    assert (found["app"], found["feature"]) == ("twitter", "web")
    assert other["pool"] is None


def test_the_owners_own_address_is_no_pool_answer_for_his_name(catalogue):
    race = dns_row("www.facebook.com", "108.160.166.9", "199.59.148.20", "157.240.22.35")
    alone = dns_row("www.facebook.com", "157.240.22.35")
    chained = dns_row("shop.example-shop.de", "157.240.22.35", cnames=["star.c10r.facebook.com"])
    forged, true, elsewhere = pool_facts(catalogue, race, alone, chained)
    assert forged["pool_answers"] == ["108.160.166.9", "199.59.148.20"]
    assert forged["pool_frames"] == [2, 3]
    assert forged["answer_owners"] == ["dropbox", "twitter"]
    assert forged["owner_mismatch"] is True
    for found in (true, elsewhere):
        assert (found["pool"], found["pool_answers"], found["answer_owner"]) == (None, None, None)
        assert found["owner_mismatch"] is False


def test_a_pool_address_of_nobody_known_is_said_to_be_so(catalogue):
    nobody = next(block for block, owner in catalogue.pools["gfw-2025"].entries if owner is None)
    address = str(ipaddress.ip_address(nobody.value))
    (found,) = pool_facts(catalogue, dns_row("www.facebook.com", "108.160.166.9", address))
    assert set(found["answer_owners"]) == {"dropbox", "unknown"}
    assert found["owner_mismatch"] is True
    (alone,) = pool_facts(catalogue, dns_row("www.facebook.com", address))
    assert (alone["answer_owner"], alone["answer_owners"]) == (None, ["unknown"])
    assert alone["owner_mismatch"] is None


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (flow_row("157.240.20.53", sni="mmg.whatsapp.net"), ("whatsapp", "media", "sni")),
        (flow_row("157.240.20.53", 5222, sni="unknown.example"), (None, None, None)),
        (flow_row("157.240.20.53", 5222), ("whatsapp", "text", "address")),
        (flow_row("157.240.20.53"), (None, None, None)),
        (flow_row("31.13.86.48", 3478, "udp"), ("whatsapp", "calls", "address")),
        (
            flow_row("158.85.58.15", client_first_bytes="5741010500001af8"),
            ("whatsapp", "text", "first-bytes"),
        ),
        (
            flow_row("157.240.20.53", client_first_bytes="4544000100000408"),
            ("whatsapp", "text", "first-bytes"),
        ),
        (flow_row("157.240.20.53", client_first_bytes="1603010200010001"), (None, None, None)),
        (flow_row("91.108.8.7", 521, "udp"), ("telegram", "calls", "address")),
        (flow_row("192.0.2.7"), ("twitter", "web", "dns")),
        (flow_row("192.0.2.8", 3478, "udp"), (None, None, None)),
    ],
)
def test_app_of_a_flow(catalogue, row, expected):
    dns = table("dns", [dns_row("twitter.com", "192.0.2.7"), dns_row("small.example", "192.0.2.8")])
    found = catalogue.annotate_flows(table("flow", [row]), dns).row(0, named=True)
    assert (found["app"], found["feature"], found["app_basis"]) == expected


def test_the_latest_earlier_answer_names_the_flow(catalogue):
    dns = table("dns", [
        dns_row("old.example", "192.0.2.7", first_frame=10),
        dns_row("new.example", "192.0.2.7 192.0.2.8", first_frame=20),
        dns_row("late.example", "192.0.2.7", first_frame=200),
        {**dns_row("other-client.example", "192.0.2.7", first_frame=30), "client": "10.0.0.3"},
        {"client": ME, "qname": "unanswered.example"},
    ])  # fmt: skip
    rows = [
        flow_row("192.0.2.7"),
        flow_row("192.0.2.7", first_frame=15),
        flow_row("192.0.2.7", first_frame=5),
        flow_row("192.0.2.8", sni="said.example"),
        flow_row("192.0.2.9"),
    ]
    found = catalogue.annotate_flows(table("flow", rows), dns)
    assert found["dns_name"].to_list() == ["new.example", "old.example", None, "new.example", None]
    assert found["dns_frame"].to_list() == [20, 10, None, 20, None]
    assert found["server_name"].to_list() == ["new.example", "old.example", None, "said.example", None]
    assert found["name_basis"].to_list() == ["dns", "dns", None, "sni", None]


@pytest.mark.parametrize(("service", "pool"), [("dns", True), ("mdns", False), ("llmnr", False)])
def test_pools_tell_nothing_of_what_neighbours_answer(catalogue, service, pool):
    dns = table("dns", [{**dns_row("www.youtube.com", "31.13.94.37"), "service": service}])
    found = catalogue.annotate_dns(dns).row(0, named=True)
    assert (found["pool"] is not None) is pool
    assert found["owner_mismatch"] is (True if pool else None)


def test_empty_tables(catalogue):
    flows, dns = table("flow", []), table("dns", [])
    assert catalogue.annotate_dns(dns).schema == dns.schema
    assert catalogue.annotate_flows(flows, dns).schema == flows.schema


def test_every_pool_answer_belongs_to_the_range_its_owner_announces(catalogue):
    for pool in catalogue.pools.values():
        for block, owner in pool.entries:
            ranges = catalogue.owners[owner].blocks if owner else ()
            if owner in {"meta", "twitter", "dropbox"}:
                assert any(r.holds(block.version, block.value) for r in ranges), (pool.id, owner, block)
            elif owner is None or not ranges:
                for exclusive in ("meta", "twitter", "dropbox", "telegram"):
                    blocks = catalogue.owners[exclusive].blocks
                    assert not any(r.holds(block.version, block.value) for r in blocks), (pool.id, block)


def test_every_app_name_is_its_owners(catalogue):
    for app in catalogue.apps.values():
        for feature in app.features:
            for name in (*feature.names, *feature.suffixes):
                assert catalogue.owner_names.find(name)[0] == app.owner, name


@pytest.mark.skipif(not TRUTH.is_dir(), reason="the real captures are not beside the checkout")
@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("facebook", {"www.facebook.com": ("facebook", "web"), "facebook.com": ("facebook", "web")}),
        ("whatsappfiles", {"mmg-fna.whatsapp.net": ("whatsapp", "media")}),
        ("wa_voice", {"pps.whatsapp.net": ("whatsapp", "media"),
                      "media-mxp1-1.cdn.whatsapp.net": ("whatsapp", "media")}),
        ("wechat", {"web.wechat.com": ("wechat", "web"), "res.wx.qq.com": ("wechat", "web")}),
        ("instagram", {"scontent-mxp1-1.cdninstagram.com": ("instagram", "media")}),
        ("signal", {"textsecure-service.whispersystems.org": ("signal", "text"),
                    "cdn.signal.org": ("signal", "media"),
                    "itunes.apple.com": (None, None)}),
    ],
)  # fmt: skip
def test_names_of_real_captures(catalogue, capture, expected):
    truth = json.loads((TRUTH / f"ndpi_{capture}.pcap.json").read_text(encoding="utf-8"))
    hellos = [hello for hello in truth["tls_client_hellos"] if hello["sni"]]
    rows = [flow_row(str(ipaddress.ip_address(h["dst"])), h["dport"], sni=h["sni"]) for h in hellos]
    found = catalogue.annotate_flows(table("flow", rows), table("dns", []))
    got = {row["sni"]: (row["app"], row["feature"]) for row in found.to_dicts()}
    assert set(expected) <= set(got)
    assert {name: got[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("columns", "name", "basis", "app"),
    [
        ({"http_host": "mmg.whatsapp.net"}, "mmg.whatsapp.net", "http", "whatsapp"),
        ({"http_host": "192.0.2.7"}, "other.example", "dns", None),
        ({"http_host": "[2001:db8::1]"}, "other.example", "dns", None),
        ({"http_host": "mmg.whatsapp.net", "sni": "news.example"}, "news.example", "sni", None),
    ],
)
def test_a_host_header_names_the_server(catalogue, columns, name, basis, app):
    answers = table("dns", [dns_row("other.example", "203.0.113.9")])
    flows = table("flow", [flow_row("203.0.113.9", 80, **columns)])
    (row,) = catalogue.annotate_flows(flows, answers).to_dicts()
    assert (row["server_name"], row["name_basis"], row["app"]) == (name, basis, app)
