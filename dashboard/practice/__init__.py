"""Faults on purpose in the reference services: asking them, remembering what is on, and the words for both."""
