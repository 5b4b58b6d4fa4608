"""A hash chain over what is there: each version, revision and audit row gets its hash, the audit rows a number as well."""

from django.db import migrations, models

from connections.flags import chain


def seal(apps, schema_editor):
    chain.seal(apps)



class Migration(migrations.Migration):

    dependencies = [
        ('connections', '0005_layers'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveBigIntegerField(default=0)),
                ('hash', models.CharField(blank=True, default='', max_length=64)),
            ],
        ),
        migrations.AddField(
            model_name='auditrecord',
            name='hash',
            field=models.CharField(default='', editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='auditrecord',
            name='number',
            field=models.PositiveBigIntegerField(editable=False, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='revision',
            name='hash',
            field=models.CharField(default='', editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='version',
            name='hash',
            field=models.CharField(default='', editable=False, max_length=64),
        ),
        migrations.RunPython(seal, migrations.RunPython.noop),
    ]
