"""Sockets of a process tree: as /proc tells them, and of real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from forensics.live.processes import End, SocketWatch, local_addresses, parse_sockets

# lines as Linux 6.1 prints them: proc(5), /proc/net/tcp
TCP = """\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000 100 0 0 10 0
   1: 0202000A:C350 050200C0:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 4343 1 0000 20 4 30 10 -1
   2: 0202000A:C351 050200C0:01BB 06 00000000:00000000 03:00000F35 00000000     0        0 0 3 0000
"""
UDP6 = """\
  10: 00000000000000000000000000000000:14E9 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 77 2 0000 0
  11: B80D0120000000000000000001000000:D431 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 78 2 0000 0
  12: 0000000000000000FFFF00000202000A:D432 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 79 2 0000 0
"""


def test_lines_of_proc_net():
    assert list(parse_sockets(TCP.splitlines(), "tcp")) == [
        (End("tcp", "127.0.0.1", 8080), 4242),
        (End("tcp", "10.0.2.2", 50_000), 4343),
    ], "a socket that nobody has any more has no inode"
    assert list(parse_sockets(UDP6.splitlines(), "udp")) == [
        (End("udp", "*", 5353), 77),
        (End("udp", "2001:db8::1", 54_321), 78),
        (End("udp", "10.0.2.2", 54_322), 79),
    ]
    assert list(parse_sockets(["", "x", "0: zz:zz", "0: 0100007F:1F90 a b c"], "tcp")) == []


def made_proc(root, pids, sockets=TCP):
    """pids: pid → (children, inodes)."""
    for pid, (children, inodes) in pids.items():
        task = root / str(pid) / "task" / str(pid)
        task.mkdir(parents=True)
        (task / "children").write_text(" ".join(map(str, children)))
        (root / str(pid) / "fd").mkdir()
        for number, inode in enumerate(inodes):
            (root / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
        (root / str(pid) / "net").mkdir()
        (root / str(pid) / "net" / "tcp").write_text("head\n" + sockets)
    return root


def test_sockets_of_grandchildren_are_ours_and_the_rest_is_others(tmp_path):
    watch = SocketWatch(
        5, made_proc(tmp_path, {5: ([6], []), 6: ([7], []), 7: ([], [4343]), 9: ([], [4242])})
    )
    watch.look()
    assert watch.mine == {End("tcp", "10.0.2.2", 50_000)}
    assert watch.others == {End("tcp", "127.0.0.1", 8080)}


def test_a_child_that_its_parent_left_stays_ours(tmp_path):
    watch = SocketWatch(5, made_proc(tmp_path, {5: ([6], []), 6: ([], [])}))
    watch.look()
    (tmp_path / "5" / "task" / "5" / "children").write_text("")
    (tmp_path / "6" / "fd" / "9").symlink_to("socket:[4343]")
    watch.look()
    assert watch.mine == {End("tcp", "10.0.2.2", 50_000)}


def test_a_port_that_becomes_ours_is_ours(tmp_path):
    watch = SocketWatch(5, made_proc(tmp_path, {5: ([], [99])}))
    watch.look()
    assert not watch.mine
    (tmp_path / "5" / "net" / "tcp").write_text("head\n" + TCP.replace("4343", "99"))
    watch.look()
    assert watch.mine == {End("tcp", "10.0.2.2", 50_000)}


def test_where_nothing_can_be_seen_nothing_is_said_of_others(tmp_path, monkeypatch):
    watch = SocketWatch(5, made_proc(tmp_path, {5: ([6], [4242]), 6: ([], [])}))
    listed = Path.iterdir

    def guarded(path):
        if path.parts[-2:] == ("6", "fd"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    watch.look()
    assert watch.mine == {End("tcp", "127.0.0.1", 8080)}
    assert watch.others == set()


def test_a_real_child_of_a_child():
    code = "import socket,time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1]); time.sleep(30)"
    shell = f"import subprocess, sys; subprocess.run([sys.executable, '-uc', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", shell], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with SocketWatch(process.pid) as watch, socket.create_server(("127.0.0.1", 0)) as ours:
            port = int(process.stdout.readline())
            end = time.monotonic() + 5
            while not (watch.mine and watch.others) and time.monotonic() < end:
                time.sleep(0.05)
            for child in list(watch.family):
                if child != process.pid:
                    os.kill(child, 9)
        process.wait()
    assert watch.mine == {End("tcp", "127.0.0.1", port)}
    assert End("tcp", "127.0.0.1", ours.getsockname()[1] if ours.fileno() >= 0 else 0) not in watch.mine


def test_addresses_of_this_host():
    assert "127.0.0.1" in local_addresses()


def test_addresses_as_proc_lists_them(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.2.0\n        /24 link UNICAST\n"
        "     |-- 10.0.2.15\n        /32 host LOCAL\n     |-- 10.0.2.255\n        /32 link BROADCAST\n"
    )
    (tmp_path / "net" / "if_inet6").write_text("fe800000000000000000000000000001 02 40 20 80     eth0\n")
    assert local_addresses(tmp_path) == {"10.0.2.15", "fe80::1"}
    assert local_addresses(tmp_path / "nowhere") == set()
