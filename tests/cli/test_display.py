"""A run outlives its display: what cannot be written is dropped."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from azr_fast.cli.output import _Droppable, open_closed_descriptors


def a_dead_pipe(_folder):
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def a_full_disk(_folder):
    return os.open("/dev/full", os.O_WRONLY)


def a_full_pipe_that_does_not_block(_folder):
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    return writer


def a_lost_terminal(_folder):
    master, slave = os.openpty()
    os.close(master)
    return slave


def a_file_to_read(folder):
    (folder / "read").write_text("")
    return os.open(folder / "read", os.O_RDONLY)


BROKEN = [
    a_dead_pipe,
    a_full_disk,
    a_full_pipe_that_does_not_block,
    a_lost_terminal,
    a_file_to_read,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_each_kind_of_broken_output_fails_a_plain_write_and_not_ours(broken, tmp_path):
    descriptor = broken(tmp_path)
    with pytest.raises(OSError):  # noqa: PT011  its number differs
        os.write(descriptor, b"a line\n")
    with _Droppable(descriptor, "w") as file:
        assert file.write(b"a line\n") == 7
        assert file.write(memoryview(b"another\n")) == 8


def test_output_goes_on_when_there_is_room_again():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with _Droppable(writer, "w") as file:
        assert file.write(b"x" * 3 * room) == room  # the rest is offered again, and dropped
        assert file.write(b"dropped") == 7
        assert os.read(reader, 2 * room) == b"x" * room
        assert file.write(b"shown") == 5
    assert os.read(reader, 100) == b"shown"


def test_closed_descriptors_are_opened_and_no_others():
    code = (
        "import os; from azr_fast.cli.output import open_closed_descriptors\n"
        "os.close(0); os.close(1); open_closed_descriptors()\n"
        "assert os.open('/dev/zero', os.O_RDONLY) > 2\n"
        "assert [os.readlink(f'/proc/self/fd/{n}') for n in (0, 1)] == ['/dev/null'] * 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    before = os.listdir("/proc/self/fd")
    open_closed_descriptors()
    assert os.listdir("/proc/self/fd") == before


def whole_run(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return len(lines), [path.name for path in (folder / "checkpoints").iterdir()]


def test_a_reader_that_leaves_takes_its_lines_and_no_more(start, words, tmp_path):
    command = words(**{"run.name": "one", "run.steps": 2})
    process = start(*command, stderr=a_dead_pipe(tmp_path))
    assert process.stdout.readline().startswith("run runs/one: ")
    process.stdout.close()
    assert process.wait() == 0
    assert whole_run(tmp_path / "runs" / "one") == (2, ["step-2"])


def test_a_full_disk_and_a_full_pipe(start, words, tmp_path):
    files = {"stdout": a_full_disk(tmp_path), "stderr": a_full_pipe_that_does_not_block(tmp_path)}
    process = start(*words(**{"run.name": "one", "run.steps": 2}), **files)
    assert process.wait() == 0
    assert whole_run(tmp_path / "runs" / "one") == (2, ["step-2"])


def test_a_run_without_any_descriptor(start, words, tmp_path):
    def close_all():
        for descriptor in range(3):
            os.close(descriptor)

    command = words(**{"run.name": "one", "run.steps": 1})
    assert start(*command, preexec_fn=close_all).wait() == 0
    assert whole_run(tmp_path / "runs" / "one") == (1, ["step-1"])


def test_an_error_message_that_cannot_be_written_keeps_its_exit_code(start):
    full = os.open("/dev/full", os.O_WRONLY)
    for command in (["train", "--run.steps", "0"], ["report", "nowhere"]):
        assert start(*command, stderr=full).wait() == 2


def on_a_terminal(start, command, then=lambda: None):
    """Starts it as the leader of a session on a terminal of its own; its other end."""
    master, slave = os.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(0, 0x540E, 0)  # TIOCSCTTY
        then()

    files = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
    process = start(*command, preexec_fn=take_terminal, **files)
    os.close(slave)
    return process, master


def read_until(master, word):
    shown = b""
    while word not in shown:
        shown += os.read(master, 4096)
    return shown


def test_a_terminal_that_closes_stops_the_run_after_a_checkpoint(start, words, tmp_path):
    command = words(**{"run.name": "one", "run.steps": 10_000})
    process, master = on_a_terminal(start, command)
    read_until(master, b"step 1/")
    os.close(master)  # the kernel sends SIGHUP, and every write fails from now on
    assert process.wait() == 0
    steps, checkpoints = whole_run(tmp_path / "runs" / "one")
    assert checkpoints == [f"step-{steps}"]


def test_under_nohup_a_run_outlives_its_terminal(start, words, tmp_path):
    command = words(**{"run.name": "one", "run.steps": 3})
    process, master = on_a_terminal(
        start, command, then=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    read_until(master, b"load")
    os.close(master)
    assert process.wait() == 0
    assert whole_run(tmp_path / "runs" / "one") == (3, ["step-3"])
