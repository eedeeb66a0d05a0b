from __future__ import annotations

import hashlib

import pytest

from forensics.protocols.ja import ja3, ja3s, ja4
from forensics.protocols.text import printable
from forensics.protocols.tls import ClientHello, parse_client_hello
from tests.protocols.test_tls import CLIENT_MESSAGE, extension, hello, records, server_name

# The example of https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md
CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
EXTENSIONS = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
ALGORITHMS = "0403,0804,0401,0503,0805,0501,0806,0601"


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part, 16) for part in text.split(",") if part)


EXAMPLE = ClientHello(
    sni="example.com",
    alpn=("h2", "http/1.1"),
    versions=("1.3", "1.2"),
    legacy_version=0x0303,
    cipher_suites=numbers(CIPHERS),
    extensions=numbers(EXTENSIONS),
    groups=(29, 23, 24),
    point_formats=(0,),
    signature_algorithms=numbers(ALGORITHMS),
    malformed_extensions=(),
    length=517,
    records=1,
    block=b"",
)


def test_the_example_of_the_specification():
    assert ja4(EXAMPLE, "t") == "t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize("transport", ["t", "q", "d"])
def test_the_first_character_says_what_carried_it(transport):
    assert ja4(EXAMPLE, transport)[0] == transport


def test_grease_is_ignored_everywhere():
    greased = EXAMPLE._replace(
        cipher_suites=(0x3A3A, *EXAMPLE.cipher_suites),
        extensions=(0x0A0A, *EXAMPLE.extensions, 0xFAFA),
        groups=(0x1A1A, *EXAMPLE.groups),
        signature_algorithms=(0xAAAA, *EXAMPLE.signature_algorithms),
        alpn=(printable(b"\x0a\x0a"), "h2"),
    )
    assert ja4(greased, "t") == ja4(EXAMPLE, "t")
    assert ja3(greased) == ja3(EXAMPLE)
    for byte in b"*:JZjz":  # GREASE whose bytes are printable
        assert ja4(EXAMPLE._replace(alpn=(chr(byte) * 2, "h2")), "t") == ja4(EXAMPLE, "t")


def test_without_signature_algorithms_the_text_ends_without_underscore():
    assert ja4(EXAMPLE._replace(signature_algorithms=()), "t").endswith("_6d807ffa2a79")


@pytest.mark.parametrize("extensions", [(), (0,), (16,), (0, 16), (0x0A0A,)])
def test_no_extensions_are_twelve_zeros(extensions):
    text = ja4(EXAMPLE._replace(extensions=extensions, cipher_suites=(0x1A1A,)), "t")
    count = sum(kind != 0x0A0A for kind in extensions)
    assert text == f"t13{'d' if 0 in extensions else 'i'}00{count:02}h2_000000000000_000000000000"


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        # those of the specification
        (b"\xab", "ab"), (b"\xab\xcd", "ad"), (b"\x30\xab", "3b"), (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"), (b"h2", "h2"), (b"http/1.1", "h1"), (b"a", "aa"), (b"", "00"),
        # of its rule
        (b"\\", "5c"), (b"x\\", "7c"), (b"\\x41", "51"), (b" a", "21"), (b"_a", "51"), (b"-", "2d"),
        (b"a" + 254 * b"\xff", "6f"), (b"\xaa\xb5", "a5"), ("é".encode(), "c9"), (b"Z9", "Z9"),
    ],
)  # fmt: skip
def test_first_and_last_character_of_the_first_protocol(first, shown):
    names = bytes([len(first)]) + first + b"\x02h3"
    found = parse_client_hello(records(hello(extension(16, len(names).to_bytes(2, "big") + names))))
    assert found
    assert ja4(found, "t")[8:10] == shown


def test_no_protocols():
    assert ja4(EXAMPLE._replace(alpn=()), "t")[8:10] == "00"


@pytest.mark.parametrize(
    ("versions", "shown"),
    [
        (("1.3", "1.2"), "13"), (("1.2", "1.3"), "13"), (("1.2",), "12"), (("1.1",), "11"), (("1.0",), "10"),
        (("ssl3",), "s3"), (("ssl2",), "s2"), (("dtls1.0",), "d1"), (("dtls1.2",), "d2"), (("dtls1.3",), "d3"),
        (("0x7f1c", "1.2"), "00"), (("0x0200",), "00"), (("dtls1.2", "dtls1.3"), "d2"),
    ],
)  # fmt: skip
def test_version_is_the_highest_number(versions, shown):
    assert ja4(EXAMPLE._replace(versions=versions), "t")[1:3] == shown


def test_more_than_99_are_99():
    many = tuple(range(1, 140))
    assert ja4(EXAMPLE._replace(cipher_suites=many, extensions=many), "t")[3:8] == "i9999"


def test_an_empty_server_name_extension_counts():
    """What decides is that the extension exists."""
    found = parse_client_hello(records(hello(extension(0, b""))))
    assert found
    assert ja4(found, "t")[3] == "d"
    named = parse_client_hello(records(hello(server_name(b"a.example"))))
    assert named
    assert ja4(named, "t") == ja4(found, "t")


def test_ja3_is_the_hash_of_its_text():
    text = (
        "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,"
        "27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0"
    )
    assert ja3(EXAMPLE) == hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - what JA3 is
    assert ja3s(771, 0x1301, (43, 51)) == hashlib.md5(b"771,4865,43-51").hexdigest()  # noqa: S324
    assert ja3s(769, 5, ()) == hashlib.md5(b"769,5,").hexdigest()  # noqa: S324


def test_known_ja3_of_an_empty_hello():
    found = parse_client_hello(records(CLIENT_MESSAGE))
    assert found
    bare = found._replace(extensions=(), groups=(), point_formats=())
    assert ja3(bare) == hashlib.md5(b"771,4865-4867-4866,,,").hexdigest()  # noqa: S324
