"""What an operator allows: the most that a job may ask for, and commands that are the owner's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import redis

from .conftest import running, value
from .test_limits import GROUP, OTHER_USER, as_user

TIERS = ("rewind", "fork", "jail")
ALL_TIERS = ("--zygotes", "1", "--rewind", "1", "--jail", "1", "--jail-optional")


def test_no_job_gets_more_than_the_operator_allows(folder: Path) -> None:
    """In any tier, whether it asks for more or names nothing."""
    ceilings = ("--max-timeout", "700", "--max-memory", str(200 << 20), "--max-output", "5000")
    with running(f"{folder}/s", *ALL_TIERS, *ceilings) as daemon, daemon.connect() as client:
        for option, most in (("TIMEOUT", 700), ("CPU", 700), ("MEMORY", 200 << 20)):
            with pytest.raises(redis.ResponseError, match=f"'{option}' must be .* to {most}$"):
                client.execute_command("RUN", "", option, most + 1)
        with pytest.raises(redis.ResponseError, match=r"'OUTPUT' must be .* to 5000$"):
            client.execute_command("CALL", "", "f", 0, "OUTPUT", 5001)
        for tier in TIERS[: 3 if has_jail(client) else 2]:
            endless = daemon.run("while True: pass", TIER=tier)
            assert (endless["verdict"], endless["message"]) == ("timeout", "deadline of 700 ms")
            assert daemon.run("bytearray(300 << 20)", TIER=tier)["verdict"] == "memory"
            assert daemon.run("print('x' * 6000)", TIER=tier)["verdict"] == "output"
        shown = client.config_get("*")
        assert (shown["timeout"], shown["cpu"], shown["output"]) == ("700", "700", "5000")


def has_jail(client: redis.Redis) -> bool:
    zygotes = [one for one in client.info("zygotes").values() if isinstance(one, dict)]
    return any(one["tier"] == "jail" and one["state"] == "idle" for one in zygotes)


def test_a_ceiling_changes_in_a_living_daemon(folder: Path) -> None:
    (folder / "conf").write_text("zygotes 1\nmax-timeout 9000\n")
    with running(f"{folder}/s", "--config", f"{folder}/conf") as daemon:
        assert daemon.run("1", TIMEOUT=9000)["verdict"] == "ok"
        (folder / "conf").write_text("zygotes 1\nmax-timeout 800\n")
        daemon.process.send_signal(1)
        assert daemon.process.stderr is not None
        said = [daemon.process.stderr.readline() for _ in range(3)]
        assert "SIGHUP: max-timeout '9000' -> '800'" in "".join(said)
        with pytest.raises(redis.ResponseError, match="'TIMEOUT' must be a number from 1 to 800"):
            daemon.run("1", TIMEOUT=9000)


def test_shutdown_and_config_are_the_owners(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("nobody but root can be another user")
    folder.chmod(0o755)
    with running(f"{folder}/s", "--zygotes", "1", "--group", str(GROUP)) as daemon:
        for words in (b"SHUTDOWN\r\n", b"CONFIG GET *\r\n", b"config get save\r\n"):
            said = as_user(OTHER_USER, GROUP, [], daemon.path, words)
            assert said.startswith(b"-NOPERM this command is for the daemon's own user and root")
        assert as_user(OTHER_USER, GROUP, [], daemon.path, b"INFO server\r\n").startswith(b"$")
        assert value(daemon) == "1"
        with daemon.connect() as client:
            assert client.config_get("zygotes") == {"zygotes": "1"}


def test_jails_that_are_optional(folder: Path) -> None:
    """Where there can be none it says so once and serves all else."""
    from .confined import launcher

    jail = ("--zygotes", "1", "--jail", "1")
    with running(f"{folder}/s", *jail, launcher=launcher("no-namespaces")) as daemon:
        assert daemon.process.wait(60) == 2
    words = (*jail, "--jail-optional")
    with running(f"{folder}/s", *words, launcher=launcher("no-namespaces")) as daemon:
        assert daemon.first_line.startswith("ready")
        assert value(daemon) == "1"
        reply = daemon.run("import threading; threading.Thread(target=print).start()")
        assert (reply["verdict"], reply["tier"]) == ("error", "fork")
        with pytest.raises(redis.ResponseError, match="has no jail"):
            daemon.run("1", TIER="jail")
        daemon.stop()
        assert "there are no jails: jail: needs" in daemon.process.stderr.read()
