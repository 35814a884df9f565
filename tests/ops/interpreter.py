"""The other end of conftest.Interpreter: reads calls from stdin and answers on stdout."""

import importlib
import pickle
import sys

answers, sys.stdout = sys.stdout.buffer, sys.stderr


def call(place, arguments, options):
    module, function = place.split(":")
    try:
        result = getattr(importlib.import_module(module), function)(*arguments, **options)
    except Exception as error:  # raised again at the other end
        return error
    return result, arguments


while sys.stdin.buffer.peek(1):
    pickle.dump(call(*pickle.load(sys.stdin.buffer)), answers)
    answers.flush()
