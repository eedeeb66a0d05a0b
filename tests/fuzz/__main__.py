"""Fuzzes every target for a while, guided by what its inputs reach.

    python -m tests.fuzz [--seconds 60] [TARGET …]

atheris (pip install 'forensics[fuzz]') guides it: inputs that reach new code are kept in build/fuzz/TARGET/corpus and
are the beginning of the next run. Without atheris the same targets run on random mutations of their seeds. What breaks
an invariant is written to build/fuzz/TARGET; run it again with `python -m tests.fuzz --replay FILE TARGET`.
Exit status 1 when anything was found.
"""

# ruff: noqa: T201 - a program: its output is its purpose
from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path("build/fuzz")
LONGEST = 8_192
"""Bytes of an input, at most, unless a seed is longer."""
HANGS_AFTER = 20
"""Seconds for one input; what takes longer counts as found."""
GRACE = 120
"""Seconds more for the seeds, and for the one input that is being tried when time is up."""


def guided(name: str, seconds: int) -> int:
    """One target in this process; atheris ends it."""
    import atheris  # noqa: PLC0415 - not on every machine, and it must come before what it instruments

    with atheris.instrument_imports(include=["forensics.capture", "forensics.decode", "forensics.protocols"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - see above

    target = TARGETS[name]
    corpus = FOLDER / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    longest = max(LONGEST, *map(len, seeds))
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={longest}",
        f"-timeout={HANGS_AFTER}",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={FOLDER / name}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()
    return 0


def unguided(name: str, seconds: int) -> int:
    """Random mutations of the seeds, other ones in every run; the last input is kept when it fails."""
    from tests.fuzz.mutate import KINDS, changed  # noqa: PLC0415 - a parent process needs none of this
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the same

    target, chance = TARGETS[name], random.SystemRandom()
    seeds, tried, end = target.seeds(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        changes = [
            (chance.randrange(KINDS), chance.randrange(4_000), chance.randrange(70_000))
            for _ in range(chance.randrange(1, 6))
        ]
        raw = changed(chance.choice(seeds), changes)
        try:
            target.run(raw)
        except BaseException:
            kept = FOLDER / name / f"crash-{hashlib.sha256(raw).hexdigest()[:16]}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(raw)
            print(f"{name}: kept {kept}", file=sys.stderr)
            raise
        tried += 1
    print(f"{name}: {tried} inputs", file=sys.stderr)
    return 0


def replay(file: Path, name: str) -> int:
    """One input once more, with its traceback."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the others choose when to import this

    TARGETS[name].run(file.read_bytes())
    print(f"{name}: {file} breaks nothing")
    return 0


def summary(log: str) -> str:
    """What a run says of itself, in a few words."""
    wanted = ("stat::number_of_executed_units:", "Uncaught Python exception", "ALARM", "ERROR: libFuzzer")
    lines = [line.strip() for line in log.splitlines() if any(word in line for word in wanted)]
    return "; ".join(dict.fromkeys(lines)) or (log.strip().splitlines() or ["no output"])[-1]


def every(names: list[str], seconds: int) -> int:
    """Each target in a process of its own, so that none takes the others along."""
    has_atheris = importlib.util.find_spec("atheris") is not None
    if not has_atheris:
        print("atheris is not installed: fuzzing without guidance (pip install 'forensics[fuzz]')")
    failed = []
    for name in names:
        command = [sys.executable, "-m", "tests.fuzz", "--one", "--seconds", str(seconds), name]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=seconds + GRACE,
            )
            log, status = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as error:
            said = error.stderr or b""
            log, status = f"{said.decode(errors='replace')}\nran {GRACE} s longer than it should", 1
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        (FOLDER / name / "log.txt").write_text(log)
        print(f"{name}: {'FAILED' if status else 'nothing found'}: {ascii(summary(log))[1:-1]}", flush=True)
        if status:
            failed.append(name)
    print(f"{len(names)} targets, {len(failed)} with findings; logs and inputs are in {FOLDER}")
    return 1 if failed else 0


def main() -> int:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, unless some are named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input once, on one target")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        has_atheris = importlib.util.find_spec("atheris") is not None
        return (guided if has_atheris else unguided)(options.targets[0], options.seconds)
    if options.replay:
        if len(options.targets) != 1:
            parser.error("--replay needs one target")
        return replay(options.replay, options.targets[0])
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the others choose when to import this

    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    return every(options.targets or list(TARGETS), options.seconds)


if __name__ == "__main__":
    sys.exit(main())
