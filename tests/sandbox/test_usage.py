"""The daemon's counters, as a run's metrics have them."""

from azr_fast.config.schema import SandboxConfig
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.sandbox.usage import Usage

DOUBLE = "def f(x): return x * 2"
READS = "def f(x): return open('/nowhere')"


def test_differences_since_the_last_call():
    with open_sandbox(SandboxConfig()) as client:
        rewinds = client.info()["security"]["rewind"].startswith("on")
        client.call(DOUBLE, "f", ["1"])
        usage = Usage(client)
        assert usage.since_last() == {"programs": 0, "rewound": None, "fell_back": {}}
        for _ in range(3):
            client.call(DOUBLE, "f", ["1"])
        client.call(READS, "f", ["1"])
        once = {"openat": 1} if rewinds else {}
        share = 0.75 if rewinds else 0.0
        assert usage.since_last() == {"programs": 4, "rewound": share, "fell_back": once}
        assert usage.since_last() == {"programs": 0, "rewound": None, "fell_back": {}}


def test_a_process_for_every_program_where_that_is_wanted():
    with open_sandbox(SandboxConfig(rewind=False)) as client:
        usage = Usage(client)
        assert client.call(DOUBLE, "f", ["1"]).results[0].value == "2"
        assert usage.since_last() == {"programs": 1, "rewound": 0.0, "fell_back": {}}
