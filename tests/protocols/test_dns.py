from __future__ import annotations

import contextlib
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.dns import DnsMessage, framed, parse_message, type_name
from forensics.protocols.errors import ProtocolError


def wire(name: bytes) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name.split(b".") if label) + b"\x00"


def header(flags: int, *counts: int, txid: int = 0x1234) -> bytes:
    return struct.pack("!HH", txid, flags) + struct.pack("!4H", *(*counts, 0, 0, 0, 0)[:4])


def query(name: bytes = b"www.example.com", qtype: int = 1) -> bytes:
    return header(0x0100, 1) + wire(name) + struct.pack("!HH", qtype, 1)


def record(kind: int, data: bytes, ttl: int = 60, owner: bytes = b"\xc0\x0c", rclass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, rclass, ttl, len(data)) + data


def answer(*records: bytes, flags: int = 0x8180, name: bytes = b"www.example.com", others: int = 0) -> bytes:
    question = wire(name) + b"\x00\x01\x00\x01"
    return header(flags, 1, len(records) - others, 0, others) + question + b"".join(records)


A = record(1, bytes([192, 0, 2, 1]))


def test_query():
    message = parse_message(query(b"WWW.Example.com", 28))
    assert message == DnsMessage(
        txid=0x1234,
        flags=0x0100,
        is_response=False,
        opcode=0,
        rcode=0,
        qname="www.example.com",
        qtype="AAAA",
        questions=1,
        answers=0,
        addresses=(),
        answer_ttls=(),
        cnames=(),
        trailing=0,
        malformed=False,
    )


def test_answer_with_cname_addresses_opt_and_trailing_bytes():
    v6 = record(28, bytes.fromhex("2a032880f10c0083face b00c000025de".replace(" ", "")), ttl=7)
    cname = record(5, b"\x04star\xc0\x10")
    opt = record(41, b"\x00\x0a\x00\x02ab", owner=b"\x00", rclass=1232)
    message = parse_message(answer(cname, A, v6, opt, others=1) + b"leak")
    assert message.addresses == ("192.0.2.1", "2a03:2880:f10c:83:face:b00c:0:25de")
    assert message.answer_ttls == (60, 7)
    assert message.cnames == ("star.example.com",)
    assert message.answers == 3
    assert message.trailing == 4
    assert not message.malformed


def test_compressed_names_of_rfc_1035_4_1_4():
    """The example of the RFC (F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA, the root); the first stands at 28."""
    body = header(0x8180, 1, 4) + b"\x00\x00\x01\x00\x01"  # the question is the root, at 12
    data = bytearray(
        body + b"\x00" + struct.pack("!HHIH", 10, 1, 0, 72) + bytes(72)
    )  # a NULL record to write in
    assert len(data) == 100
    data[28:40] = b"\x01F\x03ISI\x04ARPA\x00"
    data[40:46] = b"\x03FOO\xc0\x1c"
    data[64:66] = b"\xc0\x22"
    for at in (40, 64, 92):
        data += record(5, bytes([0xC0, at]), owner=b"\x00")
    message = parse_message(bytes(data))
    assert message.cnames == ("foo.f.isi.arpa", "arpa", ".")
    assert message.qname == "."
    assert not message.malformed


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x05a\x1b[0m\x00", r"a\x1b[0m"),
        (b"\x03a.b\x00", r"a\x2eb"),
        (b"\x04a\\x4\x00", r"a\x5cx4"),
        (b"\x03a b\x02\xc3\xa9\x00", r"a\x20b.\xc3\xa9"),
        (b"\x01,\x01=\x00", ",.="),
        (b"\x00", "."),
    ],
)
def test_hostile_names_are_printable(raw: bytes, shown: str):
    assert parse_message(header(0, 1) + raw + b"\x00\x01\x00\x01").qname == shown


def test_names_up_to_255_octets():
    long = b".".join([b"a" * 63] * 3 + [b"b" * 61])
    assert parse_message(query(long)).qname == long.decode()
    with pytest.raises(ProtocolError, match="255"):
        parse_message(query(b".".join([b"a" * 63] * 3 + [b"b" * 62])))


def test_chains_of_pointers_are_followed_backwards():
    target = b"\x03www\x07example\x00"
    for jumps, whole in ((1, True), (17, True), (18, True), (64, True), (65, False)):
        null = b"\x00" + struct.pack("!HHIH", 10, 1, 0, len(target) + 2 * (jumps - 1))
        start = 17 + len(null)
        chain = target
        previous = start
        for _ in range(jumps - 1):
            here = start + len(chain)
            chain += struct.pack("!H", 0xC000 | previous)
            previous = here
        data = header(0x8180, 1, 3) + b"\x00\x00\x01\x00\x01" + null + chain
        data += record(5, struct.pack("!H", 0xC000 | previous), owner=b"\x00") + A
        message = parse_message(data)
        assert message.malformed is not whole
        assert message.cnames == (("www.example",) if whole else ())
        assert message.addresses == ("192.0.2.1",)


@pytest.mark.parametrize("pointer", [12, 13, 16, 18, 200, 0x3FFF])
def test_a_question_that_points_to_itself_or_forwards_is_no_dns(pointer: int):
    with pytest.raises(ProtocolError, match="backwards"):
        parse_message(header(0, 1) + struct.pack("!H", 0xC000 | pointer) + b"\x00\x01\x00\x01" + bytes(300))


def test_two_labels_that_point_at_each_other():
    with pytest.raises(ProtocolError):
        parse_message(header(0, 1) + b"\x01a\xc0\x0c\x00\x01\x00\x01")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too few"),
        (bytes(11), "too few"),
        (header(0x7000, 1) + b"\x00\x00\x01\x00\x01", "operation"),
        (header(0x0100, 0), "0 questions"),
        (header(0x8180, 0), "0 questions"),
        (header(0x0100, 2) + wire(b"a") + b"\x00\x01\x00\x01", "2 questions|all its 2"),
        (header(0x8180, 9) + wire(b"a") + b"\x00\x01\x00\x01", "9 questions"),
        (header(0x0100, 1, 1) + wire(b"a") + b"\x00\x01\x00\x01" + A, "carries answers"),
        (header(0x0140, 1) + wire(b"a") + b"\x00\x01\x00\x01", "Z bit"),
        (header(0x0103, 1) + wire(b"a") + b"\x00\x01\x00\x01", "response code"),
        (header(0x0100, 1) + wire(b"a") + b"\x00\x01\x00\x00", "class"),
        (header(0x0100, 1) + wire(b"a") + b"\x00\x01", "question is cut"),
        (header(0x0100, 1) + b"\x3fabc", "cut short"),
        (header(0x0100, 1) + b"\x40abc\x00\x00\x01\x00\x01", "unknown kind 1"),
        (header(0x0100, 1) + b"\x80abc\x00\x00\x01\x00\x01", "unknown kind 2"),
        # a QUIC version 1 Initial begins so (RFC 9000 17.2.2)
        (bytes.fromhex("c300000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"), "questions"),
    ],
)
def test_what_is_not_dns(data: bytes, reason: str):
    with pytest.raises(ProtocolError, match=reason):
        parse_message(data)


@pytest.mark.parametrize(
    ("data", "addresses"),
    [
        (header(0x8180, 1, 5) + wire(b"a") + b"\x00\x01\x00\x01" + A, ("192.0.2.1",)),
        (header(0x8180, 1, 65535, 65535, 65535) + wire(b"a") + b"\x00\x01\x00\x01", ()),
        (answer(A, A)[:-1], ("192.0.2.1",)),
        (answer(record(1, b"\x01\x02\x03"), A), ("192.0.2.1",)),
        (answer(record(5, b"\xc0\xff"), A), ("192.0.2.1",)),
        (answer(A, record(1, bytes(4), owner=b"\xc0\x80")), ("192.0.2.1",)),
        (header(0x8180, 2, 1) + wire(b"a") + b"\x00\x01\x00\x01" + b"\x3fzz", ()),
    ],
)
def test_damage_after_the_question_keeps_what_was_read(data: bytes, addresses: tuple[str, ...]):
    message = parse_message(data)
    assert message.malformed
    assert message.addresses == addresses
    assert message.trailing == 0


def test_an_error_may_come_without_its_question():
    message = parse_message(header(0x8081, 0))
    assert (message.qname, message.questions, message.rcode, message.malformed) == ("", 0, 1, False)


def test_unknown_and_new_record_types_do_not_disturb():
    svcb = record(65, b"\x00\x01\x00\x00\x01\x00\x03\x02h2")
    odd = record(54321, b"\xff\xfe\xfd")
    text = record(16, b"\x03\xff\xfe\xfd")
    message = parse_message(answer(svcb, odd, text, A))
    assert message.addresses == ("192.0.2.1",)
    assert not message.malformed
    assert type_name(64) == "SVCB"
    assert type_name(65) == "HTTPS"
    assert type_name(54321) == "TYPE54321"


def test_the_largest_message_is_read_in_bounded_work():
    """Thousands of records whose names all lead down a long chain of pointers."""
    data = header(0x8180, 1, 65535) + b"\x00\x00\x01\x00\x01"
    data += record(5, b"\xc0\x0c", owner=b"\x00")
    while len(data) < 65000:
        data += record(5, struct.pack("!H", 0xC000 | min(len(data) - 2, 0x3FFF)), owner=b"\x00")
    message = parse_message(data)
    assert message.malformed
    assert len(message.cnames) <= 32


@settings(max_examples=200, deadline=None)
@given(
    base=st.sampled_from([query(), answer(record(5, b"\x04star\xc0\x10"), A), answer(A, A, flags=0x8583)]),
    cut=st.integers(0, 120),
    flips=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=4),
    junk=st.binary(max_size=12),
)
def test_damage_gives_a_message_or_a_protocol_error(
    base: bytes, cut: int, flips: list[tuple[int, int]], junk: bytes
):
    damaged = bytearray(base[:cut] + junk)
    for at, value in flips:
        if at < len(damaged):
            damaged[at] = value
    try:
        message = parse_message(bytes(damaged))
    except ProtocolError:
        pass
    else:
        assert message.qname.isprintable()
        assert " " not in message.qname
        assert 0 <= message.trailing < len(damaged)


@given(st.binary(max_size=80))
def test_random_bytes_give_a_message_or_a_protocol_error(data: bytes):
    with contextlib.suppress(ProtocolError):
        parse_message(data)


@pytest.mark.parametrize(
    "path",
    ["apps/ndpi_wechat.pcap", "apps/ndpi_viber.pcap", "dns/ndpi_dns.pcap", "dns/zeek_dns-svcb.pcap",
     "dns/dnscap_dns.pcap", "interference/gfwreport_dns_victim_client_anon.pcap",
     "interference/csanders_dns_isp_hijack.pcapng"],
)  # fmt: skip
def test_names_and_addresses_agree_with_tshark(shared_captures: Path, tshark: str, path: str):
    fields = ("udp.payload", "dns.id", "dns.qry.name", "dns.flags", "dns.count.answers", "dns.a", "dns.aaaa",
              "dns.resp.type")  # fmt: skip
    command = [tshark, "-r", str(shared_captures / path), "-Y", "udp.port==53 && !icmp", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out
    for line in out.splitlines():
        payload, txid, name, flags, answers, v4, v6, kinds = line.split("\t")
        message = parse_message(bytes.fromhex(payload))
        assert message.txid == int(txid, 16)
        assert message.qname == name.lower()
        assert message.flags == int(flags, 16)
        assert message.answers == int(answers)
        assert not message.malformed
        # tshark lists the addresses of all three sections: those of the first come first
        in_answer = kinds.split(",")[: message.answers]
        for kind, listed in (("1", v4), ("28", v6)):
            expected = listed.split(",")[: in_answer.count(kind)]
            assert [a for a in message.addresses if (":" in a) == (kind == "28")] == expected


def test_quic_on_port_53_is_not_dns(shared_captures: Path, tshark: str):
    path = shared_captures / "interference" / "gfwreport_beijing-ttl_anon.pcap"
    command = [
        tshark,
        "-r",
        str(path),
        "-c",
        "300",
        "-Y",
        "udp.port==53",
        "-T",
        "fields",
        "-e",
        "udp.payload",
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    payloads = [bytes.fromhex(line) for line in out.split()]
    assert payloads
    for payload in payloads:
        with pytest.raises(ProtocolError):
            parse_message(payload)


def test_a_chain_of_cnames_is_put_in_order():
    """The records stand in the wrong order, an unrelated one among them, and end in a circle."""

    def cname(owner: bytes, target: bytes) -> bytes:
        return record(5, wire(target), owner=wire(owner))

    message = parse_message(
        answer(
            cname(b"b.org", b"c.org"),
            cname(b"x.org", b"y.org"),
            cname(b"www.example.com", b"b.org"),
            cname(b"c.org", b"www.example.com"),
            record(1, bytes([192, 0, 2, 7]), owner=wire(b"c.org")),
            record(1, bytes([192, 0, 2, 9]), owner=wire(b"y.org")),
        )
    )
    assert message.cnames == ("b.org", "c.org", "y.org", "www.example.com")
    assert message.addresses == ("192.0.2.7", "192.0.2.9")
    assert message.astray == ("192.0.2.9",)


def test_an_answer_for_another_name_is_astray():
    other = record(1, bytes([192, 0, 2, 9]), owner=wire(b"WWW.example.org"))
    same = record(1, bytes([192, 0, 2, 8]), owner=wire(b"WWW.example.com"))
    assert parse_message(answer(A, same, other)).astray == ("192.0.2.9",)
    assert parse_message(answer(A, same)).astray == ()


def test_the_smallest_ttl_is_that_of_answers_only():
    message = parse_message(
        answer(record(1, bytes(4), ttl=300), record(5, b"\x00", ttl=20), record(2, b"\x00", 5), others=1)
    )
    assert message.min_ttl == 20
    assert parse_message(answer()).min_ttl is None


def test_edns_extends_the_response_code():
    opt = record(41, struct.pack("!HHH", 15, 2, 22), ttl=0x01008000, owner=b"\x00", rclass=1232)
    message = parse_message(answer(opt, flags=0x8180, others=1))
    assert message.rcode == 16  # BADVERS
    assert message.edns is not None
    assert (message.edns.udp_size, message.edns.dnssec_ok, message.edns.extended_errors) == (
        1232,
        True,
        (22,),
    )
    assert parse_message(answer(A)).edns is None
    damaged = record(41, b"\x00\x0f\x00", owner=b"\x00", rclass=1232)
    assert parse_message(answer(A, damaged, others=1)).malformed


def test_service_bindings_and_other_records_of_an_answer():
    https = record(65, b"\x00\x01\x00\x00\x01\x00\x06\x02h3\x02h2\x00\x04\x00\x04\xc0\x00\x02\x01")
    mail = record(15, b"\x00\x0a\x02mx\xc0\x10")
    message = parse_message(answer(https, mail))
    assert [service.text for service in message.services] == ["HTTPS 1 . alpn=h3,h2 hint=192.0.2.1"]
    assert message.others == ("MX 10 mx.example.com",)
    assert not message.malformed
    assert message.addresses == ()
    assert parse_message(answer(record(65, b"\x00"), A)).malformed


def test_a_query_with_several_questions_must_hold_them():
    question = wire(b"a.org") + b"\x00\x01\x00\x01"
    message = parse_message(header(0x0100, 2) + question + question)
    assert (message.qname, message.questions, message.malformed, message.trailing) == ("a.org", 2, True, 0)
    with pytest.raises(ProtocolError, match="all its 2"):
        parse_message(header(0x0100, 2) + question + question[:-1])


def test_multicast_dns_asks_for_much_and_answers_without_being_asked():
    """RFC 6762: several questions (5.3), known answers in a query (7.1), unicast bit (5.4), cache flush bit (10.2)."""
    ptr = struct.pack("!HH", 12, 0x8001)
    known = wire(b"_ipp._tcp.local") + struct.pack("!HHIH", 12, 1, 10, 2) + b"\xc0\x0c"
    asked = header(0, 5, 1) + (wire(b"_ipp._tcp.local") + ptr) * 5 + known
    message = parse_message(asked, multicast=True)
    assert (message.qname, message.qtype, message.questions, message.malformed) == (
        "_ipp._tcp.local",
        "PTR",
        5,
        False,
    )
    with pytest.raises(ProtocolError):
        parse_message(asked)
    told = (
        header(0x8400, 0, 1)
        + wire(b"Printer.local")
        + struct.pack("!HHIH", 1, 0x8001, 120, 4)
        + bytes([192, 168, 1, 9])
    )
    message = parse_message(told, multicast=True)
    assert (message.qname, message.qtype, message.addresses) == ("printer.local", "A", ("192.168.1.9",))
    assert message.astray == ()
    with pytest.raises(ProtocolError):
        parse_message(header(0x8400, 0), multicast=True)


def test_messages_of_a_stream_stand_behind_their_length():
    first, second = query(), answer(A)
    stream = struct.pack("!H", len(first)) + first
    for size in range(len(stream)):
        assert framed(stream[:size]) is None
    for behind in (b"", b"\x00", struct.pack("!H", len(second)) + second):
        assert framed(stream + behind) == first
    for length in range(12):
        with pytest.raises(ProtocolError, match="too few"):
            framed(struct.pack("!H", length))
