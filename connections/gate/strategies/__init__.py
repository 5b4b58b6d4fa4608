"""The named readiness strategies: each a pure rule from what is known so far to one verdict. Time is an argument.

`dependency_gate` is the cure and the fall-back, with `ready_ack`, `deferred_accept` and `client_init` for what it does
not ask. `immediate`, the delays and `state_poll` are honest baselines: they wait for nothing that matters, and are kept
so that charts can show it. A new strategy is one frozen dataclass whose fields are its parameters (`parameters.py`),
decorated with `@strategy(name)`, in a module that this one imports. docs/strategies.md lists them all.
"""

from connections.gate.strategies.base import DEFAULT_STRATEGY, STRATEGIES, Built, Strategy, build, strategy
from connections.gate.strategies.client import ClientInit
from connections.gate.strategies.delays import AdaptiveDelay, FixedDelay, Immediate, ProgressiveDelay, StatePoll
from connections.gate.strategies.gates import DeferredAccept, DependencyGate, ReadyAck
from connections.gate.strategies.knowledge import Action, Learned, Progress, Requirements, Switches, Verdict

__all__ = [
    "DEFAULT_STRATEGY",
    "STRATEGIES",
    "Action",
    "AdaptiveDelay",
    "Built",
    "ClientInit",
    "DeferredAccept",
    "DependencyGate",
    "FixedDelay",
    "Immediate",
    "Learned",
    "Progress",
    "ProgressiveDelay",
    "ReadyAck",
    "Requirements",
    "StatePoll",
    "Strategy",
    "Switches",
    "Verdict",
    "build",
    "strategy",
]
