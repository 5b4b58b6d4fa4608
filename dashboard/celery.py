"""The Celery application: `celery -A dashboard.celery worker -Q ...`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
app = Celery("readywire")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
