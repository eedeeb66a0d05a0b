"""Rules over the fact tables: load, lint, evaluate, explain."""

from forensics.signatures.evaluate import Evaluation, evaluate
from forensics.signatures.load import SignatureSet

__all__ = ["Evaluation", "SignatureSet", "evaluate"]
