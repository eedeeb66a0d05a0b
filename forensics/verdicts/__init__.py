"""What findings and flows together say of each feature of each app."""

from __future__ import annotations

from forensics.verdicts.judge import judge
from forensics.verdicts.limits import limits
from forensics.verdicts.model import Limit, Verdict

__all__ = ["Limit", "Verdict", "judge", "limits"]
