"""What can be wrong with a change of flags. Each error names the field and the cure, for page and command line alike.

FlagError
├── UnknownEnvironment     no such environment
├── UnknownFlag            the environment has no such flag
├── UnknownVariant         the flag has no such variant
├── UnknownVersion         the environment has no such version
├── UnknownPlan            no such plan
├── StaleVersion           somebody changed the flags since the page was read: carries what changed
├── ReasonMissing          the environment asks for a reason
├── NothingToChange        already so
├── NeedsSecondPerson      two people are asked for here: carries what a proposal stores
├── UnknownProposal        no such proposal
├── ProposalClosed         it was decided, withdrawn, or has expired
├── StaleProposal          its flags changed since it was made: carries what changed
├── SamePerson             one person is not two
├── GlassRefused           glass that cannot be broken, ended or reviewed like this
├── NoKnownGood            nobody has marked a version known-good: carries the versions on offer
├── BadDefinition          a definition that clients would not understand
├── BadRamp                steps that cannot be served
├── BadExpiry              an overlay that would end before it begins
├── NoSafeVariant          the flag names no variant that a kill could serve
├── NothingLaid            no such kill, breaker or ramp lies over the flag
├── UnderLayer             a kill, breaker or ramp over the flag stands in the way
└── NoStageBefore          nothing comes before the first environment
"""
# The names say what went wrong; the tree above says that all of them are errors.
# ruff: noqa: N818

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connections.flags.versions import FlagDiff


class FlagError(Exception):
    """A request that changes nothing. `field`: the input at fault; `message`: what is wrong; `cure`: what to do."""

    def __init__(self, field: str, message: str, cure: str) -> None:
        super().__init__(f"{message} {cure}")
        self.field = field
        self.message = message
        self.cure = cure


class UnknownEnvironment(FlagError):
    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__("environment", f"There is no environment {key!r}.", f"Use one of: {', '.join(known)}.")


class UnknownFlag(FlagError):
    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__("flag", f"There is no flag {key!r} here.", f"Use one of: {', '.join(sorted(known))}.")
        self.flag = key


class UnknownVariant(FlagError):
    def __init__(self, flag: str, variant: str, known: Iterable[str]) -> None:
        super().__init__(flag, f"{flag} has no variant {variant!r}.", f"Choose one of: {', '.join(known)}.")
        self.flag, self.variant = flag, variant


class UnknownVersion(FlagError):
    def __init__(self, number: int, newest: int) -> None:
        super().__init__("version", f"There is no version {number}.", f"Choose one from 1 to {newest}.")


class UnknownPlan(FlagError):
    def __init__(self, key: str, known: Iterable[str]) -> None:
        super().__init__("plan", f"There is no plan {key!r}.", f"Use one of: {', '.join(known)}.")


class StaleVersion(FlagError):
    """`current`: the newest version's number; `theirs`: what changed since `expected`; `yours`: what was asked for."""

    def __init__(self, expected: int, current: int, theirs: Sequence[FlagDiff], yours: Sequence[FlagDiff]) -> None:
        super().__init__(
            "expected_version",
            f"The flags changed while you were looking: you saw version {expected}, version {current} is served now.",
            "Look at what changed, then decide again.",
        )
        self.expected, self.current = expected, current
        self.theirs, self.yours = tuple(theirs), tuple(yours)


class ReasonMissing(FlagError):
    def __init__(self) -> None:
        super().__init__("reason", "A reason is missing.", "Say why, in at least 3 words.")


class NothingToChange(FlagError):
    def __init__(self) -> None:
        super().__init__("values", "Nothing would change: already so.", "Nothing needs to be done.")


class NeedsSecondPerson(FlagError):
    """`changes`: the definitions that a version would append; `arguments`: of the verb, where there are none."""

    def __init__(
        self,
        environment: str,
        kind: str,
        author: str,
        reason: str,
        subject: str,
        version: int,
        changes: Mapping[str, dict[str, Any] | None] | None,
        arguments: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(
            "approval",
            f"In {environment} a second person approves what is new.",
            "Propose it, or break the glass and have it reviewed.",
        )
        self.environment, self.kind, self.author, self.reason = environment, kind, author, reason
        self.subject, self.version = subject, version
        self.changes, self.arguments = changes, arguments


class UnknownProposal(FlagError):
    def __init__(self, number: int) -> None:
        super().__init__("proposal", f"There is no proposal {number}.", "Look at /flags/proposals/.")


class ProposalClosed(FlagError):
    def __init__(self, number: int, how: str) -> None:
        super().__init__("proposal", f"Proposal {number} {how}.", "Propose it again if it is still wanted.")


class StaleProposal(FlagError):
    """`theirs`: what changed in the proposal's flags since it was made; `yours`: what it wanted to change."""

    def __init__(self, number: int, theirs: Sequence[FlagDiff], yours: Sequence[FlagDiff]) -> None:
        flags = ", ".join(one.flag for one in theirs)
        super().__init__(
            "proposal",
            f"What proposal {number} changes was changed meanwhile: {flags}.",
            "Look at the difference, and propose it again on what is served now.",
        )
        self.theirs, self.yours = tuple(theirs), tuple(yours)


class SamePerson(FlagError):
    def __init__(self, name: str, act: str) -> None:
        super().__init__("approval", f"{name} cannot {act} alone.", "Another named person has to.")


class GlassRefused(FlagError):
    def __init__(self, field: str, message: str, cure: str) -> None:
        super().__init__(field, message, cure)


class NoKnownGood(FlagError):
    """`versions`: numbers of the newest versions, newest first, one of which a person may mark."""

    def __init__(self, environment: str, versions: Sequence[int]) -> None:
        offered = ", ".join(str(number) for number in versions)
        super().__init__(
            "plan",
            f"Nobody has marked a version of {environment} known-good.",
            f"Mark one, or revert to one of the last versions: {offered}.",
        )
        self.versions = tuple(versions)


class BadDefinition(FlagError):
    def __init__(self, flag: str, message: str) -> None:
        super().__init__(flag, f"{flag}: {message}.", "Correct the definition.")
        self.flag = flag


class BadRamp(FlagError):
    def __init__(self, message: str) -> None:
        super().__init__("steps", message, "Correct the steps.")


class BadExpiry(FlagError):
    def __init__(self) -> None:
        super().__init__("expires_at", "It would end before it begins.", "Choose a later time, or none.")


class NoSafeVariant(FlagError):
    def __init__(self, flag: str) -> None:
        super().__init__("flag", f"{flag} names no safe variant.", "Set metadata.safeVariant in its definition first.")
        self.flag = flag


class NothingLaid(FlagError):
    """`message` names what is not there."""

    def __init__(self, message: str) -> None:
        super().__init__("flag", message, "Look at what is served now.")


class UnderLayer(FlagError):
    """`message` names what lies over the flag, `cure` what to do about it first."""

    def __init__(self, flag: str, message: str, cure: str) -> None:
        super().__init__("flag", message, cure)
        self.flag = flag


class NoStageBefore(FlagError):
    def __init__(self, environment: str) -> None:
        super().__init__(
            "environment", f"Nothing is promoted to {environment}: it comes first.", "Choose a later environment."
        )
