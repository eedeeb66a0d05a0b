"""Handshakes of messengers and VPNs: seen, answered, tried again; and what first bytes tell of any flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from forensics.observations.datagram_talk import DatagramTalk, Dialogue
from forensics.observations.dictionary.handshake import FLOW_HANDSHAKE
from forensics.observations.stream_openings import HTTP, TLS, Opening, StreamOpenings
from forensics.protocols.datagram_words import WORDS
from forensics.protocols.mtproto import may_be_obfuscated
from forensics.protocols.openings import Spoken, name_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.flows.arrays import IntArray
    from forensics.observations.collector import Arrived, Asked
    from forensics.observations.dictionary import Table
    from forensics.observations.sides import Sides

_MS: Final = 1e6
_STAND_INS: Final = {TLS: b"\x16\x03\x03\x00\x00", HTTP: b"HTTP/1.1 "}
"""For the bytes of a side that other collectors look into: no more of them is asked for."""
_NOTHING: Final = Opening(b"", -1, 0, None)


class _Row(NamedTuple):
    """What is told of one row of the flow table; None wherever nothing is."""

    told_word: str | None = None
    told_source: str | None = None
    protocol_possible: str | None = None
    handshake_protocol: str | None = None
    handshake_detail: str | None = None
    handshake_frame: int | None = None
    handshake_frames: list[int] | None = None
    handshake_tries: int | None = None
    handshake_answered: bool | None = None
    handshake_answer_frame: int | None = None
    handshake_answer_ms: float | None = None
    handshake_open_tries: int | None = None
    handshake_open_frames: list[int] | None = None
    first_packet_bytes: int | None = None
    first_packet_bits: float | None = None
    first_packet_printable_prefix: bool | None = None
    first_packet_printable_share: float | None = None
    first_packet_printable_run: int | None = None
    first_packet_known_prefix: bool | None = None
    first_packet_exempt: bool | None = None


_SCHEMA: Final = {"told_word": pl.String, "told_source": pl.String} | {
    column.name: column.dtype for column in FLOW_HANDSHAKE if column.name in _Row._fields
}


class HandshakeCollector:
    """Flow columns of handshakes and first packets; ``told_word`` and ``told_source`` are for classify()."""

    tables: tuple[Table, ...] = ()

    def __init__(self, asked: Asked) -> None:
        """Nothing here costs enough to depend on what is asked."""
        del asked
        self.streams = StreamOpenings()
        self.talk = DatagramTalk()
        self._engine: Any = None

    def add(self, arrived: Arrived) -> None:
        """Take in one batch."""
        self.streams.add(arrived)
        self.talk.add(arrived)
        self._engine = arrived.engine

    def finish(self, flows: IntArray) -> None:
        """Nothing is held back."""

    def clear(self, flows: IntArray) -> None:
        """Forget finished flows, whose numbers are used again."""
        self.streams.clear(flows)
        self.talk.clear(flows)

    def rows(self, table: str, sides: Sides) -> pl.DataFrame:  # noqa: ARG002 - the signature of all collectors
        """No table comes from here."""
        raise KeyError(table)

    def flow_columns(self, sides: Sides) -> Mapping[str, Any]:
        """See dictionary/handshake.py."""
        size = len(sides)
        client, server = self.streams.states(sides.client), self.streams.states(sides.server)
        self.talk.flows.grow_to(int(sides.flow.max(initial=-1)) + 1)
        word = self.talk.flows["word"][sides.flow]
        quic = self.talk.flows["quic"][sides.flow]
        tunnel = self.talk.flows["tunnel"][sides.flow]
        plain = np.select([(client == TLS) | (server == TLS), (client == HTTP) | (server == HTTP)], [1, 2], 0)
        asks = ((client > 0) & (client < TLS)) | ((server > 0) & (server < TLS))
        found: dict[int, _Row] = {}
        for row in np.flatnonzero(asks | (tunnel > 0)).tolist():
            dialogue = self.talk.dialogues.get(int(sides.flow[row]))
            if dialogue is not None:
                found[row] = _from_dialogue(dialogue, heard=self.talk.heard(int(sides.flow[row]), dialogue))
            elif tunnel[row] == 0:
                states = int(client[row]), int(server[row])
                found[row] = self._from_stream(int(sides.client[row]), int(sides.server[row]), states)
        columns = _columns(size, found)
        told = np.array(["", "tls", "http"], dtype=object)[plain]
        told = np.where(word > 0, np.array(WORDS, dtype=object)[word], told)
        weak = (told == "") & quic
        words = pl.Series("told_word", np.where(weak, "quic", told).tolist(), dtype=pl.String)
        source = pl.Series("told_source", np.where(weak, "port", "first_bytes").tolist(), dtype=pl.String)
        known = words != ""
        mine = columns["told_word"].is_not_null()
        return columns | {
            "told_word": pl.select(
                pl.when(mine).then(columns["told_word"]).when(known).then(words)
            ).to_series(),
            "told_source": pl.select(
                pl.when(mine).then(columns["told_source"]).when(known).then(source)
            ).to_series(),
        }

    def _from_stream(self, client: int, server: int, states: tuple[int, int]) -> _Row:
        begun = self._engine.sequence.sides["syn_seen"]
        if not begun[client] and not begun[server]:
            return _Row()  # in the middle of a connection first bytes tell nothing
        ours = self.streams.opening(client) if begun[client] else None
        theirs = self.streams.opening(server) if begun[server] else None
        said, answer = ours or _NOTHING, theirs or _NOTHING
        spoken = name_stream(
            said.data or _STAND_INS.get(states[0], b""), answer.data or _STAND_INS.get(states[1], b"")
        )
        if spoken is None and (TLS in states or HTTP in states):
            return _Row()
        if spoken is None:
            return self._unknown(said)
        if not spoken.handshake or said.frame < 0:
            return _Row(told_word=spoken.word, told_source="first_bytes")
        silent = theirs is None and states[1] == 0
        if theirs is None and not silent:  # HTTP: its first bytes are kept elsewhere
            answer = Opening(b"", int(self._engine.sides["first_D"][server]), -1, None)
        return self._handshake(client, spoken, said, answer, answered_by_nobody=silent)

    def _handshake(
        self, client: int, spoken: Spoken, said: Opening, answer: Opening, *, answered_by_nobody: bool
    ) -> _Row:
        answered = spoken.answered or (False if answered_by_nobody else None)
        tries = int(self.streams.sides["tries"][client])
        frames = self.streams.frames.get(client, [])
        return _Row(
            told_word=spoken.word if spoken.certain else None,
            told_source="handshake" if spoken.certain else None,
            protocol_possible=None if spoken.certain else spoken.word,
            handshake_protocol=spoken.word,
            handshake_detail=spoken.detail or None,
            handshake_frame=said.frame,
            handshake_frames=frames,
            handshake_tries=tries,
            handshake_answered=answered,
            handshake_answer_frame=answer.frame if answered else None,
            handshake_answer_ms=(answer.time - said.time) / _MS if answered and answer.time >= 0 else None,
            handshake_open_tries=0 if answered else tries,
            handshake_open_frames=None if answered else frames,
        )

    @staticmethod
    def _unknown(said: Opening) -> _Row:
        """Nothing names it: how its first packet looks to a filter of fully encrypted traffic."""
        first = said.first
        possible = "mtproto" if may_be_obfuscated(said.data) else None
        if first is None:
            return _Row(protocol_possible=possible)
        return _Row(
            protocol_possible=possible,
            first_packet_bytes=first.size,
            first_packet_bits=first.bits,
            first_packet_printable_prefix=first.printable_prefix,
            first_packet_printable_share=first.printable_share,
            first_packet_printable_run=first.printable_run,
            first_packet_known_prefix=first.known_prefix,
            first_packet_exempt=first.exempt,
        )


def _from_dialogue(dialogue: Dialogue, *, heard: bool) -> _Row:
    if not dialogue.keys:  # messages of a handshake whose beginning is missing
        return _Row(told_word=dialogue.word, told_source="handshake")
    answered = True if dialogue.answer_frame is not None else None if heard else False
    after = (dialogue.answer_time - dialogue.request_time) / _MS
    detail = dialogue.detail + (f"; {dialogue.answer}" if dialogue.answer else "")
    return _Row(
        told_word=dialogue.word,
        told_source="handshake",
        handshake_protocol=dialogue.word,
        handshake_detail=detail,
        handshake_frame=dialogue.frames[0],
        handshake_frames=dialogue.frames,
        handshake_tries=dialogue.requests,
        handshake_answered=answered,
        handshake_answer_frame=dialogue.answer_frame,
        handshake_answer_ms=after if answered else None,
        handshake_open_tries=len(dialogue.unanswered),
        handshake_open_frames=dialogue.unanswered[:16] or None,
    )


def _columns(size: int, found: Mapping[int, _Row]) -> dict[str, pl.Series]:
    """All columns, null where nothing is told."""
    place = np.full(size, -1, dtype=np.int64)
    place[list(found)] = np.arange(len(found))
    rows = list(found.values()) or [_Row()]
    frame = pl.DataFrame([row._asdict() for row in rows], schema=_SCHEMA, orient="row")
    at = pl.Series(place)
    at = pl.select(pl.when(at >= 0).then(at)).to_series()
    return {name: frame[name].gather(at) for name in _SCHEMA}
