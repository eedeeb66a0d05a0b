"""What a process still may do after it gave up its rights, asked of processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPO_ROOT

ASK = """
import os, socket
from forensics.capture.privileges import drop_privileges
{before}
said = drop_privileges({arguments})
print(said)
print(os.getuid(), os.geteuid(), os.getgid(), len(os.getgroups()))
for line in open("/proc/self/status"):
    if line.startswith(("CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs")):
        print(*line.split())
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
except PermissionError:
    print("no more sockets")
"""


def asked(before="", arguments="", **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(before=before, arguments=arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPO_ROOT,
        env={**kept, **environment},
    )
    return done.stdout.splitlines()


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("only root has privileges to give up")


NONE = "0000000000000000"


@pytest.mark.usefixtures("root")
def test_nothing_is_left():
    said, ids, *lines = asked()
    assert lines[-1] == "no more sockets"
    assert {line.split()[1] for line in lines[:-1] if line.startswith("Cap")} == {NONE}
    assert "NoNewPrivs: 1" in lines
    # which of the two it is depends on who may read the program
    assert (said, ids) in {
        ("as user 65534", "65534 65534 65534 0"),
        ("as root without capabilities", "0 0 0 " + ids[-1]),
    }


@pytest.mark.usefixtures("root")
def test_with_sudo_it_is_the_user_who_called():
    said, ids, *lines = asked(
        "import forensics.capture.privileges as p; p._could_go_on_as = lambda u, g: True",
        SUDO_UID="1234",
        SUDO_GID="1235",
    )
    assert (said, ids) == ("as user 1234", "1234 1234 1235 0")
    assert lines[-1] == "no more sockets"


@pytest.mark.usefixtures("root")
def test_where_a_command_is_to_run_for_root_it_stays_root_by_name():
    said, ids, *lines = asked(arguments="run_commands=True")
    assert said == "as root, able to look at the command's sockets"
    assert {line for line in lines if line.startswith("CapEff")} <= {
        "CapEff: 0000000000080000",
        f"CapEff: {NONE}",
    }
    assert ids.startswith("0 0 0")
    assert lines[-1] == "no more sockets"
    assert "NoNewPrivs: 0" in lines
