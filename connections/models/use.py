"""Which server evaluated which flag to which variant, and when last."""

from django.db import models

from connections.models.flags import Environment


class FlagUse(models.Model):
    """What one reader of flags was served: a watched server by its instance, or an OFREP client by its key's name."""

    class Source(models.TextChoices):
        SERVER = "server"
        OFREP = "ofrep"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="flag_uses")
    source = models.CharField(max_length=10, choices=Source)
    reader = models.CharField(max_length=200)
    flag_key = models.CharField(max_length=100)
    """"*": a bulk answer, which gives every flag and does not tell which of them the client uses."""
    variant = models.CharField(max_length=100)
    """"" where no variant was served and the caller's own default held."""
    count = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "source", "reader", "flag_key", "variant"], name="flag_use_once"
            )
        ]
        indexes = [models.Index(fields=["environment", "flag_key", "last_at"])]
