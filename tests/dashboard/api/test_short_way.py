"""The short way of programs' requests: what protects them stays, and nothing else of a page's is paid for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from pytest_django import Settings

from dashboard.api import short_way as module
from dashboard.api.endpoint import endpoint

JSON = {"Content-Type": "application/json"}


@endpoint("POST")
async def echo(request: HttpRequest, word: str) -> HttpResponse:
    return HttpResponse(request.read(), headers={"X-Word": word, "X-Secure": str(request.is_secure())})


@endpoint("GET")
async def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a secret that no client may read")


class Endless:
    """A stream that counts who is being served."""

    open = 0

    async def parts(self) -> AsyncIterator[bytes]:
        Endless.open += 1
        try:
            while True:
                yield b"part"
                await asyncio.sleep(0.01)
        finally:
            Endless.open -= 1


@endpoint("GET")
async def endless(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(Endless().parts())


async def page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"a page"})


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [path("api/echo/<str:word>", echo), path("api/broken", broken), path("api/endless", endless)]
    monkeypatch.setattr(module, "programs", addresses)


@pytest.fixture
def client(programs: None) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(module.short_way(page)), base_url="http://localhost")


async def test_a_view_gets_its_body_and_what_it_answers_is_sent_whole(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/echo/hello", content=b"body")
    assert (answer.status_code, answer.content, answer.headers["X-Word"]) == (200, b"body", "hello")
    assert answer.headers["Content-Length"] == "4"


async def test_the_security_headers_that_mean_something_without_a_page_stay(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/echo/hello")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "Set-Cookie" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers


async def test_where_https_is_served_nothing_is_answered_without_it(programs: None, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    transport = httpx.ASGITransport(module.short_way(page))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        refused = await client.post("/api/echo/hello?a=1")
        served = await client.post("/api/echo/hello", headers={"X-Forwarded-Proto": "https"})
    assert (refused.status_code, refused.headers["Location"]) == (301, "https://localhost/api/echo/hello?a=1")
    assert (served.status_code, served.headers["X-Secure"]) == (200, "True")
    assert served.headers["Strict-Transport-Security"] == "max-age=60; includeSubDomains; preload"


async def test_a_host_that_is_not_ours_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/echo/hello", headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.json()["errorCode"]) == (400, "GENERAL")


@pytest.mark.parametrize("address", ["/", "/flags/", "/api/v1/targets/x/race-checks", "/api/nothing", "/ofrep/"])
async def test_every_other_address_goes_the_long_way(client: httpx.AsyncClient, address: str) -> None:
    assert (await client.get(address)).status_code == 299


async def test_a_failure_of_ours_is_500_json_and_tells_no_secret(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/api/broken")
    assert (answer.status_code, answer.json()["errorCode"]) == (500, "GENERAL")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


async def test_a_stream_ends_when_its_client_leaves(programs: None) -> None:
    leave = asyncio.Event()
    asked, sent = iter([{"type": "http.request"}]), []

    async def receive() -> Any:
        for message in asked:
            return message
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 4:
            leave.set()

    scope = {"type": "http", "method": "GET", "path": "/api/endless", "headers": [(b"host", b"localhost")]}
    async with asyncio.timeout(5):
        await module.short_way(page)(scope, receive, send)
    assert sent[1]["body"] == b"part"
    assert Endless.open == 0
