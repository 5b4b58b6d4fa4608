"""Complete applications behind the gate, each in one file to copy. Run as tests under four ASGI servers."""
