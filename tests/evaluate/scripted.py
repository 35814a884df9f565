"""A model that says what a script has for a prompt, behind the engine's protocol."""

from azr_fast.rollout.engine import Completion
from azr_fast.types import Stop


class ScriptedEngine:
    """Answers by `script(prompt text, seed)`; counts what it was asked."""

    name = "scripted"

    def __init__(self, renderer, script):
        self._renderer, self._script = renderer, script
        self._queue, self._generated = [], 0
        self.requests = []

    def submit(self, request):
        self._queue.append(request)

    def poll(self):
        done = [self._answer(request) for request in self._queue[:2]]
        del self._queue[:2]
        return done

    def _answer(self, request):
        self.requests.append(request)
        text = self._script(self._renderer.text(request.prompt_ids), request.seed)
        ids = self._renderer.insert(text)
        most = request.sampling.max_tokens
        stop = Stop.LENGTH if len(ids) >= most else Stop.END
        ids = ids[:most] if stop is Stop.LENGTH else [*ids, min(self._renderer.template.ends)]
        self._generated += len(ids)
        return Completion(request.id, tuple(ids), (0.0,) * len(ids), stop)

    def in_batch(self):
        return False

    def cancel(self):
        self._queue.clear()

    def generated_tokens(self):
        return self._generated

    def close(self):
        self._queue.clear()
