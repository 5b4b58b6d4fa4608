"""Where django-allauth, which speaks OpenID Connect for us, meets our people. Loaded only where OIDC_ISSUER is set."""

import logging
from typing import Any, NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest
from django.shortcuts import render

from dashboard.oidc import NotAdmittedError, admit
from dashboard.views.signin import enter

logger = logging.getLogger(__name__)


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth publishes no types
    """allauth has verified who it is; whom we know, and as what, is decided here. Its own accounts are not used."""

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> NoReturn:
        data = sociallogin.account.extra_data
        told, signed = data.get("userinfo") or {}, data.get("id_token") or {}
        try:
            # OpenID Connect Core 5.3.2: what is told of another subject must not be used.
            if told and signed and told.get("sub") != signed.get("sub"):
                raise NotAdmittedError("The provider told of somebody else than it signed in.")
            user = admit({**signed, **told})
        except NotAdmittedError as refused:
            _refuse(request, str(refused))
        raise ImmediateHttpResponse(enter(request, user))

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> NoReturn:
        logger.warning("sign-in failed: %s %s", error, exception)
        _refuse(
            request, "The provider did not sign you in. Try again; if it stays so, look at the log of the web process."
        )


def _refuse(request: HttpRequest, sentence: str) -> NoReturn:
    raise ImmediateHttpResponse(render(request, "signin/refused.html", {"sentence": sentence}, status=403))
