"""The ``forensics`` command group: lazy commands, and errors as one line each."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import click

from forensics import __version__
from forensics.cli.messages import complain
from forensics.errors import ForensicsError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_UNUSABLE: Final = 2
EXIT_BUG: Final = 70
"""EX_SOFTWARE of sysexits.h."""
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
"""What a shell reports for a program that SIGPIPE ended."""

_COMMANDS: Final = {
    "analyze": ("forensics.cli.analyze_cmd:analyze", "Say what works, what does not, and why."),
    "crosscheck": (
        "forensics.cli.crosscheck_cmd:crosscheck",
        "Compare what we read with what tshark reads.",
    ),
    "docs": ("forensics.cli.docs_cmd:docs", "Print reference documentation."),
    "live": ("forensics.cli.live_cmd:live", "Judge what passes a network interface, while it passes."),
    "show": ("forensics.cli.show_cmd:show", "Print a table of facts: flows, resets or dns."),
    "signatures": ("forensics.cli.signatures_cmd:signatures", "List, check and test the signatures."),
}
"""Name → where it is, and its line in the help: kept here so that the help imports no command."""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, not of the input
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's signature
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> Any:  # noqa: ANN401 - click's signature
        """Run, and leave by ``sys.exit``; no error is ever a traceback unless ``--debug`` asks for it."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        # A name that the terminal's encoding cannot show becomes an escape instead of ending the report.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.Abort:
            sys.exit(EXIT_INTERRUPTED)
        except click.ClickException as error:
            complain("error", error.format_message())
            sys.exit(EXIT_UNUSABLE)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        try:
            result = super().invoke(ctx)
            # A reader that has gone must be noticed here, not by the interpreter on its way out.
            if sys.stdout is not None:
                sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ForensicsError as error:
            _fail(ctx, str(error), EXIT_UNUSABLE)
        except BrokenPipeError:
            _forget_stdout()
            sys.exit(EXIT_PIPE)
        except KeyboardInterrupt:
            sys.exit(EXIT_INTERRUPTED)
        except OSError as error:
            what = error.filename or "reading or writing failed"
            _fail(ctx, f"{what}: {error.strerror or error}", EXIT_UNUSABLE)
        except Exception as error:  # noqa: BLE001 - the last line of defence: users never see a traceback unasked
            hint = "" if ctx.params.get("debug") else "; run 'forensics --debug ...' for the traceback"
            _fail(
                ctx,
                f"unexpected {type(error).__name__}: {error} (this is a bug in forensics{hint})",
                EXIT_BUG,
            )
        else:
            return result


def _fail(ctx: click.Context, message: str, code: int) -> None:
    if ctx.params.get("debug"):
        for line in traceback.format_exc().splitlines():
            complain("debug", line, indent=True)
    complain("error", message)
    sys.exit(code)


def _forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere, where stdout is a real file."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="forensics %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(*, debug: bool) -> None:
    """Say from packets alone what is being done to an app's traffic."""
