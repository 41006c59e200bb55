"""The templates in labels and annotations: the part of Go's text/template that rules use.

    text ──► lexer ──► parser ──► nodes ──► render with the data of one alert

Actions, pipelines, variables, `if`, `with` and `range` are there, and the functions of
Prometheus. Templates that define or call others, `break` and `continue` are refused by name.
"""

from agent.alerts.template.parser import Template, parse_template
from agent.alerts.template.values import Data, Result

__all__ = ["Data", "Result", "Template", "parse_template"]
