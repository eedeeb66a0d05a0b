"""Which names led to an address, and when: the answers of the dns table turned round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class NamesByAddress:
    """What clients were told before they went somewhere.

    Counted are addresses of any answer, over UDP or TCP, whether they belong to the name asked for or to one that its
    CNAMEs lead to, and the address hints of HTTPS and SVCB records; always under the name that was asked for.
    """

    answers: pl.DataFrame
    """client, server, frame, qname: one row an address of an answer, in no particular order."""

    @classmethod
    def of(cls, dns: pl.DataFrame) -> NamesByAddress:
        """From the dns table (client, qname, response_frames and response_answers of it)."""
        return cls(
            dns.select("client", "qname", pl.col("response_frames").alias("frame"), "response_answers")
            .filter(
                pl.col("frame").list.len() > 0,
                pl.col("frame").list.len() == pl.col("response_answers").list.len(),
            )
            .explode("frame", "response_answers")
            .with_columns(server=pl.col("response_answers").str.split(" "))
            .explode("server")
            .filter(
                pl.col("server").is_not_null(), pl.col("frame").is_not_null(), pl.col("qname").is_not_null()
            )
            .select("client", "server", "frame", "qname")
        )

    def names(self, address: str) -> list[tuple[int, str, str]]:
        """Frame, client and name of every answer that holds the address, in the order of the capture."""
        found = self.answers.filter(server=address).sort("frame", "client", "qname")
        return list(found.select("frame", "client", "qname").iter_rows())

    def latest(self, flows: pl.DataFrame) -> pl.DataFrame:
        """``dns_name`` and ``dns_frame`` of flows (client, server and first_frame of them), one row a flow.

        That is the name under which the client last got the server's address before the flow began; null where it
        got it under none.
        """
        ends = flows.select("client", "server")
        pairs = ends.unique(maintain_order=True).with_row_index("pair")
        answers = self.answers.join(pairs, on=["client", "server"], how="inner").sort(
            "pair", "frame", "qname"
        )
        if answers.is_empty():
            nothing = {"dns_name": pl.String, "dns_frame": pl.Int64}
            return pl.DataFrame(schema=nothing).clear(flows.height)
        pair = ends.join(pairs, on=["client", "server"], how="left", maintain_order="left")["pair"]
        # One key that sorts by pair, then frame; frame numbers stay far below 2**40.
        key = _key(answers["pair"], answers["frame"])
        at = np.searchsorted(key, _key(pair, flows["first_frame"]), side="left") - 1
        hit = (at >= 0) & (answers["pair"].to_numpy()[np.maximum(at, 0)] == pair.to_numpy())
        place = pl.select(pl.when(pl.Series(hit)).then(pl.Series(at))).to_series()
        return pl.DataFrame(
            {"dns_name": answers["qname"].gather(place), "dns_frame": answers["frame"].gather(place)}
        )


def _key(group: pl.Series, frame: pl.Series) -> npt.NDArray[np.int64]:
    key: npt.NDArray[np.int64] = (group.to_numpy().astype(np.int64) << 40) + frame.to_numpy()
    return key
