"""AdamW on fp32 master weights, with gradients summed in fp32 over the packs of a batch.

A parameter in fp32 is its own master. Moments are fp32 or, at half the memory, bf16.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from azr_fast.config.schema import UpdateConfig

_MOMENTS = ("exp_avg", "exp_avg_sq")  # torch's names of AdamW's first and second moment
_EPSILON = 1e-8  # torch's default
_CHUNK = 1 << 20


class _Chunk(NamedTuple):
    """A stretch of a weight and of its moments."""

    weight: torch.Tensor
    mean: torch.Tensor
    square: torch.Tensor


class MasterAdamW:
    """AdamW (arXiv 1711.05101) whose weights and gradients are fp32 for any model.

    A parameter's gradient moves into the fp32 sum as soon as autograd has it: `parameter.grad` is
    None between backward passes. The sums exist from the first backward pass of an update to its
    `step`; between updates their memory is free for sampling. Weights change in `step` only.
    """

    def __init__(
        self, parameters: Iterable[tuple[str, torch.nn.Parameter]], config: UpdateConfig
    ) -> None:
        self._config = config
        self._parameters = dict(parameters)
        self._names = {parameter: name for name, parameter in self._parameters.items()}
        self._masters: dict[str, torch.Tensor] = {}
        for name, parameter in self._parameters.items():
            master = parameter.detach().float()  # in fp32 the parameter's own memory
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
        self._moments: torch.dtype = getattr(torch, config.moments)
        self.steps = 0  # updates made

    def begin(self) -> None:
        """Forget all gradients, those of an update that failed included."""
        for master in self._masters.values():
            master.grad = None

    def gradient(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        """The fp32 gradient sum of `parameter`, to add to."""
        return _gradient(self._masters[self._names[parameter]])

    def norm(self) -> torch.Tensor:
        """The norm of the gradient before the clip; it may not be finite."""
        return get_total_norm([_gradient(master) for master in self._masters.values()])

    def moves(self, parameter: torch.nn.Parameter) -> bool:
        """Whether `parameter` is one that this optimizer trains."""
        return parameter in self._names

    @torch.no_grad()
    def stepped(
        self, parameter: torch.nn.Parameter, norm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `step(norm)` would make of a parameter, and two sums of squares (fp64, on its
        device): of that step and of the weight. Nothing changes."""
        shown = torch.empty_like(parameter.data)
        squares = torch.zeros(2, dtype=torch.float64, device=shown.device)
        parts = zip(torch.split(shown.view(-1), _CHUNK), self._chunks(parameter, norm), strict=True)
        for part, (now, then) in parts:
            part.copy_(then.weight)
            squares[0] += (then.weight - now.weight).square_().sum(dtype=torch.float64)
            squares[1] += now.weight.square().sum(dtype=torch.float64)
        return shown, squares

    def _chunks(
        self, parameter: torch.nn.Parameter, norm: torch.Tensor
    ) -> Iterator[tuple[_Chunk, _Chunk]]:
        """Weight and moments, as they are and after the step, by AdamW (arXiv 1711.05101, Algorithm
        2). In chunks: temporaries of a whole tensor would be the peak of the update's memory."""
        scale = (self._config.grad_clip / (norm + 1e-6)).clamp(max=1.0)  # as torch clips
        master = self._masters[self._names[parameter]]
        state = self._adamw.state[master]
        none = master.new_zeros(1).expand(master.numel())  # before the first step
        moments = (state.get(key, none) for key in _MOMENTS)
        tensors = (_gradient(master), master, *moments)
        lr, decay, now = self.learning_rate(), self._config.weight_decay, self.steps + 1
        beta1, beta2 = self._config.betas
        for grad, weight, mean, square in zip(
            *(torch.split(tensor.view(-1), _CHUNK) for tensor in tensors), strict=True
        ):
            grad = grad * scale
            new_mean = torch.lerp(mean.float(), grad, 1 - beta1)
            new_square = torch.lerp(square.float(), grad**2, 1 - beta2)
            root = (new_square / (1 - beta2**now)).sqrt_()
            step = lr * (new_mean / (1 - beta1**now)) / root.add_(_EPSILON)
            new_weight = weight * (1 - lr * decay) - step
            yield _Chunk(weight, mean, square), _Chunk(new_weight, new_mean, new_square)

    def step(self, norm: torch.Tensor) -> None:
        """Clip the gradient of this norm; update masters, moments and parameters by it."""
        if self._config.moments == "bfloat16":
            self._step_rounded(norm)
        else:
            clip_grads_with_norm_(self._masters.values(), self._config.grad_clip, norm)
            self._adamw.param_groups[0]["lr"] = self.learning_rate()
            self._adamw.step()
        self.begin()
        self.steps += 1
        self._publish()

    @torch.no_grad()
    def _step_rounded(self, norm: torch.Tensor) -> None:
        """A step whose moments are rounded to bf16 up or down at random, so that their expectation
        is exact: rounded to the nearest, a second moment would stand still."""
        for parameter, name in self._names.items():
            master = self._masters[name]
            state = self._adamw.state[master]
            for key in _MOMENTS:
                if key not in state:
                    state[key] = torch.zeros_like(master, dtype=torch.bfloat16)
            random = torch.Generator(master.device).manual_seed(self.steps)
            for now, then in self._chunks(parameter, norm):
                now.weight.copy_(then.weight)
                now.mean.copy_(round_at_random(then.mean, random))
                now.square.copy_(round_at_random(then.square, random))

    def learning_rate(self) -> float:
        """Of the next update: rises linearly over the warm-up, then constant."""
        warmup = self._config.warmup_steps
        return self._config.lr * min(1.0, (self.steps + 1) / (warmup + 1))

    def _publish(self) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                if parameter.dtype != torch.float32:
                    parameter.copy_(self._masters[name])

    def state(self) -> dict[str, torch.Tensor]:
        """Everything `restore` needs, as tensors by name. Not copies."""
        tensors = {"steps": torch.tensor(self.steps)}
        for name, master in self._masters.items():
            tensors[f"master.{name}"] = master
            for key in _MOMENTS:
                moment = self._adamw.state[master].get(key)
                tensors[f"{key}.{name}"] = (
                    torch.zeros_like(master, dtype=self._moments) if moment is None else moment
                )
        return tensors

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up `state()` of the same model again. Raises KeyError when a tensor is missing."""
        self.steps = int(tensors["steps"])
        for name, master in self._masters.items():
            master.copy_(tensors[f"master.{name}"])
            self._adamw.state[master] = {
                "step": torch.tensor(float(self.steps), device=master.device),  # as fused wants it
            } | {key: tensors[f"{key}.{name}"].to(master.device, self._moments) for key in _MOMENTS}
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


def round_at_random(exact: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """fp32 numbers in bf16, each rounded up with the probability of its place between the two
    nearest bf16 numbers (stochastic rounding, arXiv 2010.06192)."""
    noise = torch.randint(
        1 << 16, exact.shape, dtype=torch.int32, device=exact.device, generator=generator
    )
    # bf16 is the upper half of fp32: what the noise carries over from the lower half rounds up.
    bits = exact.contiguous().view(torch.int32).add(noise).bitwise_and_(-(1 << 16))
    return bits.view(torch.float32).bfloat16()
