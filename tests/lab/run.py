"""Run the laboratory: stage scenarios, check that each was what it says, analyse both captures, and score.

``python -m tests.lab.run ["sni-*" …]``. Exit status: 0 all as expected; 1 not so: a scenario that broke, an accusation,
an expectation that is neither met nor listed in not_yet.yaml, or one that is listed and met; 2 no laboratory can run
here.
"""
# ruff: noqa: T201 - a program: what it prints is its purpose

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab import network, score, session, truth
from tests.lab.middlebox import truth_of
from tests.lab.scenario import CLIENT, SERVER, Conversation, Scenario
from tests.lab.scenarios import every

ATTEMPTS: Final = 3
"""A scenario that could not be staged as it should be is staged again; what is said of one is never a reason."""
ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "lab"


@dataclass
class Result:
    """All that is known of one scenario."""

    scenario: Scenario
    broken: list[str] = field(default_factory=list)
    """Why it was not what it says."""
    seen: list[score.Seen] = field(default_factory=list)
    accusations: list[score.Accusation] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What is wrong with the reports themselves."""
    attempts: int = 0

    def line(self, listed: set[str]) -> str:
        """The result in one line."""
        parts = [f"BROKEN {text}" for text in self.broken] + [f"WRONG {text}" for text in self.wrong]
        for row in self.seen:
            mark = {(True, False): "seen", (False, True): "not yet"}.get((row.met, row.key in listed))
            parts.append(f"{mark or ('SEEN, BUT LISTED' if row.met else 'MISSED')} {row}")
        parts += [f"ACCUSED {row}" for row in self.accusations]
        again = f" (attempt {self.attempts})" if self.attempts > 1 else ""
        return f"{self.scenario.name}{again}: {'; '.join(parts) or 'quiet, as it should be'}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line names, and print the score."""
    options = _options(argv)
    chosen = pick(options.patterns)
    if options.list:
        print(*(f"{scenario.name}: {scenario.about}" for scenario in chosen), sep="\n")
        return 0
    why = network.missing()
    if why or not chosen:
        print(f"lab: {why or 'no scenario has such a name'}", file=sys.stderr)
        return 2
    listed = score.not_yet()
    folder = options.folder.resolve()
    try:
        results = run(chosen, folder, options.workers, lambda one: print(one.line(listed), flush=True))
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    print(table(results, listed))
    told = {one.scenario.name: _told(one) for one in results}
    (folder / "score.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    (folder / "missing.yaml").write_text(missing(results), encoding="utf-8")
    return int(failed(results, listed))


def pick(patterns: Sequence[str]) -> list[Scenario]:
    """The scenarios whose name matches one of these, or all; those that take longest come first."""
    chosen = [
        one for one in every().values() if not patterns or any(fnmatch(one.name, text) for text in patterns)
    ]
    return sorted(chosen, key=lambda one: -one.seconds)


def run(chosen: Sequence[Scenario], folder: Path, workers: int, tell: Any = None) -> list[Result]:
    """Stage and judge them, several at a time; the result of each is told when it is known."""
    lock = threading.Lock()

    def one(scenario: Scenario) -> Result:
        result = judged(scenario, folder / scenario.name)
        with lock:
            if tell is not None:
                tell(result)
        return result

    with ThreadPoolExecutor(workers) as pool:
        try:
            results = list(pool.map(one, [scenario for scenario in chosen if not scenario.alone]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            session.end_all()
            raise
    return results + [one(scenario) for scenario in chosen if scenario.alone]


def judged(scenario: Scenario, folder: Path) -> Result:
    """Stage one scenario until it was what it says (or three times), and score it."""
    result = Result(scenario)
    for attempt in range(1, ATTEMPTS + 1):
        result = Result(scenario, attempts=attempt)
        status = session.staged_apart(scenario, folder)
        if status:
            said = folder.with_suffix(".log").read_text(errors="replace").strip().splitlines()
            result.broken.append(f"it ended with {status}: {' / '.join(said[-2:])}")
            if status == session.TRY_AGAIN:
                continue
            return result
        stopped, ledger = session.ledger_of(folder)
        events = truth_of(folder / "truth.ndjson")
        captures = {end: truth.read(folder / f"{end}.pcapng") for end in (CLIENT, SERVER)}
        result.broken += outcome(scenario, ledger)
        if scenario.snaplen >= 1 << 16:
            result.broken += truth.check(captures, events, stopped)
        if not result.broken:
            _score(result, folder, captures, events, ledger)
            return result
    return result


def outcome(scenario: Scenario, ledger: Sequence[Conversation]) -> list[str]:
    """What went otherwise for the client than the scenario says."""
    broken = []
    for label in (*scenario.works, *scenario.fails):
        rows = [row for row in ledger if row.label == label]
        if not rows:
            broken.append(f"no conversation is labelled {label}")
        wanted = label in scenario.works
        broken += [
            f"{label} {'fails' if wanted else 'works'}: {row.detail}" for row in rows if row.ok is not wanted
        ]
    labels = {row.label for row in ledger}
    for expect in (*scenario.expect, *scenario.may):
        broken += [f"no conversation is labelled {label}" for label in expect.labels if label not in labels]
    return broken


def _score(
    result: Result, folder: Path, captures: Mapping[str, truth.Capture],
    events: Sequence[Mapping[str, Any]], ledger: Sequence[Conversation],
) -> None:  # fmt: skip
    for end, capture in captures.items():
        report = analysed(folder / f"{end}.pcapng")
        if isinstance(report, str):
            result.wrong.append(f"{end}: {report}")
            continue
        (folder / f"{end}.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        result.seen += score.seen(result.scenario, end, report, ledger, capture, events)
        result.accusations += score.accusations(result.scenario, end, report, ledger)
        result.wrong += [f"{end}: {text}" for text in score.misnumbered(report, capture)]


def analysed(capture: Path) -> dict[str, Any] | str:
    """The report of one capture, as a user gets it; a sentence when there is none."""
    words = [
        sys.executable,
        "-m",
        "forensics",
        "analyze",
        "--no-progress",
        "--format",
        "json",
        "--",
        str(capture),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=600)
    if done.returncode:
        return f"forensics analyze ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    return json.loads(done.stdout)


def failed(results: Iterable[Result], listed: set[str]) -> bool:
    """Whether anything is not as the tree says."""
    return any(
        one.broken or one.wrong or one.accusations or any(row.met is (row.key in listed) for row in one.seen)
        for one in results
    )


def missing(results: Iterable[Result]) -> str:
    """What was not seen, as not_yet.yaml has it (which says why new entries are rare)."""
    rows: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in results:
        for row in one.seen:
            if not row.met and row.mechanism not in rows[row.scenario][row.end]:
                rows[row.scenario][row.end].append(row.mechanism)
    plain = {name: dict(ends) for name, ends in rows.items() if ends}
    return yaml.safe_dump(plain, sort_keys=True, default_flow_style=None)


def table(results: Sequence[Result], listed: set[str]) -> str:
    """The score, one line a mechanism."""
    rows: dict[str, list[Result]] = defaultdict(list)
    for one in results:
        mechanisms = sorted({expect.mechanism for expect in one.scenario.expect}) or ["benign"]
        for mechanism in mechanisms:
            rows[mechanism].append(one)
    form = "{:<22}{:>10}{:>8}{:>14}{:>14}{:>16}{:>9}{:>9}"
    heads = (
        "mechanism",
        "scenarios",
        "broken",
        "client end",
        "server end",
        "forged frames",
        "not yet",
        "accused",
    )
    lines = ["", form.format(*heads)]
    for mechanism, found in sorted(rows.items(), key=lambda item: (item[0] == "benign", item[0])):
        seen = [row for one in found for row in one.seen if row.mechanism == mechanism]
        ends = [[row for row in seen if row.end == end] for end in (CLIENT, SERVER)]
        lines.append(
            form.format(
                mechanism,
                len(found),
                sum(bool(one.broken) for one in found),
                *(f"{sum(row.met for row in end)} of {len(end)}" if end else "-" for end in ends),
                f"{sum(row.named for row in seen)} of {sum(row.forged for row in seen)}",
                sum(row.key in listed for row in seen),
                sum(len(one.accusations) for one in found),
            )
        )
    benign = [one for one in results if one.scenario.benign]
    accused = sum(bool(one.accusations) for one in benign)
    lines += ["", f"benign scenarios with a finding at likely or above: {accused} of {len(benign)}"]
    return "\n".join(lines)


def _told(one: Result) -> dict[str, Any]:
    return {
        "broken": one.broken,
        "wrong": one.wrong,
        "seen": [{**asdict(row), "met": row.met} for row in one.seen],
        "accusations": [asdict(row) for row in one.accusations],
    }


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lab", description="Run scenarios and score what the analysis says of them."
    )
    parser.add_argument(
        "patterns", nargs="*", metavar="NAME", help="names or patterns such as 'sni-*'; all without"
    )
    parser.add_argument("--workers", type=int, default=4, help="scenarios at a time (4)")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where captures and truth are kept (build/lab)"
    )
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
