"""A target's rollups have an index of their own; the indexes of targets and locations alone go: nobody reads by them.

A row of a result stood in five indexes on SQLite, and stands in three. In the database they are dropped by name, because
altering a column makes SQLite write the whole table anew: with millions of results that takes minutes. Going back leaves
them away: they are never needed.
"""

import django.db.models.deletion
from django.db import migrations, models

TABLES = ("result", "transcript", "residentlife", "rollup", "servedrollup")
COLUMNS = (["target_id"], ["location_id"])


def drop(apps, schema_editor):
    database = schema_editor.connection
    for table in (f"probes_{name}" for name in TABLES):
        with database.cursor() as cursor:
            found = database.introspection.get_constraints(cursor, table)
        for name, one in found.items():
            if one["index"] and not one["unique"] and not one["primary_key"] and one["columns"] in COLUMNS:
                schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


class Migration(migrations.Migration):

    dependencies = [
        ('probes', '0011_served_rollups'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name='residentlife',
                    name='location',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.location'),
                ),
                migrations.AlterField(
                    model_name='residentlife',
                    name='target',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='lives', to='probes.target'),
                ),
                migrations.AlterField(
                    model_name='result',
                    name='location',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.location'),
                ),
                migrations.AlterField(
                    model_name='result',
                    name='target',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='results', to='probes.target'),
                ),
                migrations.AlterField(
                    model_name='rollup',
                    name='location',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.location'),
                ),
                migrations.AlterField(
                    model_name='rollup',
                    name='target',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rollups', to='probes.target'),
                ),
                migrations.AlterField(
                    model_name='servedrollup',
                    name='location',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.location'),
                ),
                migrations.AlterField(
                    model_name='servedrollup',
                    name='target',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='served', to='probes.target'),
                ),
                migrations.AlterField(
                    model_name='transcript',
                    name='location',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='probes.location'),
                ),
                migrations.AlterField(
                    model_name='transcript',
                    name='target',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='probes.target'),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name='rollup',
            index=models.Index(fields=['target', 'width', 'start'], name='rollup_target'),
        ),
    ]
