"""Where the signature files are: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

from forensics.errors import ForensicsError


def signature_root() -> Path:
    """The directory that holds ``interference/``, ``apps/``, ``injectors/`` and ``pools/``.

    In an installed wheel this is ``forensics/signatures/data``; in a checkout it is the top-level ``signatures/``.
    Raises ForensicsError when neither is there (a damaged installation).
    """
    package = Path(__file__).resolve().parent
    for place in (package / "signatures" / "data", package.parent / "signatures"):
        if (place / "interference").is_dir() or (place / "apps").is_dir():
            return place
    raise ForensicsError("the signature files are missing from this installation: install forensics again")
