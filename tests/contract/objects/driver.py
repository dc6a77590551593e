"""Reads one JSON question per line, calls the operation of that name, and prints one JSON answer per line."""

import json
import os
import sys

STORE = json.loads(os.environ["STORE"])


def serve(operations, outcome_of):
    for line in sys.stdin:
        question = json.loads(line)
        operation = operations[question.pop("operation")]
        try:
            answer = {"outcome": "ok", "value": operation(**question)}
        except Exception as error:
            outcome = outcome_of(error)
            answer = {"outcome": outcome} if outcome else {"outcome": "failed", "error": repr(error)}
        print(json.dumps(answer), flush=True)
