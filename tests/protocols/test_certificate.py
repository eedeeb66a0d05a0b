"""What certificates say; the expected values are what openssl prints of them."""

from __future__ import annotations

import hashlib
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protocols.certificate import Certificate, covers, read_certificate
from pcaps.generate.certificate_samples import CLIENT, LEAF, ROOT


def test_a_leaf():
    # openssl x509 -inform DER -noout -subject -issuer -serial -dates -ext subjectAltName -nameopt RFC2253
    assert read_certificate(LEAF) == Certificate(
        length=538,
        sha256="f648c10f1661c1cd0215966168b97b4757ab398ffa207b4ce45a7615c659d96b",
        sha1="e7dd35a788ace78c60cc29475eafa96e40b2ece2",
        subject=r"CN=www.example.org,O=Ex\"ample \<Org\>,C=XX",
        subject_cn="www.example.org",
        issuer=r"CN=Example Root,O=Example Trust\, Inc.,C=XX",
        issuer_cn="Example Root",
        self_issued=False,
        serial="01a2b6",
        not_before="2025-02-01T00:00:00Z",
        not_after="2026-01-31T23:59:59Z",
        names=("www.example.org", "*.example.net", "192.0.2.7", "2001:db8::7"),
        ca=False,
        key="ec secp256r1",
        signature_algorithm="ecdsa-with-SHA256",
        malformed=(),
    )


def test_a_root():
    root = read_certificate(ROOT)
    assert (root.self_issued, root.ca, root.names, root.malformed) == (True, True, (), ())
    assert (root.serial, root.not_before, root.not_after) == (
        "01a2b3",
        "2020-01-01T00:00:00Z",
        "2050-01-01T00:00:00Z",
    )
    assert root.sha256 == "764b14a36e5e4df5cf27ffffc0e17f6a7a2e45b172e41717abcc49d00ce9c37d"


def test_what_is_not_ascii_is_escaped_and_no_end_is_too_late():
    client = read_certificate(CLIENT)
    assert client.subject == r"CN=K\xc3\xa4the Client"  # UTF-8
    assert client.not_after == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    "der", [b"", b"\x30", b"\x30\x00", LEAF[:-1], LEAF + b"\0", b"\x30\x84\xff\xff\xff\xff"]
)
def test_none_at_all(der):
    found = read_certificate(der)
    assert found.malformed == ("certificate",)
    assert (found.length, found.sha256) == (len(der), hashlib.sha256(der).hexdigest())
    assert (found.subject, found.names, found.not_after) == (None, (), None)


def test_what_is_broken_spoils_its_own_field_only():
    # an alternative name of type dNSName that is no ASCII
    found = read_certificate(LEAF.replace(b"www.example.org\x82", b"www.example.\xff\xffg\x82"))
    assert found.malformed == ("names", "ca")  # both are extensions
    assert found.subject_cn == "www.example.org"


def test_nobody_can_forge_an_escape_or_a_part_of_a_name():
    found = read_certificate(ROOT.replace(b"Example Root", b"a,O=b\\x20\x1b\n+"))
    assert found.subject_cn == r"a,O=b\x5cx20\x1b\x0a+"
    assert found.subject == r"CN=a\,O=b\x5cx20\x1b\x0a\+,O=Example Trust\, Inc.,C=XX"


@pytest.mark.parametrize(
    ("names", "host", "found"),
    [
        (("a.test",), "a.test", True),
        (("a.test",), "b.a.test", False),
        (("*.a.test",), "b.a.test", True),
        (("*.a.test",), "a.test", False),
        (("*.a.test",), "c.b.a.test", False),
        (("*",), "test", False),
        (("x*.a.test",), "xy.a.test", False),
        ((), "a.test", False),
    ],
)
def test_names_that_cover_a_host(names, host, found):
    # https://www.rfc-editor.org/rfc/rfc9525#section-6.3
    assert covers(names, host) is found


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nothing_breaks_it(data):
    der = bytearray(data.draw(st.sampled_from([LEAF, ROOT, CLIENT])))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_certificate(bytes(der))
    for text in (found.subject, found.issuer, found.serial, found.key, *found.names):
        assert text is None or (text.isascii() and text.isprintable() and len(text) <= 1024)
