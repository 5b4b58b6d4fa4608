"""On PostgreSQL, results become a table partitioned by day: retention drops a day instead of deleting its rows.

Django's state does not change: the table keeps its name, columns, keys and indexes. SQLite keeps its plain table.
"""

from django.db import migrations

PARTITION = """
ALTER TABLE probes_result RENAME TO probes_result_plain;
CREATE TABLE probes_result (LIKE probes_result_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (slot);
CREATE TABLE probes_result_default PARTITION OF probes_result DEFAULT;
INSERT INTO probes_result SELECT * FROM probes_result_plain;
DROP TABLE probes_result_plain;
ALTER TABLE probes_result ADD CONSTRAINT probes_result_pkey PRIMARY KEY (target_id, location_id, slot);
ALTER TABLE probes_result ADD CONSTRAINT probes_result_target_id_fk
    FOREIGN KEY (target_id) REFERENCES probes_target (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE probes_result ADD CONSTRAINT probes_result_location_id_fk
    FOREIGN KEY (location_id) REFERENCES probes_location (key) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX result_target_slot ON probes_result (target_id, slot DESC);
CREATE INDEX result_slot ON probes_result (slot);
"""

WHOLE = """
CREATE TABLE probes_result_plain (LIKE probes_result INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO probes_result_plain SELECT * FROM probes_result;
DROP TABLE probes_result;
ALTER TABLE probes_result_plain RENAME TO probes_result;
ALTER TABLE probes_result ADD CONSTRAINT probes_result_pkey PRIMARY KEY (target_id, location_id, slot);
ALTER TABLE probes_result ADD CONSTRAINT probes_result_target_id_fk
    FOREIGN KEY (target_id) REFERENCES probes_target (id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE probes_result ADD CONSTRAINT probes_result_location_id_fk
    FOREIGN KEY (location_id) REFERENCES probes_location (key) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX result_target_slot ON probes_result (target_id, slot DESC);
CREATE INDEX result_slot ON probes_result (slot);
"""


def partition(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(PARTITION)


def make_whole(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(WHOLE)


class Migration(migrations.Migration):

    dependencies = [("probes", "0002_result_slot_index")]

    operations = [migrations.RunPython(partition, make_whole)]
