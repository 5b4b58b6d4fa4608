"""Names to addresses."""

import pytest

from probes.engine.eyeballs import interleave
from probes.engine.names import ResolutionError, Resolver


async def test_literals_are_their_own_address() -> None:
    """Nothing is asked over the network."""
    resolver = Resolver()
    assert await resolver.resolve("127.0.0.1", 80) == ("127.0.0.1",)
    assert await resolver.resolve("::1", 80) == ("::1",)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "chat.localhost"])
async def test_localhost_is_loopback_of_both_families(name: str) -> None:
    """RFC 6761."""
    assert await Resolver().resolve(name, 80) == ("127.0.0.1", "::1")


async def test_a_name_without_address_raises_the_resolvers_words() -> None:
    """An empty label is refused before anything is asked."""
    resolver = Resolver()
    try:
        with pytest.raises(ResolutionError):
            await resolver.resolve("no..such", 80)
    finally:
        await resolver.close()


def test_families_alternate_beginning_with_the_first() -> None:
    """RFC 8305 section 4."""
    assert interleave(["::1", "::2", "1.1.1.1", "::1"]) == ("::1", "1.1.1.1", "::2")
    assert interleave([]) == ()
