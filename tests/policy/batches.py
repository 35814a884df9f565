"""Random batches for a policy over the tiny model, and its weights."""

from azr_fast.policy.packing import TrainSequence


def batch_of(rng, count=8, advantage=None, logprobs=None):
    """Answers of various lengths to two prompts."""
    prompts = (tuple(range(1, 9)), tuple(range(20, 25)))
    return [
        TrainSequence(
            prompts[i % 2],
            tuple(rng.randrange(61) for _ in range(rng.randint(1, 9))),
            rng.uniform(-1, 1) if advantage is None else advantage,
            1 / 40,
            logprobs,
        )
        for i in range(count)
    ]


def weights_of(policy):
    return {name: weight.clone() for name, weight in policy.named_weights()}
