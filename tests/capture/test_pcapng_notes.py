from __future__ import annotations

import pickle
import struct

import pytest

from forensics.capture import pcapng_notes
from forensics.capture.batch import InterfaceNotes
from tests.capture import wireshark
from tests.capture.build import INTERFACE, block, interface, old_packet, option, section
from tests.capture.build_pcapng import (
    END,
    comment,
    dropcount,
    interface_with,
    names,
    packet,
    raw_option,
    secrets,
    section_with,
    statistics,
    uid_map,
)
from tests.capture.read import read_bytes

GOOD = section() + interface() + packet()
NAME4 = b"\xc0\x00\x02\x01router\0gateway\0"
IDB = struct.pack("<HHI", 1, 0, 0)
# a block, frames it counts for in Wireshark 4.0 (custom blocks do), and whether Wireshark refuses it
BLOCKS = {
    "statistics": (statistics({4: 10}), 0, False),
    "statistics-short": (block(5, bytes(8)), 0, True),
    "statistics-of-no-interface": (statistics({4: 10}, number=7), 0, False),
    "statistics-odd-length": (block(5, struct.pack("<III", 0, 0, 5) + option(4, b"abcd") + END), 0, False),
    "statistics-run-out": (block(5, struct.pack("<III", 0, 0, 5) + raw_option(4, 64)), 0, True),
    "statistics-bare": (block(5, struct.pack("<III", 0, 0, 5)), 0, False),
    "names": (names((1, NAME4)), 0, False),
    "names-without-nul": (names((1, b"\1\2\3\4abc")), 0, True),
    "names-short-address": (names((1, b"\1\2\3")), 0, True),
    "names-without-name": (names((1, b"\1\2\3\4")), 0, False),
    "names-short-ipv6": (names((2, bytes(8))), 0, True),
    "names-run-out": (block(4, raw_option(1, 200, bytes(8)) + END), 0, True),
    "names-without-end": (block(4, option(1, b"\1\2\3\4abc\0")), 0, False),
    "names-end-that-runs-out": (block(4, raw_option(0, 1)), 0, True),
    "names-end-with-length": (block(4, raw_option(0, 4, b"abcd")), 0, True),
    "names-empty": (block(4, b""), 0, True),
    "names-unknown-record": (names((9, bytes(8))), 0, False),
    "names-bad-option": (names(options=raw_option(2, 100)), 0, True),
    "names-option": (names(options=option(2, b"dns") + END), 0, False),
    "secrets": (secrets(0x544C534B, b"CLIENT_RANDOM 1 2"), 0, False),
    "secrets-short": (block(10, bytes(4)), 0, True),
    "secrets-run-out": (block(10, struct.pack("<II", 0x544C534B, 9) + b"abcd"), 0, True),
    "secrets-odd-option": (
        block(10, struct.pack("<II", 0x544C534B, 4) + b"abcd" + raw_option(1, 99)),
        0,
        False,
    ),
    "custom": (block(0x0BAD, struct.pack("<I", 62652)), 1, False),
    "custom-short": (block(0x0BAD, b""), 0, True),
    "custom-no-copy-short": (block(0x40000BAD, b""), 0, True),
    "uid-map": (uid_map(10123, b"com.example", b"Example"), 1, False),
    "journal-short": (block(9, bytes(20)), 0, True),
    "journal": (block(9, b"__REALTIME_TIMESTAMP=1600000000000000\n"), 1, False),
    "event-short": (block(0x204, bytes(20)), 0, True),
    "event": (block(0x204, bytes(24)), 1, False),
    "event-2-short": (block(0x216, bytes(24)), 0, True),
    "event-2-large-short": (block(0x221, bytes(24)), 0, True),
    "event-2": (block(0x216, bytes(28)), 1, False),
    "event-with-flags": (block(0x208, bytes(28)), 0, False),
    "interface-odd-lengths": (
        interface_with(option(9, b"ab") + option(14, b"ab") + option(8, b"ab") + option(4, b"ab") + END),
        0,
        False,
    ),
    "interface-empty-filter": (interface_with(option(11, b"") + END), 0, True),
    "interface-filter-program": (interface_with(option(11, b"\1abc") + END), 0, False),
    "interface-short-custom": (interface_with(option(2988, b"ab") + END), 0, True),
    "interface-run-out": (interface_with(raw_option(2, 50)), 0, True),
    "section-run-out": (section_with(raw_option(2, 50)) + interface(), 0, True),
    "section-1.2": (section_with(version=(1, 2)) + interface(), 0, False),
    "section-1.5": (section_with(version=(1, 5)) + interface(), 0, True),
    "section-2.0": (section_with(version=(2, 0)) + interface(), 0, True),
    "unknown": (block(0x777, b"zzzz"), 0, False),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_what_breaks_a_file(tmp_path, name):
    odd, numbered, broken = BLOCKS[name]
    packets, notes = read_bytes(tmp_path, GOOD + odd + packet(b"after"))
    assert len(packets) == (1 if broken else 2 + numbered)
    assert bool(notes.damage) == broken


def test_wireshark_refuses_the_same_files(tshark, tmp_path):
    files = {}
    for name, (odd, _, broken) in BLOCKS.items():
        path = tmp_path / name
        path.write_bytes(GOOD + odd + packet(b"after"))
        files[path] = (1, True) if broken else (2, False)
    assert wireshark.counts(tshark, list(files)) == files


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_sections_and_interfaces_say(tmp_path, order):
    texts = (
        option(2, b"Pixel 7", order) + option(3, b"Android 14", order) + option(4, b"PCAPdroid v1.7", order)
    )
    full = b"".join(
        [
            option(2, b"wlan0", order),
            option(3, "drahtlos für alle".encode(), order),
            option(8, struct.pack(order + "Q", 54_000_000), order),
            option(9, b"\x09", order),
            option(11, b"\0tcp port 443", order),
            option(12, b"Linux 6.1", order),
            option(14, struct.pack(order + "q", -2), order),
            option(15, b"ath9k", order),
            option(2, b"second name", order),
        ]
    )
    content = section_with(texts, order) + interface_with(full, order, linktype=101, snaplen=96)
    content += section_with(option(2, b"other", order), order) + interface_with(b"", order)
    _, notes = read_bytes(tmp_path, content)
    assert (notes.hardware, notes.os, notes.application) == ("Pixel 7", "Android 14", "PCAPdroid v1.7")
    assert notes.interface_list == [
        InterfaceNotes(
            name="wlan0",
            description="drahtlos für alle",
            linktype=101,
            snaplen=96,
            resolution=9,
            offset_s=-2,
            speed=54_000_000,
            os="Linux 6.1",
            hardware="ath9k",
            filter="tcp port 443",
        ),
        InterfaceNotes(linktype=1),
    ]
    assert (notes.sections, notes.interfaces) == (2, 2)


def test_the_last_statistics_of_an_interface_count(tmp_path):
    content = section() + interface() + interface()
    content += (
        statistics({4: 5, 5: 1}) + statistics({4: 100, 5: 7, 7: 2}, number=1) + statistics({4: 50, 5: 3})
    )
    content += section() + interface() + statistics({4: 9})
    _, notes = read_bytes(tmp_path, content)
    told = [(one.received, one.dropped, one.os_dropped) for one in notes.interface_list]
    assert told == [(50, 3, None), (100, 7, 2), (9, None, None)]
    assert notes.dropped_by_kernel == 10
    assert notes.skipped_blocks == {}


def test_no_statistics_say_nothing_of_drops(tmp_path):
    assert read_bytes(tmp_path, GOOD)[1].dropped_by_kernel is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_names_and_secrets_are_kept(tmp_path, order):
    six = bytes.fromhex("20010db8000000000000000000000001")
    content = section(order) + names((1, NAME4), (2, six + b"six\0"), (1, NAME4[:4] + b"late\0"), order=order)
    content += secrets(0x544C534B, b"CLIENT_RANDOM aa bb\n", order) + secrets(1, b"x", order)
    _, notes = read_bytes(tmp_path, content)
    assert notes.names == {"192.0.2.1": "router", "2001:db8::1": "six"}
    assert notes.names_total == 4
    assert notes.secrets_bytes == [(0x544C534B, b"CLIENT_RANDOM aa bb\n"), (1, b"x")]
    assert notes.secrets == 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_phone_apps_of_pcapdroid(tmp_path, order):
    content = section(order) + interface(order)
    content += uid_map(10123, b"com.whatsapp", b"WhatsApp", order) + uid_map(1051, b"netd", b"", order)
    content += uid_map(10123, b"late", b"Late", order) + uid_map(-1, b"", b"Unknown", order)
    content += uid_map(5, b"a", b"b", order, pen=1) + uid_map(6, b"a", b"b", order, version=2)
    content += uid_map(7, b"a", b"b", order, kind=2)
    packets, notes = read_bytes(tmp_path, content)
    assert notes.phone_apps == {10123: "WhatsApp", 1051: "netd"}
    assert notes.skipped_blocks == {"0x00000bad": 3}
    assert [packet[2] for packet in packets] == [-1] * 7


def test_comments_and_losses(tmp_path):
    content = section() + interface() + packet(options=comment("first") + dropcount(2)) + packet()
    content += old_packet(b"old", 5, drops=3) + old_packet(b"old", 5, drops=0xFFFF)
    content += packet(options=comment("last"))
    _, notes = read_bytes(tmp_path, content)
    assert notes.comments == {1: "first", 5: "last"}
    assert (notes.comments_total, notes.lost_between_packets) == (2, 5)
    assert read_bytes(tmp_path, GOOD)[1].lost_between_packets is None


def test_losses_do_not_overflow(tmp_path):
    content = section() + interface() + packet(options=dropcount(2**64 - 1)) * 40
    assert read_bytes(tmp_path, content)[1].lost_between_packets == 40 * (2**64 - 1)


def test_everything_is_bounded(tmp_path, monkeypatch):
    for name, most in (
        ("MAX_INTERFACES", 3),
        ("MAX_COMMENTS", 4),
        ("MAX_NAMES", 2),
        ("MAX_SECRETS", 310),
        ("MAX_PHONE_APPS", 2),
    ):
        monkeypatch.setattr(pcapng_notes, name, most)
    content = b"".join(section() + interface() for _ in range(5))
    content += statistics({5: 9}) + packet(options=comment("x" * 2000)) * 9
    content += b"".join(names((1, bytes([10, 0, 0, i]) + b"n" * 999 + b"\0")) for i in range(5))
    content += b"".join(secrets(i, b"12345") for i in range(5))
    content += b"".join(uid_map(i, b"p" * 255, b"a" * 255) for i in range(5))
    packets, notes = read_bytes(tmp_path, content)
    assert len(packets) == 9 + 5
    assert notes.damage == ""
    assert len(notes.interface_list) == 3
    assert {frame: len(text) for frame, text in notes.comments.items()} == dict.fromkeys([1, 2, 3, 4], 1000)
    assert notes.comments_total == 9
    assert notes.names == {"10.0.0.0": "n" * 255, "10.0.0.1": "n" * 255}
    assert (notes.names_total, notes.secrets, len(notes.secrets_bytes)) == (5, 5, 2)
    assert notes.phone_apps == {0: "a" * 255, 1: "a" * 255}
    assert pickle.loads(pickle.dumps(notes)) == notes  # noqa: S301 - our own bytes


def test_too_many_interfaces_of_one_section_are_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(pcapng_notes, "MAX_INTERFACES", 2)
    _, notes = read_bytes(tmp_path, section() + interface() * 2 + block(INTERFACE, IDB))
    assert "beyond the 2th" in notes.damage
