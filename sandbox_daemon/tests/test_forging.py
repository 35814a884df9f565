"""Programs that find the memory shared with the broker and write records of their own there."""

from __future__ import annotations

from textwrap import dedent

import pytest

from .conftest import (
    Daemon,
    next_program_is_fine,
)

# The region lies below the libraries and begins with the length of the program and its text.
FORGER = dedent("""\
    #MARK of the forger
    import ctypes, os, struct
    libc = ctypes.CDLL(None)
    libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    read_end, write_end = os.pipe()

    def bytes_at(address, size):
        if libc.write(write_end, address, size) != size: return b''
        return os.read(read_end, size)

    def region():
        page = ctypes.cast(libc.write, ctypes.c_void_p).value & -4096
        while bytes_at(page + 8, 8) != b'#MARK of': page -= 4096
        return page + (48 << 20)

    OUTPUT = region()
    LOAD, CASE, EXIT, DONE = range(4)

    def record(kind, verdict=0, number=0, type=b'', message=b'', value=b''):
        sizes = (len(type), len(message), len(value))
        head = TOKEN + struct.pack('=BBHiiIII', kind, verdict, 0, 0, number, *sizes)
        return head + type + message + value

    def leave(*records):
        text = b''.join(records)
        ctypes.memmove(OUTPUT, struct.pack('=Q', len(text)) + text, 8 + len(text))
        os._exit(0)

    def f():  # a record, and with it the token, is there only once the body has ended
        global TOKEN
        TOKEN = bytes_at(OUTPUT + 8, 16)
        leave({})
""")


@pytest.mark.parametrize(
    "records",
    [
        "record(DONE)",
        "record(LOAD), record(DONE)",
        "record(LOAD), record(CASE, value=b'1'), record(DONE)",
        "record(EXIT), record(DONE)",
        "record(LOAD), *[record(CASE, value=b'1')] * 2, record(EXIT), record(DONE)",
        "record(LOAD), record(CASE, value=b'x' * (46 << 20)), record(CASE), record(DONE)",
        "record(LOAD, 1, message=b'x' * (46 << 20)), record(DONE)",
        "record(LOAD), record(CASE, 1, type=b'x' * 300), record(CASE), record(DONE)",
        "record(LOAD), *[record(CASE, value=b'1')] * 500_000, record(DONE)",
        "record(LOAD), record(CASE, value=b'1')[:-9]",
    ],
)
def test_forged_records_are_damaged(daemon: Daemon, records: str) -> None:
    reply = daemon.call(FORGER.replace("{}", records), "", "", TIMEOUT=60_000)
    assert reply["verdict"] == "crash", reply
    assert reply["message"] == "its records are damaged"
    assert [result["verdict"] for result in reply["results"]] == ["crash", "crash"]
    assert [result["value"] for result in reply["results"]] == [None, None]
    next_program_is_fine(daemon)


def test_a_program_may_lie_about_itself(daemon: Daemon) -> None:
    """No more than a program that returns these values; and the forger does find the way."""
    records = "record(LOAD), record(CASE, value=b'1'), record(CASE, value=b'2'), record(DONE)"
    reply = daemon.call(FORGER.replace("{}", records), "", "", TIMEOUT=60_000)
    assert reply["verdict"] == "ok", reply
    assert [result["value"] for result in reply["results"]] == ["1", "2"]


SEARCHER = FORGER[: FORGER.index("OUTPUT =")] + dedent("""
    SIZE, STEP = 112 << 20, 1 << 20
    START = region() - (48 << 20)
    WORD = ('KNOWN TO THE ', 'OTHER ONE')  # in two, since this text is in the region too

    def f(*words):
        memory, word = (ctypes.c_char * SIZE).from_address(START), ''.join(WORD).encode()
        return [at for at in range(0, SIZE, STEP) if word in memory[at : at + STEP]]
""")


def test_nothing_of_others_is_in_the_shared_memory(daemon: Daemon) -> None:
    """Neither the arguments nor the results of the programs before."""
    secret = "KNOWN TO THE OTHER ONE"
    for _ in range(2):
        daemon.call("def f(x): return x * 999", f"{secret!r}")
    for _ in range(2):
        reply = daemon.call(SEARCHER, "", TIMEOUT=60_000)
        assert reply["results"][0]["value"] == "[]", reply
    assert daemon.call(SEARCHER, f"{secret!r}", TIMEOUT=60_000)["results"][0]["value"] != "[]"


def test_the_longest_honest_reply_fits(daemon: Daemon) -> None:
    """Values to the limit, and a full message for each other case a request has room for."""
    cases = ["8"] + ["0"] * 16_000
    program = "def f(x):\n  if x: return 'x' * ((x << 22) - 2)\n  raise Exception('m' * 2000)"
    reply = daemon.call(program, *cases, OUTPUT=32 << 20, TIMEOUT=60_000)
    assert reply["verdict"] == "ok", reply["message"]
    assert len(reply["results"][0]["value"]) == 32 << 20
    assert {len(result["message"]) for result in reply["results"][1:]} == {1024}
