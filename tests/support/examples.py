"""How much a test tries: little in `make test`, much in `make proof`."""

import os

VARIABLE = "EXAMPLES_TIMES"


def times(examples: int) -> int:
    """`examples` as often as EXAMPLES_TIMES says; once where it says nothing."""
    return examples * int(os.environ.get(VARIABLE, "1"))


def at_full_size() -> bool:
    """Whether `make proof` runs the tests: then those that choose their cases take all of them."""
    return times(1) > 1
