"""How a target is reached, from its form: stored sealed, mistakes told beside their fields, secrets never shown."""

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from connections.models import AuditRecord
from probes.credentials import unseal
from probes.models import Target
from tests.dashboard.test_targets_edit import TYPED
from tests.support.certificates import Authority, authority
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
EDIT = "/targets/orders-feed/edit/"


@pytest.fixture
def ada() -> Client:
    return signed_in("administrator")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("certificates")
    return authority(folder)


def stored() -> dict[str, Any]:
    return unseal(Target.objects.get(slug="orders-feed").credentials)


def changed(ada: Client, number: int, **fields: str) -> Any:
    return ada.post(EDIT, {**TYPED, "key": f"{number:032}", **fields})


def test_every_option_is_stored_and_those_that_are_no_secret_are_shown_again(
    ada: Client, certificates: Authority
) -> None:
    """A browser sends line ends as two characters; what is stored has one."""
    client_pem = certificates.client_pem()
    sent = {
        "family": "ipv4",
        "address": "10.1.2.3:8443",
        "server_name": "orders.internal",
        "ca_pem": certificates.pem.replace("\n", "\r\n"),
        "client_pem": client_pem.replace("\n", "\r\n"),
        "proxy": "http://proxy.example:3128",
        "proxy_login": "probe:p@ss:word",
        "compression": "yes",
        "early_send": "yes",
        "token": "t0ken",
    }
    assert ada.post("/targets/add/", {**TYPED, **sent}).status_code == 302
    assert stored() == {
        "token": "t0ken",
        "ca_pem": certificates.pem,
        "connection": {
            "family": "ipv4",
            "address": "10.1.2.3:8443",
            "server_name": "orders.internal",
            "client_pem": client_pem,
            "proxy": "http://probe:p%40ss%3Aword@proxy.example:3128",
        },
    }
    script = Target.objects.get(slug="orders-feed").script
    assert (script["compression"], script["early_send"]) == (True, True)
    page = ada.get(EDIT).content.decode()
    for visible in ("10.1.2.3:8443", "orders.internal", "http://proxy.example:3128", certificates.pem.split("\n")[1]):
        assert visible in page
    for secret in ("p@ss", "p%40ss", "PRIVATE KEY", client_pem.split("\n")[1], "t0ken"):
        assert secret not in page
    assert '<option value="ipv4" selected>' in page
    assert "early_send:" not in page
    assert 'name="early_send" value="yes" aria-describedby="early_send-hint" checked' in page


def test_the_part_is_closed_until_something_in_it_is_used(ada: Client) -> None:
    opened = '<details class="full" open>\n  <summary>How it is reached'
    ada.post("/targets/add/", TYPED)
    assert opened not in ada.get(EDIT).content.decode()
    assert stored() == {}
    changed(ada, 1, server_name="orders.internal")
    assert opened in ada.get(EDIT).content.decode()


def test_what_the_form_shows_can_be_sent_back_and_keeps_every_secret(ada: Client, certificates: Authority) -> None:
    """Nothing changes, so nothing is written down."""
    secret = {"client_pem": certificates.client_pem(), "proxy": "http://proxy.example", "proxy_login": "a:b"}
    ada.post("/targets/add/", {**TYPED, **secret, "token": "t0ken", "ca_pem": certificates.pem})
    before = stored()
    assert changed(ada, 1, proxy="http://proxy.example", ca_pem=certificates.pem).status_code == 302
    assert stored() == before
    assert not AuditRecord.objects.filter(action="target.changed").exists()


def test_each_secret_is_forgotten_by_its_own_box(ada: Client, certificates: Authority) -> None:
    secret = {"client_pem": certificates.client_pem(), "proxy": "http://proxy.example", "proxy_login": "a:b"}
    ada.post("/targets/add/", {**TYPED, **secret, "token": "t0ken"})
    assert text(ada.get(EDIT)).count("One is stored, encrypted") == 3
    changed(ada, 1, proxy="http://proxy.example", forget_client_pem="yes")
    assert stored() == {"token": "t0ken", "connection": {"proxy": "http://a:b@proxy.example"}}
    changed(ada, 2, proxy="http://proxy.example", forget_proxy_login="yes")
    assert stored() == {"token": "t0ken", "connection": {"proxy": "http://proxy.example"}}
    changed(ada, 3, forget_token="yes")
    assert stored() == {}


def test_a_stored_login_never_goes_to_another_proxy(ada: Client) -> None:
    """Or whoever may edit a target could have it sent to a machine of their own."""
    ada.post("/targets/add/", {**TYPED, "proxy": "http://proxy.example", "proxy_login": "a:b"})
    answer = changed(ada, 1, proxy="http://elsewhere.example")
    assert answer.status_code == 422
    assert "Proxy login: the stored one belongs to another proxy. Enter it again, or forget it." in text(answer)
    assert changed(ada, 2, proxy="http://elsewhere.example", forget_proxy_login="yes").status_code == 302
    assert stored()["connection"] == {"proxy": "http://elsewhere.example"}


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("family", "ipv5", "Addresses: 'ipv5' is no address family. Use any, ipv4, ipv6."),
        ("address", "a b", "Node to dial: 'a b' is neither a host name nor an address."),
        ("address", "node:99999", "Node to dial: its port lies not between 1 and 65535."),
        ("server_name", "no name", "Name in the certificate: 'no name' is no host name."),
        ("ca_pem", "nonsense", "Authorities to trust: holds no certificates. Paste them as PEM."),
        ("ca_pem", "x" * 70_000, "Authorities to trust: is longer than 65536 characters."),
        ("client_pem", "nonsense", "Our certificate and key: holds no certificate."),
        ("proxy", "https://proxy.example", "Proxy: must begin with http://"),
        ("proxy", "http://a:b@proxy.example", "Proxy: holds a name or password. Write them into the proxy login"),
        ("proxy_login", "a:b", "Proxy: is empty, but has a login."),
    ],
)
def test_a_mistake_names_its_field_and_the_cure(ada: Client, field: str, typed: str, told: str) -> None:
    """Nothing is stored, and the part is open."""
    answer = ada.post("/targets/add/", {**TYPED, field: typed})
    assert answer.status_code == 422
    assert told in unescape(text(answer))
    blamed = "proxy" if field == "proxy_login" else field
    assert f'id="{blamed}-error"' in answer.content.decode()
    assert '<details class="full" open>\n  <summary>How it is reached' in answer.content.decode()
    assert not Target.objects.filter(url=TYPED["url"]).exists()


def test_a_login_without_a_password_is_told(ada: Client) -> None:
    answer = ada.post("/targets/add/", {**TYPED, "proxy": "http://proxy.example", "proxy_login": "probe"})
    assert "Proxy login: is no name with a password. Write name:password." in text(answer)


def test_a_key_that_was_typed_beside_a_mistake_is_asked_for_again(ada: Client, certificates: Authority) -> None:
    """It is not sent back to the browser."""
    sent = {**TYPED, "interval": "soon", "client_pem": certificates.client_pem()}
    answer = ada.post("/targets/add/", sent)
    assert "not kept, for keys are never shown. Paste it again." in text(answer)
    assert "PRIVATE KEY" not in answer.content.decode()


def test_a_script_that_names_a_switch_itself_decides_unless_the_box_says_otherwise(ada: Client) -> None:
    ada.post("/targets/add/", {**TYPED, "script": f"{TYPED['script']}compression: true\n"})
    assert Target.objects.get(slug="orders-feed").script["compression"] is True
    answer = changed(ada, 1, script=f"{TYPED['script']}compression: false\n", compression="yes")
    assert "Compression: is ticked here, but false in the conversation. Take one of them away." in text(answer)


def test_the_early_variant_of_a_script_that_speaks_first_is_refused_beside_its_box(ada: Client) -> None:
    answer = ada.post("/targets/add/", {**TYPED, "script": "preset: mqtt\n", "early_send": "yes"})
    assert answer.status_code == 422
    assert "The first message with the 101: has steps before the claim." in text(answer)
    assert 'id="early_send-error"' in answer.content.decode()


def test_a_node_that_probes_would_refuse_is_told_below_its_own_field(ada: Client) -> None:
    """It is dialled instead of the address above."""
    asked = {"url": "ws://10.0.0.1/", "address": "192.168.1.1:9"}
    assert "192.168.1.1 is a private address" in text(ada.get("/targets/add/address/", {**asked, "of": "address"}))
    assert "will not dial" not in text(ada.get("/targets/add/address/", {**asked, "of": "url"}))
    public = {**asked, "address": "93.184.216.34"}
    assert "will not dial" not in text(ada.get("/targets/add/address/", {**public, "of": "address"}))
