"""The host as attacks would change it: what they might leave or break, and whether they did."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .attack import PLACES

SHARED_FOLDERS = ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/dev/mqueue", "/run")
IPC_KEY = str(0x617A7261)  # of the SysV objects that attacks try to make
SECRET = "known to the host only\n"


def _prepare(folder: Path) -> None:
    """Files anybody may read and, but for the secret, write."""
    folder.chmod(0o777)
    (folder / "folder").mkdir()
    (folder / "secret").write_text(SECRET)
    (folder / "open").write_text("anybody may write here\n")
    (folder / "open").chmod(0o666)


def _listen(address: object, family: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(address)  # type: ignore[arg-type]
    listener.listen()
    return listener


class Host:
    """A folder, a process and three listeners that attacks are told about."""

    def __init__(self, folder: Path, victim: subprocess.Popen[bytes]):
        self.folder = folder
        self.victim = victim
        self.mark = folder.name
        _prepare(folder)
        tcp = _listen(("127.0.0.1", 0), socket.AF_INET)
        self.listeners = [
            tcp,
            _listen(f"{folder}/listener", socket.AF_UNIX),
            _listen(f"\0{self.mark}", socket.AF_UNIX),
        ]
        self.places = {
            "@MARK@": self.mark,
            "@CANARY@": str(folder),
            "@VICTIM@": str(victim.pid),
            "@PORT@": str(tcp.getsockname()[1]),
            "@ABSTRACT@": self.mark,
        }

    def aim(self, program: str, daemon_socket: str) -> str:
        """The program with the names of what it is after."""
        for place in PLACES:
            program = program.replace(place, (self.places | {"@SOCKET@": daemon_socket})[place])
        return program

    def state(self) -> dict[str, object]:
        """All that an attack might change: compare it with what it was before."""
        return {
            "files": sorted(self._files()),
            "left behind": sorted(self._marked()),
            "connections": [self._was_called(listener) for listener in self.listeners],
            "victim": self._victim(),
            "hostname": socket.gethostname(),
            "ipc": [
                IPC_KEY in Path(f"/proc/sysvipc/{kind}").read_text().split()
                for kind in ("shm", "sem", "msg")
            ],
            "mounts": self.mark in Path("/proc/self/mountinfo").read_text(),
            "library": self._library(),
            "processes": self._processes(),
        }

    @staticmethod
    def _library() -> tuple[int, ...]:
        info = os.stat(os.__file__)
        return info.st_mode, info.st_nlink, info.st_size, info.st_mtime_ns

    def _files(self) -> Iterator[tuple[object, ...]]:
        for path in self.folder.rglob("*"):
            info = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            yield str(path), info.st_mode, info.st_uid, info.st_nlink, info.st_mtime_ns, content

    def _marked(self) -> Iterator[str]:
        for folder in SHARED_FOLDERS:
            with contextlib.suppress(FileNotFoundError):
                yield from (name for name in os.listdir(folder) if self.mark in name)

    def _processes(self) -> list[str]:
        """Processes that carry the mark in their command line: the program's text, say."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in (entry / "cmdline").read_bytes():
                        found.append(entry.name)
        return found

    def _victim(self) -> tuple[object, ...]:
        pid = self.victim.pid
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        told = [line for line in lines if line.startswith(("TracerPid", "Uid", "Gid"))]
        return (
            self.victim.poll(),
            told,
            any(line.startswith("State:\tT") for line in lines),
            os.getpriority(os.PRIO_PROCESS, pid),
            os.sched_getaffinity(pid),
            Path(f"/proc/{pid}/limits").read_text(),
        )

    @staticmethod
    def _was_called(listener: socket.socket) -> bool:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def standing_host() -> Iterator[Host]:
    with (
        tempfile.TemporaryDirectory(prefix="azr-canary-") as folder,
        subprocess.Popen(["sleep", "3600"]) as victim,
    ):
        host = Host(Path(folder), victim)
        try:
            yield host
        finally:
            victim.send_signal(signal.SIGKILL)
            for listener in host.listeners:
                listener.close()
