"""Lets the kernel load an executable at any page, whatever the alignment of its segments.

usage: begin_at_any_page.py EXECUTABLE

Segments that lie apart by whole huge pages (`-z max-page-size`) are said to be aligned to them, and
the kernel then moves the executable by whole huge pages only (fs/binfmt_elf.c): the addresses of
what is static in it, `None` and Python's types, would have the same lower 21 bits in each process.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

PAGE = 4096
LOAD = 1  # PT_LOAD
TABLE = struct.Struct("<32xQ14xHH")  # of Elf64_Ehdr: e_phoff, e_phentsize, e_phnum
ALIGNMENT_AT = 48  # p_align in Elf64_Phdr


def begin_at_any_page(image: bytearray) -> None:
    assert image[:5] == b"\x7fELF\x02", "no executable of 64 bits"
    first, size, count = TABLE.unpack_from(image)
    for header in range(first, first + count * size, size):
        if struct.unpack_from("<I", image, header)[0] == LOAD:
            struct.pack_into("<Q", image, header + ALIGNMENT_AT, PAGE)


if __name__ == "__main__":
    executable = Path(sys.argv[1])
    content = bytearray(executable.read_bytes())
    begin_at_any_page(content)
    executable.write_bytes(content)
