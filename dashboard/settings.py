"""Django settings: wiring only. What may be set, and its meaning, stands in dashboard/env.py."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF

from dashboard import env
from probes.engine.guardrails import Allowance

_values = env.read()
BASE_DIR = env.BASE_DIR
DATA_DIR: Path = _values["DATA_DIR"]
SECRET_KEY: str = _values["SECRET_KEY"]
REDIS_URL: str = _values["REDIS_URL"]
# Loopback is always answered: health checks ask from inside the machine.
ALLOWED_HOSTS: list[str] = [*_values["ALLOWED_HOSTS"], "127.0.0.1"]
PORT: int = _values["PORT"]
REFERENCE_PORTS: tuple[int, int] = _values["REFERENCE_PORTS"]
READYWIRE_CONTROL_TOKEN: str = _values["READYWIRE_CONTROL_TOKEN"]
PUBLIC_URL: str = _values["PUBLIC_URL"]
TIME_ZONE: str = _values["TIME_ZONE"]
PROBE_WORKERS: int = _values["PROBE_WORKERS"]
PROBE_MAX_IN_FLIGHT: int = _values["PROBE_MAX_IN_FLIGHT"]
RESIDENTS_PER_WORKER: int = _values["RESIDENTS_PER_WORKER"]
PROBE_MAX_HEADER_BYTES: int = _values["PROBE_MAX_HEADER_BYTES"]
PROBE_MAX_MESSAGE_BYTES: int = _values["PROBE_MAX_MESSAGE_BYTES"]
PROBE_MAX_TOTAL_BYTES: int = _values["PROBE_MAX_TOTAL_BYTES"]
PROBE_MAX_FRAMES: int = _values["PROBE_MAX_FRAMES"]
PROBE_SETTLE_MILLISECONDS: int = _values["PROBE_SETTLE_MILLISECONDS"]
PROBE_LINGER_MILLISECONDS: int = _values["PROBE_LINGER_MILLISECONDS"]
PROBE_ALLOW: tuple[Allowance, ...] = _values["PROBE_ALLOW"]
PROBE_ALLOW_PRIVATE: bool = _values["PROBE_ALLOW_PRIVATE"]
PROBE_BY_HAND_PRIVATE: bool = _values["PROBE_BY_HAND_PRIVATE"]
TICK_HORIZON_SECONDS: float = _values["TICK_HORIZON_SECONDS"]
MISSED_GRACE_SECONDS: float = _values["MISSED_GRACE_SECONDS"]
MISSED_CATCH_UP_MINUTES: int = _values["MISSED_CATCH_UP_MINUTES"]
OUTCOME_BUFFER: int = _values["OUTCOME_BUFFER"]
RESULTS_STREAM_LENGTH: int = _values["RESULTS_STREAM_LENGTH"]
FLUSH_MILLISECONDS: int = _values["FLUSH_MILLISECONDS"]
FLUSH_OUTCOMES: int = _values["FLUSH_OUTCOMES"]
RECORDER_MOST_TARGETS: int = _values["RECORDER_MOST_TARGETS"]
RAW_DAYS: int = _values["RAW_DAYS"]
MINUTE_DAYS: int = _values["MINUTE_DAYS"]
HOUR_DAYS: int = _values["HOUR_DAYS"]
RACE_CHECK_MOST: int = _values["RACE_CHECK_MOST"]
RACE_CHECK_AT_ONCE: int = _values["RACE_CHECK_AT_ONCE"]
RACE_CHECK_PER_SECOND: float = _values["RACE_CHECK_PER_SECOND"]
RACE_CHECK_PAUSE_SECONDS: float = _values["RACE_CHECK_PAUSE_SECONDS"]
TRANSCRIPT_SUCCESS_SHARE: float = _values["TRANSCRIPT_SUCCESS_SHARE"]
TRANSCRIPT_BYTES: int = _values["TRANSCRIPT_BYTES"]
CERTIFICATE_WARNING_DAYS: int = _values["CERTIFICATE_WARNING_DAYS"]
LIVE_UPDATES_PER_SECOND: float = _values["LIVE_UPDATES_PER_SECOND"]
REVISION_POLL_MILLISECONDS: int = _values["REVISION_POLL_MILLISECONDS"]
OFREP_ORIGINS: tuple[str, ...] = _values["OFREP_ORIGINS"]
SERVER_KEY_REQUESTS_PER_SECOND: float = _values["SERVER_KEY_REQUESTS_PER_SECOND"]
FLAG_STALE_DAYS: int = _values["FLAG_STALE_DAYS"]
SIGNIN_LINK_MINUTES: float = _values["SIGNIN_LINK_MINUTES"]
OIDC_ISSUER: str = _values["OIDC_ISSUER"]
OIDC_LABEL: str = _values["OIDC_LABEL"]
OIDC_NAME_CLAIM: str = _values["OIDC_NAME_CLAIM"]
OIDC_ROLES_CLAIM: str = _values["OIDC_ROLES_CLAIM"]
OIDC_ROLES: dict[str, str] = _values["OIDC_ROLES"]
_https = PUBLIC_URL.startswith("https://")

DEBUG = False
USE_TZ = True
ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"
AUTH_USER_MODEL = "dashboard.User"
LOGIN_URL = "/signin/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "connections.apps.ConnectionsConfig",
    "probes.apps.ProbesConfig",
    "dashboard.apps.DashboardConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "dashboard.context.console",
            ],
            "builtins": ["dashboard.templatetags.console"],
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {"default": dict(dj_database_url.parse(_values["DATABASE_URL"], conn_max_age=0))}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # One writer at a time, told at BEGIN: a read that becomes a write cannot fail with "database is locked" half-way.
    # Status rows and rollups are written again and again: a longer log takes each of their pages to the database once
    # for many changes (4,000 pages are 16 MB), and a cache of 32 MB (only what is used) spares reading them back.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 10,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
            "PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-32000;"
        ),
    }

SESSION_COOKIE_AGE = int(timedelta(hours=_values["SESSION_HOURS"]).total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked from inside the machine, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

if OIDC_ISSUER:
    # Only here: without it, neither its tables nor its modules are part of the product.
    INSTALLED_APPS += [
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ]
    MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
    SOCIALACCOUNT_ADAPTER = "dashboard.oidc_adapter.Adapter"
    SOCIALACCOUNT_ONLY = True
    # A link, not a form: the policy `form-action 'self'` would stop a form from leading to the provider.
    SOCIALACCOUNT_LOGIN_ON_GET = True
    SOCIALACCOUNT_OPENID_CONNECT_URL_PREFIX = ""
    SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": OIDC_LABEL,
                    "client_id": _values["OIDC_CLIENT_ID"],
                    "secret": _values["OIDC_CLIENT_SECRET"],
                    "settings": {"server_url": OIDC_ISSUER},
                }
            ],
        }
    }
    ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _https else "http"
    ACCOUNT_USER_MODEL_USERNAME_FIELD = "name"
    ACCOUNT_USER_MODEL_EMAIL_FIELD = None
    ACCOUNT_LOGIN_METHODS = {"username"}
    ACCOUNT_SIGNUP_FIELDS = ["username*"]
    ACCOUNT_EMAIL_VERIFICATION = "none"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "build" / "static"
STATICFILES_DIRS = [BASE_DIR / "static", BASE_DIR / "build" / "vendor"]
STORAGES = {"staticfiles": {"BACKEND": "dashboard.static_files.Storage"}}

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TASK_DEFAULT_QUEUE = "tick"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "probes.tick", "schedule": 1.0, "options": {"expires": 1.0, "queue": "tick"}},
    "residents": {
        "task": "probes.offer_residents",
        "schedule": 5.0,
        "options": {"expires": 5.0, "queue": "tick"},
    },
    "tidy": {"task": "probes.tidy", "schedule": 3600.0, "options": {"expires": 600.0, "queue": "tick"}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
