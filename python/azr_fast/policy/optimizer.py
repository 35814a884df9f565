"""AdamW on fp32 master weights, with gradients summed in fp32 over the packs of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from azr_fast.config.schema import UpdateConfig


class MasterAdamW:
    """AdamW (arXiv 1711.05101) whose weights, moments and gradients are fp32 for any model.

    A parameter's gradient moves into the fp32 sum as soon as autograd has it: `parameter.grad` is
    None between backward passes. The sums exist from the first backward pass of an update to its
    `step`; between updates their memory is free for sampling. Weights change in `step` only.
    """

    def __init__(
        self, parameters: Iterable[tuple[str, torch.nn.Parameter]], config: UpdateConfig
    ) -> None:
        self._config = config
        self._parameters = dict(parameters)
        self._masters: dict[str, torch.Tensor] = {}
        for name, parameter in self._parameters.items():
            master = parameter.detach().to(torch.float32, copy=True)
            self._masters[name] = master
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                _Accumulate(master)
            )
        self._adamw = torch.optim.AdamW(
            list(self._masters.values()),
            lr=config.lr,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.steps = 0  # updates made

    def begin(self) -> None:
        """Forget all gradients, those of an update that failed included."""
        for master in self._masters.values():
            master.grad = None

    def gradient(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        """The fp32 gradient sum of `parameter`, to add to."""
        name = next(name for name, p in self._parameters.items() if p is parameter)
        return _gradient(self._masters[name])

    def step(self) -> float:
        """Clip, update masters and parameters, forget the gradients; returns the gradient norm
        before the clip.

        Raises FloatingPointError, with all weights as they were, when the gradient is not finite.
        """
        norm = get_total_norm([_gradient(master) for master in self._masters.values()])
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient norm is {norm.item()}: weights are unchanged")
        clip_grads_with_norm_(self._masters.values(), self._config.grad_clip, norm)
        self._adamw.param_groups[0]["lr"] = self.learning_rate()
        self._adamw.step()
        self.begin()
        self.steps += 1
        self._publish()
        return norm.item()

    def learning_rate(self) -> float:
        """Of the next update: rises linearly over the warm-up, then constant."""
        warmup = self._config.warmup_steps
        return self._config.lr * min(1.0, (self.steps + 1) / (warmup + 1))

    def _publish(self) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self._masters[name])

    def state(self) -> dict[str, torch.Tensor]:
        """Everything `restore` needs, as tensors by name. Not copies."""
        tensors = {"steps": torch.tensor(self.steps)}
        for name, master in self._masters.items():
            tensors[f"master.{name}"] = master
            for key in ("exp_avg", "exp_avg_sq"):
                moment = self._adamw.state[master].get(key)
                tensors[f"{key}.{name}"] = torch.zeros_like(master) if moment is None else moment
        return tensors

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up `state()` of the same model again. Raises KeyError when a tensor is missing."""
        self.steps = int(tensors["steps"])
        for name, master in self._masters.items():
            master.copy_(tensors[f"master.{name}"])
            self._adamw.state[master] = {
                "step": torch.tensor(float(self.steps), device=master.device),  # as fused wants it
                "exp_avg": tensors[f"exp_avg.{name}"].to(master),
                "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(master),
            }
        self._publish()


class _Accumulate:
    """Moves a fresh gradient into the fp32 sum of its master weight."""

    def __init__(self, master: torch.Tensor) -> None:
        self._master = master

    def __call__(self, parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        if self._master.grad is None:
            self._master.grad = parameter.grad.float()
        else:
            self._master.grad.add_(parameter.grad)
        parameter.grad = None


def _gradient(master: torch.Tensor) -> torch.Tensor:
    """The gradient sum of a master weight, zeros where nothing was added yet."""
    if master.grad is None:
        master.grad = torch.zeros_like(master)
    return master.grad
