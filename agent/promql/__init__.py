"""PromQL over the embedded history: read a query once, evaluate it as often as wanted.

A query is planned (its selectors, and over which times), the samples are fetched from a
`Source`, and everything after that is pure. Semantics are those of Prometheus 3; docs/promql.md
says what is refused.
"""

from agent.promql.errors import EvaluationError, PromqlError, UnsupportedError
from agent.promql.evaluate import evaluate_instant, evaluate_range
from agent.promql.notes import Notes
from agent.promql.query import Query, parse
from agent.promql.run import Options
from agent.promql.values import Matrix, Scalar, String, Value, Vector

__all__ = [
    "EvaluationError",
    "Matrix",
    "Notes",
    "Options",
    "PromqlError",
    "Query",
    "Scalar",
    "String",
    "UnsupportedError",
    "Value",
    "Vector",
    "evaluate_instant",
    "evaluate_range",
    "parse",
]
