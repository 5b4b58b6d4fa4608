"""What must hold before anything starts. Each trouble is one line that names the cure."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import redis
from django.db import OperationalError, connection

from dashboard.embedded_redis import port_is_free

REDIS_ANSWER_SECONDS = 3.0


def troubles(data_dir: Path, ports: dict[str, int], redis_url: str) -> Iterator[str]:
    """Every reason not to start. `ports` by what listens there; an empty `redis_url` means the private Redis."""
    if trouble := _unwritable(data_dir):
        yield trouble
        return
    for name, port in ports.items():
        if not port_is_free(port):
            yield f"Port {port} ({name}) is in use{_owner(port)}. {_port_cure(name)}"
    if redis_url and (trouble := _redis_trouble(redis_url)):
        yield trouble
    if trouble := _database_trouble():
        yield trouble


def _unwritable(data_dir: Path) -> str:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            return ""
    except OSError as error:
        cure = "Make it writable, or set DATA_DIR to another folder."
        return f"DATA_DIR: cannot write {data_dir} ({error.strerror}). {cure}"


def _owner(port: int) -> str:
    try:
        for row in psutil.net_connections("tcp"):
            if row.status == psutil.CONN_LISTEN and row.laddr and row.laddr.port == port and row.pid:
                return f" by {psutil.Process(row.pid).name()} (process {row.pid})"
    except psutil.Error:
        return ""
    return ""


def _port_cure(name: str) -> str:
    setting = "PORT=8010" if name == "web" else "REFERENCE_PORTS=8201,8202"
    return f"Stop it, or choose another: {setting} make serve"


def _redis_trouble(url: str) -> str:
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or 6379}"
    try:
        with redis.Redis.from_url(url, socket_timeout=REDIS_ANSWER_SECONDS, socket_connect_timeout=3) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        cure = "Start it, or unset REDIS_URL to use a private one."
        return f"REDIS_URL: Redis at {place} does not answer ({error}). {cure}"
    return ""


def _database_trouble() -> str:
    try:
        connection.ensure_connection()
    except OperationalError as error:
        why = str(error).strip().splitlines()[0]
        return f"DATABASE_URL: the database does not answer ({why}). Start it, or unset DATABASE_URL to use SQLite."
    return ""
