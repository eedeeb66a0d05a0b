"""Giving up every right that capturing needed, once the sockets and files are open.

What is read afterwards was written by others: whoever finds a mistake in reading it shall gain nothing but the rights
of an ordinary user.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Final

_NOBODY: Final = 65_534
# linux/prctl.h, linux/capability.h
_CAPBSET_DROP, _SET_NO_NEW_PRIVS, _AMBIENT, _AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_VERSION_3: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_PTRACE: Final = 1 << 19
"""CAP_SYS_PTRACE, without which the files of another process of root cannot be seen."""


def drop_privileges(*, run_commands: bool = False) -> str:
    """Become an ordinary user without capabilities; says in words what this process is now.

    With ``sudo`` that is the user who called it (SUDO_UID, SUDO_GID). Root otherwise becomes ``nobody``, unless the
    program could not go on as that: when its own files are for root alone it stays root by name, without any
    capability; when it is to run a command for root (``run_commands``) it stays root, and keeps CAP_SYS_PTRACE.
    """
    who = "without capabilities"
    if os.geteuid() == 0:
        target = _ordinary_user()
        if target is None and not run_commands:
            target = _NOBODY, _NOBODY
        if target is not None and _could_go_on_as(*target):
            os.setgroups([])
            os.setresgid(target[1], target[1], target[1])
            os.setresuid(target[0], target[0], target[0])
            who = f"as user {target[0]}"
        elif not run_commands:
            who = "as root without capabilities"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    if not run_commands:
        for number in range(_LAST_CAPABILITY + 1):
            libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)
        libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    kept = 0
    if run_commands and os.geteuid() == 0:
        kept = _PTRACE
        who = "as root, able to look at the command's sockets"
    header = ctypes.create_string_buffer(struct.pack("Ii", _VERSION_3, 0))
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held) == 0:
        kept &= int(struct.unpack_from("I", held, 4)[0])
    few = ctypes.create_string_buffer(struct.pack("6I", kept, kept, 0, 0, 0, 0))
    if libc.capset(header, few) != 0:
        who = "with the capabilities it had (the system would not take them)"
    return who


def hand_over(file: int) -> None:
    """Give a file that root made to the user who called sudo."""
    user = _ordinary_user() if os.geteuid() == 0 else None
    if user is not None:
        os.fchown(file, *user)


def _ordinary_user() -> tuple[int, int] | None:
    """Who called sudo, as (uid, gid); None when nobody did, or root."""
    try:
        uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None
    return (uid, gid) if 0 < uid < _VERSION_3 and gid >= 0 else None


def _could_go_on_as(uid: int, gid: int) -> bool:
    """Whether that user can read this program; modules are still to be loaded."""
    groups = os.getgroups()
    try:
        os.setgroups([])
        os.setegid(gid)
        os.seteuid(uid)
    except OSError:  # a user that this namespace does not have
        allowed = False
    else:
        allowed = all(
            os.access(name, os.R_OK, effective_ids=True) for name in (__file__, os.__file__, _numpy())
        )
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(groups)
    return allowed


def _numpy() -> Path:
    import numpy as np  # noqa: PLC0415 - only to know where it is

    return Path(np.__file__)
