"""The reference service under one strategy, in a process of its own: what `benchmarks.strategies` talks to.

    python -m benchmarks.strategies_service STRATEGY ENVIRONMENT SEED

Prints its port, and its gate's records as JSON lines, until SIGTERM.
"""

import logging
import random
import sys

from connections.reference.__main__ import listen, serve
from connections.reference.app import create_app
from connections.reference.practice import Practice
from connections.reference.wire import FaultyWire


def main() -> int:
    strategy, environment, seed = sys.argv[1:]
    random.seed(int(seed))
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s", stream=sys.stdout)
    logging.getLogger("readywire.gate").setLevel(logging.INFO)
    listener = listen("127.0.0.1", 0)
    practice = Practice()
    flags = {"readiness-strategy": strategy}
    gate = create_app(environment, instance="benchmark", flags=flags, practice=practice)
    serve(FaultyWire(gate, practice), gate, listener, str(listener.getsockname()[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
