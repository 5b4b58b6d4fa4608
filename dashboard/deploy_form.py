"""What a person says to mark a deploy, and what is missing of it. It serves nothing, so it asks for no reason."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import QueryDict

from connections import deploys
from connections.deploys import Told
from connections.models import Environment
from dashboard.submissions import new_key


@dataclass
class DeployForm:
    """What was typed, and what is wrong with it, by field."""

    environment: str = ""
    service: str = ""
    version: str = ""
    link: str = ""
    who: str = ""
    at: str = ""
    """A moment on the page's clock, as a browser sends it; empty: now."""
    target: str = ""
    """The slug of the target whose page led here."""
    key: str = field(default_factory=new_key)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: QueryDict) -> "DeployForm":
        """The form as it was sent; one without its own key was not made by us."""
        form = cls(
            environment=sent.get("environment", ""),
            service=sent.get("service", "").strip(),
            version=sent.get("version", "").strip(),
            link=sent.get("link", "").strip(),
            who=sent.get("who", "").strip(),
            at=sent.get("at", "").strip(),
            target=sent.get("target", ""),
            key=sent.get("key", ""),
        )
        if not 16 <= len(form.key) <= 64:
            form.key = new_key()
            form.errors["form"] = "This form is incomplete. Look at it again, then send it."
        return form

    def told(self, stage: Environment | None, now: datetime) -> Told | None:
        """The deploy as it was told; None where something is wrong: `errors` then says what, all at once."""
        moment = self._moment()
        told = Told(self.service, self.version, self.link, self.who, moment)
        if stage is None:
            self.errors["environment"] = "Choose an environment."
        for problem in deploys.problems(told, now):
            self.errors.setdefault(problem.field, str(problem))
        return None if self.errors else told

    def _moment(self) -> datetime | None:
        if not self.at:
            return None
        try:
            return datetime.fromisoformat(self.at).replace(tzinfo=ZoneInfo(settings.TIME_ZONE)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.errors["at"] = f"Give a day and a time of {settings.TIME_ZONE}, or leave it empty for now."
            return None
