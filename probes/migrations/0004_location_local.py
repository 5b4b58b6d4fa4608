from django.db import migrations


def add_local(apps, schema_editor):
    apps.get_model("probes", "Location").objects.get_or_create(key="local", defaults={"name": "This machine"})


class Migration(migrations.Migration):

    dependencies = [("probes", "0003_result_partitions")]

    operations = [migrations.RunPython(add_local, migrations.RunPython.noop)]
