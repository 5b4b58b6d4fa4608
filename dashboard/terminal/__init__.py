"""What `manage.py probe` draws: pure functions from outcomes and summaries to rich renderables."""
