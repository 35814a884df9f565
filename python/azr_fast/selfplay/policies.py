"""The policies of the roles, and the one engine through which all of them speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from azr_fast.config.schema import Config
from azr_fast.policy.loading import load_on_device
from azr_fast.policy.lora import FrozenBase
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.network import Network, frozen_network, load_reference
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy
from azr_fast.policy.snapshot import Snapshots
from azr_fast.policy.stats import UpdateStats
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.parity import send_weights
from azr_fast.types import Episode, Role

PROPOSER_FOLDER = "proposer"  # in a checkpoint, where the proposer has weights of its own
Lessons = Sequence[TrainSequence]
Accept = Callable[[UpdateStats], None]


class Policies:
    """Which policy speaks and learns for each role. Roles that share weights have the same one.

    The engine holds the solver's weights at first.
    """

    def __init__(self, of_role: Mapping[Role, Policy], engine: Engine) -> None:
        self.of_role = of_role
        self._engine = engine
        self._speaking: Policy | None = of_role[Role.SOLVER]  # whose weights the engine holds

    @property
    def shared(self) -> bool:
        """Whether all roles have one policy."""
        return self.of_role[Role.PROPOSER] is self.of_role[Role.SOLVER]

    def roles(self) -> dict[Policy, list[Role]]:
        """Each policy with the roles that have it."""
        found: dict[Policy, list[Role]] = {}
        for role, policy in self.of_role.items():
            found.setdefault(policy, []).append(role)
        return found

    def split(
        self, batch: Sequence[Episode], learners: frozenset[Role]
    ) -> dict[Policy, list[Episode]]:
        """Each policy of which a role learns, with the episodes of its roles."""
        return {
            policy: [one for one in batch if one.role in roles]
            for policy, roles in self.roles().items()
            if learners & set(roles)
        }

    def moves(self) -> list[int]:
        """How often the weights of each role have moved."""
        return [policy.steps for policy in self.of_role.values()]

    def speaks(self, role: Role) -> bool:
        """Whether the engine holds the weights of `role`, as they are now."""
        return self._speaking is self.of_role[role]

    def let_speak(self, role: Role) -> None:
        """Send the weights of `role` to the engine. Raises ParityError unless they arrive."""
        self._speaking = None
        send_weights(self._engine, self.of_role[role].named_weights)
        self._speaking = self.of_role[role]

    def forget_speaker(self) -> None:
        """Whatever the engine holds is not to be trusted, or not what a policy is now."""
        self._speaking = None

    def learn(
        self,
        lessons: Mapping[Policy, Lessons],
        update: Callable[[Policy, Lessons, Accept], UpdateStats],
        accept: Accept,
    ) -> dict[str, UpdateStats]:
        """Update policies by their lessons. All accept before the first moves: the updates of the
        others are part of what the first must accept, so that what one of them raises leaves all
        as they were. The statistics by the names of a policy's roles."""
        done: dict[str, UpdateStats] = {}
        left = list(lessons)
        if not left:
            return done
        first, *others = left

        def accept_all(stats: UpdateStats) -> None:
            accept(stats)
            done.update(self.learn({policy: lessons[policy] for policy in others}, update, accept))

        stats = update(first, lessons[first], accept_all)
        if stats.moved and self._speaking is first:
            self._speaking = None
        return {"+".join(self.roles()[first]): stats} | done

    def snapshots(self) -> Snapshots:
        """The present state of all. The solver's lies in a checkpoint itself, since it is the run's
        product, that of a proposer of its own beside it."""
        return Snapshots({place: policy.snapshot() for place, policy in self._places()})

    def load(self, checkpoint: Path) -> None:
        """Take up what `snapshots` wrote."""
        self._speaking = None
        for place, policy in self._places():
            policy.load(checkpoint / place)

    def _places(self) -> list[tuple[str, Policy]]:
        solver, proposer = self.of_role[Role.SOLVER], self.of_role[Role.PROPOSER]
        return [("", solver)] if self.shared else [("", solver), (PROPOSER_FOLDER, proposer)]


def open_policies(
    config: Config, files: ModelFiles, reference: ModelFiles | None
) -> dict[Role, Policy]:
    """The policy of each role from one base model: one for all, a whole one each, or an adapter
    each over a base that stands still. All are pulled towards the same reference, where there is
    one."""
    base = _open_base(config, files) if config.roles.adapters else None
    frozen = _open_reference(config, base, reference) if reference else None

    def policy() -> Policy:
        return Policy(files, config.model, config.update, config.rollout.temperature, frozen, base)

    solver = policy()
    return {Role.PROPOSER: policy() if config.roles.apart else solver, Role.SOLVER: solver}


def _open_base(config: Config, files: ModelFiles) -> FrozenBase:
    model = load_on_device(files, config.model).requires_grad_(False)
    return FrozenBase(model, files.name, config.lora, config.run.seed)


def _open_reference(config: Config, base: FrozenBase | None, reference: ModelFiles) -> Network:
    """The model that the run began with; under adapters that is the base, which is held once."""
    if base:
        return frozen_network(base.alone(), config.update)
    return load_reference(reference, config.model, config.update)
