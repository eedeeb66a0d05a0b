"""HTTP/1 heads and bodies: requests, responses, how long a body is, what its beginning says."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from forensics.protocols.errors import ProtocolError
from forensics.protocols.text import printable

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_HEAD: Final = 64 << 10
"""A head that is not whole after so many bytes is none."""
MAX_FIELDS: Final = 200
BODY: Final = 4096
"""Bytes of a body that are kept."""
MAX_TEXT: Final = 1024
"""Characters of a request target or a Location that are kept."""
_INFLATED: Final = 16 << 10

# https://www.iana.org/assignments/http-methods/, and those of UPnP
METHODS: Final = tuple(
    word.encode()
    for word in (  # noqa: SIM905 - one line a word would be long
        "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK M-SEARCH MERGE "
        "MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE NOTIFY OPTIONS ORDERPATCH PATCH POST PROPFIND "
        "PROPPATCH PURGE PUT REBIND REPORT SEARCH SUBSCRIBE TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UNSUBSCRIBE UPDATE "
        "UPDATEREDIRECTREF VERSION-CONTROL"
    ).split()
)
_STATUS: Final = b"HTTP/1."

# https://www.rfc-editor.org/rfc/rfc9112#section-2.2: a line may end in LF alone
_END: Final = re.compile(rb"\r?\n\r?\n")
# https://www.rfc-editor.org/rfc/rfc9112#section-3 (a method is a token, a target holds no space)
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_VERSION: Final = re.compile(rb"HTTP/(\d)\.(\d)")
# https://www.rfc-editor.org/rfc/rfc9112#section-4
_RESPONSE: Final = re.compile(rb"HTTP/(\d)\.(\d) +(\d{3})(?: (.*))?", re.DOTALL)
_TITLE: Final = re.compile(rb"<title(?:\s[^>]{0,200})?>(.{0,1000}?)</title", re.IGNORECASE | re.DOTALL)
_CHARSET: Final = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,20})", re.IGNORECASE)
_KNOWN_CHARSETS: Final = (
    "utf-8 utf8 us-ascii iso-8859-1 iso-8859-5 iso-8859-6 iso-8859-9 windows-1250 windows-1251 windows-1252 "
    "windows-1254 windows-1255 windows-1256 koi8-r koi8-u gb2312 gbk gb18030 big5 shift_jis euc-jp euc-kr tis-620"
)
_CHARSETS: Final = frozenset(_KNOWN_CHARSETS.split())


class Head(NamedTuple):
    """Start line and fields of one message."""

    method: str
    """Empty for a response."""
    target: str
    """As it was sent."""
    status: int
    """0 for a request."""
    reason: str
    version: str
    """``1.1``."""
    fields: dict[str, bytes]
    """Lower-case name → value of its first occurrence (Content-Length, Transfer-Encoding: all, joined by a comma)."""
    length: int
    """Bytes of the head with the empty line."""
    whole: bool
    """The empty line was seen."""

    def text(self, name: str, limit: int = 255) -> str | None:
        """A field as printable text; None where it is absent."""
        value = self.fields.get(name)
        return None if value is None else printable(value, limit)


class Framing(NamedTuple):
    """Where the body of a message ends (RFC 9112 6.3)."""

    chunked: bool
    length: int | None
    """None: chunked, or until the connection closes."""


def looks_like_http(head: npt.NDArray[np.uint8], length: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which first bytes (n × 8 or more, zero padded; ``length`` valid ones) are or may become a message."""
    found = (length > 0) & _FIRST[head[:, 0]]
    likely = np.flatnonzero(found)
    first = np.ascontiguousarray(head[likely, :8]).view(">u8")[:, 0].astype(np.uint64)
    have = np.minimum(length[likely], 8).astype(np.uint64)
    known = ~np.uint64(0) << (np.uint64(64) - have * np.uint64(8))
    begins = np.zeros(len(likely), dtype=np.bool_)
    for word in _BEGINNINGS:
        mask = known & np.uint64(((1 << 8 * len(word)) - 1) << (64 - 8 * len(word)))
        begins |= (first & mask) == (np.uint64(int.from_bytes(word.ljust(8, b"\0"))) & mask)
    found[likely] = begins
    return found


_BEGINNINGS: Final = tuple(sorted({(method + b" ")[:8] for method in METHODS} | {_STATUS}))
_FIRST: Final = np.isin(np.arange(256), [word[0] for word in _BEGINNINGS])


def begins_message(data: bytes) -> bool:
    """Whether bytes in the middle of a stream begin a message: used to find the way again after a loss."""
    return data.startswith((_STATUS, *_WORDS))


_WORDS: Final = tuple(method + b" " for method in METHODS)


def parse_head(data: bytes, *, final: bool = False) -> Head | None:
    """The head at the beginning of ``data``.

    None: more bytes are needed. With ``final`` there are no more, and what is there is told as far as its lines are
    whole. Raises ProtocolError where no message begins, and where a head is longer than ``MAX_HEAD``.
    """
    end = _END.search(data, 0, MAX_HEAD)
    if end is None:
        _may_begin(data)
        if len(data) >= MAX_HEAD:
            raise ProtocolError(f"an HTTP head of more than {MAX_HEAD} bytes")
        last = data.rfind(b"\n")
        if not final or last < 0:
            return None
        return _read_head(data[: last + 1], last + 1, whole=False)
    return _read_head(data[: end.start()], end.end(), whole=True)


def _may_begin(data: bytes) -> None:
    """Gives up early on what can be no head: most streams that are not HTTP never hold an empty line."""
    line, found, _ = data.partition(b"\n")
    if found:
        _start_line(line)
    elif not data.startswith(_STATUS[: len(data)]):
        word, space, _ = line[:64].partition(b" ")
        if b"\x00" in line or not (space or len(line) < 64) or not _METHOD.fullmatch(word):  # noqa: PLR2004 - as above
            raise ProtocolError("no HTTP start line")


def _start_line(line: bytes) -> tuple[bytes, bytes, int, bytes, str]:
    """Method, target, status, reason, version; RFC 9112 3 and 4."""
    line = line.rstrip()
    if line.startswith(_STATUS):
        answer = _RESPONSE.fullmatch(line)
        if answer is None:
            raise ProtocolError("no HTTP status line")
        return b"", b"", int(answer[3]), answer[4] or b"", f"{answer[1].decode()}.{answer[2].decode()}"
    method, _, rest = line.partition(b" ")
    target, _, protocol = rest.rpartition(b" ")
    version = _VERSION.fullmatch(protocol)
    target = target.strip()
    if version is None or not target or not _METHOD.fullmatch(method):
        raise ProtocolError("no HTTP request line")
    return method, target, 0, b"", f"{version[1].decode()}.{version[2].decode()}"


def _read_head(data: bytes, length: int, *, whole: bool) -> Head:
    lines = data.split(b"\n", MAX_FIELDS + 1)
    method, target, status, reason, version = _start_line(lines[0])
    fields: dict[str, bytes] = {}
    for line in lines[1 : MAX_FIELDS + 1]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name[:1] in b" \t":
            continue
        key = name[:64].strip().lower().decode("latin-1")  # to look up, never shown
        value = value.strip()
        if key not in fields:
            fields[key] = value
        elif key in {"content-length", "transfer-encoding"}:
            fields[key] += b"," + value
    return Head(
        method.decode(), printable(target, MAX_TEXT), status, readable(reason), version, fields, length, whole
    )


def framing(head: Head, method: str = "") -> Framing:
    """How the body of a message ends; ``method`` of the request for a response (empty: unknown)."""
    # https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    status = head.status
    none = status and (method == "HEAD" or status < 200 or status in {204, 304})  # noqa: PLR2004 - status codes
    if none or (method == "CONNECT" and 200 <= status < 300):  # noqa: PLR2004 - status codes
        return Framing(chunked=False, length=0)
    coding = head.fields.get("transfer-encoding")
    if coding is not None:
        if coding.lower().replace(b" ", b"").rsplit(b",", 1)[-1] == b"chunked":
            return Framing(chunked=True, length=None)
        return Framing(chunked=False, length=None if status else 0)
    lengths = {part.strip() for part in head.fields.get("content-length", b"").split(b",")}
    if len(lengths) == 1:
        (size,) = lengths
        if size.isdigit() and len(size) <= 15:  # noqa: PLR2004 - beyond a petabyte it is not meant
            return Framing(chunked=False, length=int(size))
    return Framing(chunked=False, length=None if status else 0)


def chunk_size(line: bytes) -> int:
    """The size on a chunk's first line (RFC 9112 7.1); ProtocolError for none."""
    digits = line.split(b";", 1)[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,12}", digits):
        raise ProtocolError("no HTTP chunk size")
    return int(digits, 16)


def decoded(body: bytes, coding: bytes) -> bytes:
    """The beginning of a body without its content coding (gzip, deflate); as it is where that fails."""
    word = coding.strip().lower()
    if word not in {b"gzip", b"x-gzip", b"deflate"}:
        return body
    # https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1: "deflate" is zlib, and by mistake often without its header
    for bits in (47, -15):
        try:
            return zlib.decompressobj(bits).decompress(body, _INFLATED)
        except zlib.error:
            continue
    return body


def title_of(body: bytes, content_type: bytes = b"") -> str | None:
    """The title of an HTML page; None without one."""
    found = _TITLE.search(body)
    if found is None:
        return None
    charset = _CHARSET.search(content_type) or _CHARSET.search(body[:1024])
    return readable(found[1], charset=charset[1].decode().lower() if charset else "utf-8")


def readable(data: bytes, limit: int = 255, charset: str = "utf-8") -> str:
    r"""Text for people: white space as one space, what cannot be shown (and ``\``) escaped, cut to ``limit``."""
    text = data.decode(charset if charset in _CHARSETS else "utf-8", errors="replace")
    text = " ".join(text.split())
    if text.isprintable() and "\\" not in text:
        return text[:limit]
    pieces: list[str] = []
    room = limit
    for char in text[:limit]:
        shown = char if char.isprintable() and char != "\\" else f"\\x{ord(char):02x}"
        room -= len(shown)
        if room < 0:
            break
        pieces.append(shown)
    return "".join(pieces)
