"""How many examples a fuzz test tries: few in `make test`, many in `make proof`."""

import os

VARIABLE = "EXAMPLES_TIMES"


def times(examples: int) -> int:
    """`examples` as often as EXAMPLES_TIMES says; once where it says nothing."""
    return examples * int(os.environ.get(VARIABLE, "1"))
