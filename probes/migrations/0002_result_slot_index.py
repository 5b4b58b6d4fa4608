from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("probes", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="result",
            index=models.Index(fields=["slot"], name="result_slot"),
        ),
    ]
