"""Made-up history of made-up targets, for trying the product and for measuring it: `manage.py generate_history`."""
