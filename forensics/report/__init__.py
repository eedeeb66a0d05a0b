"""What is handed to people and programs: text and JSON, made from one Analysis."""

from __future__ import annotations

from forensics.report.json_format import dump_json, json_report
from forensics.report.printable import printable
from forensics.report.text import text_report

__all__ = ["dump_json", "json_report", "printable", "text_report"]
