"""Who may ask the agent's endpoint, and how: TLS, users, a rate; the web configuration file."""

from exporters.access.front import Front
from exporters.access.guard import Guard, read_all
from exporters.access.passwords import Login
from exporters.access.requests import ReticentHandler, changes_allowed, middleware

__all__ = [
    "Front",
    "Guard",
    "Login",
    "ReticentHandler",
    "changes_allowed",
    "middleware",
    "read_all",
]
