"""From the tree that the parser gives to nested functions, once for each query."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import promql_parser as parser

from agent.promql import aggregation, matching, operators, selectors
from agent.promql.aggregators import SIMPLE
from agent.promql.arithmetic import ARITHMETIC, COMPARISON
from agent.promql.errors import PromqlError, UnsupportedError
from agent.promql.functions import EXPERIMENTAL, FUNCTIONS
from agent.promql.functions.call import Call
from agent.promql.pairing import Cardinality, Matching
from agent.promql.plan import Edge, Enclosing, Selector, Shift
from agent.promql.positions import Site
from agent.promql.run import Expr, ScalarExpr, StringExpr, VectorExpr
from agent.store.series import Matcher, MatchOp

# What the parser knows and nothing here evaluates: named so that a refusal knows its place.
_REFUSED: Final = frozenset(
    {
        "end",
        "histogram_avg",
        "histogram_count",
        "histogram_quantiles",
        "histogram_stddev",
        "histogram_stdvar",
        "histogram_sum",
        "info",
        "limit_ratio",
        "limitk",
        "max_of",
        "min_of",
        "range",
        "start",
        "start_timestamp",
        "step",
    }
)
_SETS: Final = frozenset({"and", "or", "unless"})
_CARDINALITIES: Final = (
    (parser.VectorMatchCardinality.ManyToOne, Cardinality.MANY_TO_ONE),
    (parser.VectorMatchCardinality.OneToMany, Cardinality.ONE_TO_MANY),
)
_OPERATIONS: Final = (
    (parser.MatchOp.Equal, MatchOp.EQUAL),
    (parser.MatchOp.NotEqual, MatchOp.NOT_EQUAL),
    (parser.MatchOp.Re, MatchOp.REGEX),
    (parser.MatchOp.NotRe, MatchOp.NOT_REGEX),
)


@dataclass(slots=True)
class Builder:
    """Compiles one query.

    Attributes:
        sites: where its calls stand, in the order in which they are met.
        experimental: take functions that Prometheus has behind a feature flag.
        selectors: those met so far; a node refers to them by index.
        path: the subqueries around the node that is being compiled.
        subqueries: how many were met so far.
    """

    sites: Iterator[Site]
    experimental: bool = False
    selectors: list[Selector] = field(default_factory=list)
    path: list[Enclosing] = field(default_factory=list)
    subqueries: int = 0

    def build(self, node: Any) -> Expr:
        """Compile a node and everything below it."""
        return _NODES[type(node)](self, node)

    def vector(self, node: Any) -> VectorExpr:
        """Compile a node that the parser knows to be a vector."""
        found = self.build(node)
        if not isinstance(found, VectorExpr):
            raise TypeError(found)
        return found

    def scalar(self, node: Any) -> ScalarExpr:
        """Compile a node that the parser knows to be a number."""
        found = self.build(node)
        if not isinstance(found, ScalarExpr):
            raise TypeError(found)
        return found

    def register(self, selector: Selector) -> int:
        """Return the index of a selector; what is asked for twice is fetched once."""
        if selector not in self.selectors:
            self.selectors.append(selector)
        return self.selectors.index(selector)


def milliseconds(delta: timedelta | None) -> int:
    """Return a duration of the parser in milliseconds, 0 for none."""
    return 0 if delta is None else round(delta / timedelta(milliseconds=1))


def _shift(node: Any) -> Shift:
    """Return the modifiers `@` and `offset` of a selector or subquery."""
    at: int | Edge | None = None
    if node.at is not None:
        if node.at.type == parser.AtModifierType.Start:
            at = Edge.START
        elif node.at.type == parser.AtModifierType.End:
            at = Edge.END
        else:
            at = round(node.at.at.timestamp() * 1000)
    return Shift(at, milliseconds(node.offset))


def _matchers(node: Any) -> tuple[Matcher, ...]:
    """Return the conditions of a selector, that on the name first."""
    if node.matchers.or_matchers:
        raise UnsupportedError("`or` between label matchers is not PromQL and not supported")
    found = [] if node.name is None else [Matcher("__name__", MatchOp.EQUAL, node.name)]
    for item in node.matchers.matchers:
        operation = next(ours for theirs, ours in _OPERATIONS if item.op == theirs)
        try:
            found.append(Matcher(item.name, operation, item.value))
        except re.error as error:
            raise PromqlError(f"regular expression {item.value!r}: {error}") from error
    return tuple(found)


def _vector_selector(builder: Builder, node: Any) -> Expr:
    selector = Selector(_matchers(node), _shift(node), None, tuple(builder.path))
    return selectors.instant_selector(builder.register(selector), selector)


def _matrix_selector(builder: Builder, node: Any) -> Expr:
    inner = node.vector_selector
    length = milliseconds(node.range)
    selector = Selector(_matchers(inner), _shift(inner), length, tuple(builder.path))
    return selectors.range_selector(builder.register(selector), selector)


def _subquery(builder: Builder, node: Any) -> Expr:
    shift, length = _shift(node), milliseconds(node.range)
    index = builder.subqueries
    builder.subqueries += 1
    builder.path.append(Enclosing(shift, length))
    inner = builder.vector(node.expr)
    builder.path.pop()
    step = None if node.step is None else milliseconds(node.step)
    return selectors.subquery(index, inner, shift, length, step)


def _call(builder: Builder, node: Any) -> Expr:
    name = node.func.name
    site = next(builder.sites)
    if name not in FUNCTIONS:
        raise UnsupportedError(f"the function {name} is not supported", site.at)
    if name in EXPERIMENTAL and not builder.experimental:
        raise UnsupportedError(f"the function {name} is experimental in Prometheus", site.at)
    arguments = [builder.build(argument) for argument in node.args]
    try:
        return FUNCTIONS[name](Call(site, arguments))
    except TypeError as error:
        raise PromqlError(f"wrong type of argument for {name}", site.at) from error


def _aggregate(builder: Builder, node: Any) -> Expr:
    name = str(node.op)
    site = next(builder.sites)
    modifier = node.modifier
    names = None if modifier is None else tuple(modifier.labels)
    without = modifier is not None and modifier.type == parser.AggModifierType.Without
    if name == "count_values":
        label = _text(builder.build(node.param))
        return aggregation.counted_values(label, builder.vector(node.expr), names, without=without)
    group = aggregation.grouping(names, without=without)
    if name in SIMPLE:
        return aggregation.simple(name, builder.vector(node.expr), group)
    if name not in {"topk", "bottomk", "quantile"}:
        raise UnsupportedError(f"the aggregation {name} is not supported", site.at)
    number = builder.scalar(node.param)
    inner = builder.vector(node.expr)
    if name == "quantile":
        return aggregation.quantiles(number, inner, group, site)
    return aggregation.ranked(number, inner, group, top=name == "topk")


def _text(found: Expr) -> str:
    """Return what is in a string literal."""
    if not isinstance(found, StringExpr):
        raise TypeError(found)
    return found.text


def _binary(builder: Builder, node: Any) -> Expr:
    operator = str(node.op)
    if operator not in ARITHMETIC and operator not in _SETS and operator not in COMPARISON:
        raise UnsupportedError(f"the operator {operator} is not supported")
    modifier = node.modifier
    to_bool = modifier is not None and modifier.return_bool
    left, right = builder.build(node.lhs), builder.build(node.rhs)
    if isinstance(left, ScalarExpr) and isinstance(right, ScalarExpr):
        return operators.scalar_scalar(operator, left, right)
    if isinstance(left, VectorExpr) and isinstance(right, ScalarExpr):
        return operators.vector_scalar(operator, left, right, swapped=False, to_bool=to_bool)
    if isinstance(left, ScalarExpr) and isinstance(right, VectorExpr):
        return operators.vector_scalar(operator, right, left, swapped=True, to_bool=to_bool)
    if not isinstance(left, VectorExpr) or not isinstance(right, VectorExpr):
        raise PromqlError(f"the operator {operator} takes numbers and vectors")
    how = _matching(modifier)
    if operator in _SETS:
        return matching.set_operator(operator, left, right, how)
    return matching.vector_vector(operator, left, right, how, to_bool=to_bool)


def _matching(modifier: Any) -> Matching:
    """Return how two vectors meet."""
    if modifier is None:
        return Matching()
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise UnsupportedError("fill, fill_left and fill_right are not supported")
    labels = modifier.matching
    on = labels is not None and labels.type == parser.LabelModifierType.Include
    cardinality = next(
        (ours for theirs, ours in _CARDINALITIES if modifier.card == theirs),
        Cardinality.ONE_TO_ONE,
    )
    names = () if labels is None else tuple(labels.labels)
    return Matching(on, names, cardinality, tuple(modifier.group_labels or ()))


def _unary(builder: Builder, node: Any) -> Expr:
    operand = builder.build(node.expr)
    if not isinstance(operand, ScalarExpr | VectorExpr):
        raise PromqlError("a sign stands before numbers and vectors only")
    return operators.negated(operand)


def _number(_: Builder, node: Any) -> Expr:
    value = float(node.val)
    return ScalarExpr(lambda _run, _time: value)


_NODES: Final[Mapping[Any, Callable[[Builder, Any], Expr]]] = {
    parser.VectorSelector: _vector_selector,
    parser.MatrixSelector: _matrix_selector,
    parser.SubqueryExpr: _subquery,
    parser.Call: _call,
    parser.AggregateExpr: _aggregate,
    parser.BinaryExpr: _binary,
    parser.UnaryExpr: _unary,
    parser.ParenExpr: lambda builder, node: builder.build(node.expr),
    parser.NumberLiteral: _number,
    parser.StringLiteral: lambda _, node: StringExpr(node.val),
}

KNOWN_CALLS: Final = (
    frozenset(FUNCTIONS)
    | frozenset(SIMPLE)
    | {"topk", "bottomk", "quantile", "count_values", *_REFUSED}
)
"""Every call and aggregation that the parser may report, for finding them in the text."""
