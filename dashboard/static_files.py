"""Static files: hashed names, compressed once, imports between our own ES modules rewritten to the hashed names too."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from servestatic import ServeStaticASGI
from servestatic.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # servestatic types it as Any
    """Without rewritten imports, a cached module could import a sibling of another version."""

    support_js_module_import_aggregation = True

    def url_converter(
        self, name: str, hashed_files: dict[str, Any], template: str | None = None
    ) -> Callable[[re.Match[str]], str]:
        """Others' scripts stay as they are: minified code and comments only look like imports."""
        if name.endswith(".js") and not name.startswith("js/"):
            return lambda match: match.group(0)
        convert: Callable[[re.Match[str]], str] = super().url_converter(name, hashed_files, template)
        return convert


Send = Callable[[Any], Awaitable[None]]
_GONE = b"This file is of another version. Reload the page."


class WholeOrNotFound:
    """Serves files so that one removed since the start (by an upgrade, say) is a 404 and not an endless response.

    `ServeStaticASGI` announces a file before it opens it; the announcement is held until there is something to follow.
    """

    def __init__(self, files: ServeStaticASGI) -> None:
        self._files = files

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        announced: list[Any] = []
        sent = False

        async def held(event: Any) -> None:
            nonlocal sent
            if event["type"] == "http.response.start":
                announced.append(event)
                return
            while announced:
                await send(announced.pop())
            sent = True
            await send(event)

        try:
            await self._files(scope, receive, held)
        except FileNotFoundError:
            if sent:
                raise
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": _GONE})
