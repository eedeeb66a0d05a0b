"""The documented differences between us and tshark 4.0: when one holds, and why it is no error of either.

Each is a class of packets, never a list of captures: the condition is tested on what both programs say of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forensics.crosscheck.seen import OUT_OF_ORDER, QUESTIONS, RETRANSMISSION, SHORT_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from forensics.crosscheck.seen import Seen, Subject, Value


@dataclass(frozen=True)
class Answers:
    """One subject, what the two programs say of it, and all else that they say of the capture."""

    question: str
    subject: Subject
    mine: Seen
    theirs: Seen

    @property
    def ours(self) -> Value | None:
        """Our answer."""
        return self.mine.values[self.question].get(self.subject)

    @property
    def tshark(self) -> Value | None:
        """That of tshark."""
        return self.theirs.values[self.question].get(self.subject)

    @property
    def frames(self) -> set[int]:
        """Frames that are named by one of the two only, or the frame that the question is about."""
        if self.subject.frame > 0:
            return {self.subject.frame}
        left, right = (side.frames[self.question].get(self.subject, ()) for side in (self.mine, self.theirs))
        return set(left) ^ set(right)

    @property
    def layers(self) -> list[str]:
        """What tshark dissected in the frame (that completed the message), from the outermost protocol."""
        whole = self.theirs.frames[self.question].get(self.subject, [self.subject.frame])
        return self.theirs.layers.get(whole[-1], "").split(":")

    @property
    def remarks(self) -> frozenset[str]:
        """What tshark remarks on its TCP."""
        return self.theirs.remarks.get(self.subject.frame, frozenset())


@dataclass(frozen=True)
class Explanation:
    """One class of differences."""

    id: str
    questions: frozenset[str]
    what: str
    """The difference, as a reader meets it."""
    why: str
    holds: Callable[[Answers], bool]
    """Whether this is why the answers to one of ``questions`` differ."""


_LATE: Final = {OUT_OF_ORDER, RETRANSMISSION}
_UNKNOWN: Final = {"data", "tcp", "udp", ""}


def _copies(answers: Answers) -> bool:
    frames, copies = answers.frames, answers.mine.copies
    if isinstance(answers.ours, int) and isinstance(answers.tshark, int):
        copied = copies.intersection(answers.theirs.frames[answers.question].get(answers.subject, ()))
        return frames <= copies and 0 < answers.tshark - answers.ours <= len(copied)
    return answers.ours is None and bool(frames) and frames <= copies


def _reset_again(answers: Answers) -> bool:
    return answers.ours is None and answers.subject in answers.mine.values["resets"]


def _acknowledged(answers: Answers) -> bool:
    first = answers.subject.frame in answers.mine.first
    return answers.ours is None and first and "spurious_retransmission" in answers.remarks


def _other_versions(answers: Answers) -> bool:
    several = len(answers.theirs.quic_versions.get(answers.subject.stream, ())) > 1
    return answers.tshark is None and several and answers.layers[-1] == "quic"


def _port_of_another(answers: Answers) -> bool:
    wanted = "quic" if answers.question == "quic_names" else "tls"
    return answers.tshark is None and wanted not in answers.layers and answers.layers[-1] not in _UNKNOWN


def _carried(answers: Answers) -> bool:
    inner = next((name for name in ("tls", "dtls", "http") if name in answers.layers), "")
    if answers.ours is not None or not inner:
        return False
    return answers.layers[answers.layers.index(inner) - 1] not in {"tcp", "udp"}


def _cut_at_zero(answers: Answers) -> bool:
    ours = str(answers.ours)
    return "\x00" in ours and ours.partition("\x00")[0] == answers.tshark


def _short_header(answers: Answers) -> bool:
    frames = answers.theirs.frames[answers.question].get(answers.subject, ())
    short = (SHORT_HEADER in answers.theirs.remarks.get(frame, ()) for frame in frames)
    return answers.ours is None and bool(frames) and all(short)


def _damaged(answers: Answers) -> bool:
    frames = answers.frames
    return bool(frames) and frames <= answers.theirs.damaged


def _waits(answers: Answers) -> list[int]:
    """Frames after gaps in the stream, where only we read a message and tshark nothing above TCP."""
    waits = answers.subject.proto == "tcp" and answers.tshark is None and answers.layers[-1] == "tcp"
    return answers.theirs.gaps.get(answers.subject.stream, []) if waits else []


def _after_a_gap(answers: Answers) -> bool:
    return any(frame <= answers.subject.frame for frame in _waits(answers))


def _unfinished(answers: Answers) -> bool:
    if any(frame > answers.subject.frame for frame in _waits(answers)):
        return True
    return (
        answers.tshark is None and answers.subject in answers.mine.unfinished and answers.layers[-1] == "tcp"
    )


def _not_kept(answers: Answers) -> bool:
    return answers.ours is None and answers.subject._replace(frame=-1) in answers.mine.partial


def _renumbered(answers: Answers) -> bool:
    """Some stream up to this one begins at another frame for tshark, after one of the dissectors that cause it."""
    proto, stream = answers.subject.proto, answers.subject.stream
    left, right = (
        {subject.stream: frames[0] for subject, frames in side.frames[f"{proto}_streams"].items()}
        for side in (answers.mine, answers.theirs)
    )
    shifted = [
        min(left.get(number, right.get(number, 0)), right.get(number, left.get(number, 0)))
        for number in sorted(left.keys() | right.keys())
        if number <= stream and left.get(number) != right.get(number)
    ]
    announced = set(answers.theirs.frames["udp_streams"].get(answers.subject, ()))
    shifted += [frame for number, frame in left.items() if number != stream and frame in announced]
    if not shifted:
        return False
    causes = (frame for frame, layers in answers.theirs.layers.items() if _NUMBERING & set(layers.split(":")))
    return min(causes, default=shifted[0] + 1) <= shifted[0]


_NUMBERING: Final = {"socks", "sdp"}

_HELLOS: Final = frozenset({"server_names", "ja3"})
_REQUESTS: Final = frozenset({"http_hosts", "http_status"})
_DNS: Final = frozenset({"dns_names", "dns_answers"})
_SEGMENTS: Final = frozenset({"resets", "late_segments"})
_BY_STREAM: Final = frozenset(QUESTIONS) - {"packets"}

EXPLANATIONS: Final = (
    Explanation(
        "copies",
        _SEGMENTS | _DNS | _HELLOS | _REQUESTS,
        "packets, and what is in them, that only tshark counts, in captures that hold packets twice",
        "tshark takes the copies that a mirror port or a second interface makes for packets of their own, and segments "
        "among them for retransmissions. We know them by what no sender repeats (the IP-ID and the checksum, within "
        "5 ms) and count them apart.",
        _copies,
    ),
    Explanation(
        "late-kind",
        frozenset({"late_segments"}),
        "one says retransmission, the other out of order, of the same segment",
        "Both see that it is late. tshark sorts late segments by the time since the sender's last one (3 ms, or the "
        "round-trip time of the handshake) and by acknowledgements, we by how long the gap was open, in packets and in "
        "round-trip times.",
        lambda answers: {answers.ours, answers.tshark} == _LATE,
    ),
    Explanation(
        "reset-again",
        frozenset({"late_segments"}),
        "a retransmission that is a reset",
        "tshark counts a reset with data in it that is sent twice as a retransmission. To us a reset is never one: its "
        "numbers may be anything.",
        _reset_again,
    ),
    Explanation(
        "acknowledged-before",
        frozenset({"late_segments"}),
        "a retransmission that only tshark sees, in the first segment of a side",
        "The other side had acknowledged these bytes, and nothing before them is in the capture. tshark calls that a "
        "spurious retransmission; to us, a retransmission repeats what the capture holds.",
        _acknowledged,
    ),
    Explanation(
        "quic-versions",
        frozenset({"quic_names"}),
        "a QUIC hello that only we read, in a connection of several versions",
        "tshark 4.0 keeps the keys of the first version that it met in a connection: after Version Negotiation it "
        "says that decryption failed.",
        _other_versions,
    ),
    Explanation(
        "port-of-another",
        _HELLOS | {"quic_names"},
        "TLS or QUIC that only we read, on a port of another protocol",
        "tshark goes by the port first, and dissects there what the port stands for, such as DNS on 53. We go by the "
        "bytes.",
        _port_of_another,
    ),
    Explanation(
        "carried",
        _HELLOS | _REQUESTS,
        "a TLS hello or an HTTP message that only tshark reads, inside another protocol",
        "TLS or HTTP that OpenVPN, SOCKS or a proxy carries is no connection of its own to us: the conversation is "
        "that of the protocol that carries it.",
        _carried,
    ),
    Explanation(
        "zero-byte",
        _HELLOS | {"quic_names", "http_hosts"},
        "a server name with a zero byte",
        "tshark ends the name there, as C does. We show all of it.",
        _cut_at_zero,
    ),
    Explanation(
        "short-header",
        frozenset({"tcp_streams", "resets"}),
        "a TCP stream that only tshark has, of headers with a length below 20 bytes or beyond the packet",
        "No TCP header is that short (RFC 9293 3.1), and none goes on in another packet. tshark numbers the "
        "conversation nevertheless; we count the packet as malformed.",
        _short_header,
    ),
    Explanation(
        "damaged-dns",
        _DNS,
        "names or answers that only tshark has, of damaged or impossible DNS messages",
        "tshark shows what it could read before the damage, and writes <...> in place of a name that it cannot read "
        "(a loop of pointers, an unknown label, more than 255 bytes). We take nothing from there on, and nothing "
        "at all from what is no DNS: an unknown class or operation, a query with a response code.",
        _damaged,
    ),
    Explanation(
        "after-a-gap",
        _HELLOS | _REQUESTS | {"dns_answers"},
        "a message that only we read, after bytes that the capture misses",
        "tshark, told to put TCP segments in order (tcp.reassemble_out_of_order), waits for the missing bytes and "
        "dissects nothing after them. We go on where a message begins.",
        _after_a_gap,
    ),
    Explanation(
        "unfinished-body",
        frozenset({"http_status"}),
        "an HTTP response that only we read, of which the capture does not hold the whole body",
        "tshark, told to put bodies together (http.desegment_body), waits for the rest of it. Otherwise it would lose "
        "its place in the stream after a body that is sent in chunks.",
        _unfinished,
    ),
    Explanation(
        "many-responses",
        frozenset({"dns_answers"}),
        "DNS responses that only tshark has, after many others to the same query",
        "The dns table names the first 16 responses to a query and counts the others.",
        _not_kept,
    ),
    Explanation(
        "stream-numbers",
        _BY_STREAM,
        "stream numbers that are shifted from some point on",
        "tshark gives a number to a conversation that SOCKS or SDP only announce, and puts all packets to an address "
        "that SDP announced into one. To us each pair of addresses and ports that sends is one conversation.",
        _renumbered,
    ),
)
"""In the order in which they are tried."""


def explain(question: str, subject: Subject, mine: Seen, theirs: Seen) -> str:
    """Id of the first documented difference that a difference is one of; empty when it is none."""
    answers = Answers(question, subject, mine, theirs)
    for explanation in EXPLANATIONS:
        if question in explanation.questions and explanation.holds(answers):
            return explanation.id
    return ""
