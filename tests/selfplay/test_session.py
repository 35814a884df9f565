"""What is refused before anything slow is loaded."""

import pytest
import torch

from azr_fast.config.load import load_config
from azr_fast.errors import UserError
from azr_fast.observe.runfolder import RunFolder
from azr_fast.session import open_trainer


class Quiet:
    """An observer that is told of no phase but the first."""

    def start(self, run_dir, config, step):
        assert not run_dir.exists()

    def phase(self, name, total):
        assert name == "load"

    def advance(self, done, total, note=""):
        pass


def refusal(tmp_path, preset, **keys):
    config = load_config(preset, {"run.dir": str(tmp_path), "run.name": "run", **keys})
    with (
        RunFolder.begin(config) as run,
        pytest.raises(UserError) as refused,
        open_trainer(config, run, Quiet(), lambda: False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    return str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said_before_the_model_is_looked_for(tmp_path):
    said = refusal(tmp_path, "gpu", **{"model.name": "/no/such/model"})
    assert said == "model.device is cuda and this machine has no usable GPU: set it to cpu"


def test_more_determinism_runs_than_zygotes_are_refused(tmp_path):
    said = refusal(tmp_path, "cpu", **{"game.determinism_runs": 3, "sandbox.zygotes": 2})
    assert "game.determinism_runs is 3 and azr-sandboxd has 2 zygotes" in said
    assert "raise sandbox.zygotes to 3" in said
