"""Checks of the services a connection needs: what one is (`check.py`), how all connections share their answers
(`board.py`), and those that are ready made (`ready_made.py`). docs/dependencies.md shows how to use them."""

from connections.gate.dependencies.board import Board, LoopBoard
from connections.gate.dependencies.check import Check, CheckResult, run_check
from connections.gate.dependencies.ready_made import http_check, redis_check, sql_check, tcp_check

__all__ = [
    "Board",
    "Check",
    "CheckResult",
    "LoopBoard",
    "http_check",
    "redis_check",
    "run_check",
    "sql_check",
    "tcp_check",
]
