"""AdamW on fp32 master weights, with gradients summed in fp32 over the packs of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from azr_fast.config.schema import UpdateConfig

_MOMENTS = ("exp_avg", "exp_avg_sq")  # torch's names of AdamW's first and second moment
_EPSILON = 1e-8  # torch's default
_CHUNK = 1 << 20


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

    def norm(self) -> torch.Tensor:
        """The norm of the gradient before the clip; it may not be finite."""
        return get_total_norm([_gradient(master) for master in self._masters.values()])

    @torch.no_grad()
    def preview(self, norm: torch.Tensor) -> float:
        """Show the parameters as `step(norm)` would make them; masters and moments stay as they
        are. `step` makes it so, `revert` takes it back.

        Returns the norm of the step over the norm of the weights.
        """
        scale = (self._config.grad_clip / (norm + 1e-6)).clamp(max=1.0)  # as torch clips
        moved = weights = 0.0
        for name, parameter in self._parameters.items():
            for shown, weight, new in self._moved(self._masters[name], parameter, scale):
                shown.copy_(new)
                moved += (new - weight).square_().sum(dtype=torch.float64).item()
                weights += weight.square().sum(dtype=torch.float64).item()
        return math.sqrt(moved / max(weights, 1e-30))

    def _moved(
        self, master: torch.Tensor, parameter: torch.nn.Parameter, scale: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """(parameter, weight, weight after the step) by AdamW (arXiv 1711.05101, Algorithm 2), in
        chunks: temporaries of a whole tensor would be the peak of the update's memory."""
        state = self._adamw.state[master]
        first, second = (state.get(key, master.new_zeros(())) for key in _MOMENTS)
        tensors = (master, _gradient(master), first.expand_as(master), second.expand_as(master))
        flat = [parameter.data.view(-1), *(tensor.reshape(-1) for tensor in tensors)]
        lr, decay, now = self.learning_rate(), self._config.weight_decay, self.steps + 1
        beta1, beta2 = self._config.betas
        for shown, weight, grad, mean, square in zip(
            *(torch.split(tensor, _CHUNK) for tensor in flat), strict=True
        ):
            grad = grad * scale
            mean = torch.lerp(mean, grad, 1 - beta1) / (1 - beta1**now)
            square = torch.lerp(square, grad**2, 1 - beta2) / (1 - beta2**now)
            step = lr * mean / (square.sqrt() + _EPSILON)
            yield shown, weight, weight * (1 - lr * decay) - step

    def revert(self) -> None:
        """Show the parameters as they were before `preview`."""
        self._publish()

    def step(self, norm: torch.Tensor) -> None:
        """Clip the gradient of this norm; update masters, moments and parameters by it."""
        clip_grads_with_norm_(self._masters.values(), self._config.grad_clip, norm)
        self._adamw.param_groups[0]["lr"] = self.learning_rate()
        self._adamw.step()
        self.begin()
        self.steps += 1
        self._publish()

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
            for key in _MOMENTS:
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
