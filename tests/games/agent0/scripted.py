"""The real transformers engine over a tiny model, whose tokens a script chooses: their log-probs are
the model's, so that the trainer finds them right and learns from them."""

import torch

from azr_fast.rollout.engine import Completion
from azr_fast.rollout.transformers_engine import TransformersEngine


class ScriptedEngine(TransformersEngine):
    """Says what `script` gives for the text of a prompt and the id of a request."""

    def __init__(self, rollout, files, renderer, model, script):
        super().__init__(rollout, files, renderer.stops, model)
        self._renderer, self._script = renderer, script

    def poll(self):
        requests, self._queue = sorted(self._queue, key=lambda one: one.id), []
        return [self._say(request) for request in requests]

    @torch.inference_mode()
    def _say(self, request):
        prompt, sampling = request.prompt_ids, request.sampling
        # The start of a run asks a few things of its own, by ids of one number.
        played = len(request.id) > 1
        text = self._script(self._renderer.text(prompt), request.id) if played else "Fine."
        (end,) = self._renderer.template.ends
        said, stop = [], None
        for token in [*self._renderer._encoder.encode_after_text(text), end]:
            said.append(token)
            if stop := self._stops.stop(said, sampling):
                break
        ids = torch.tensor([[*prompt, *said[:-1]]])
        logits_TV = self._model(input_ids=ids, logits_to_keep=len(said)).logits[0]
        logp_TV = (logits_TV.float() / sampling.temperature).log_softmax(-1)
        logprobs = logp_TV.gather(1, torch.tensor(said)[:, None])[:, 0].tolist()
        self._generated += len(said)
        return Completion(request.id, tuple(said), tuple(logprobs), stop)
