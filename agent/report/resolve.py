"""From what was asked to the time and the replicas that are meant, by what the history holds."""

from agent.catalog.engine import PROMPT_TOKENS
from agent.report.asked import Asked, AskedError, earlier_or_span, moment
from agent.report.report import DAY, History, Window, window_of
from agent.report.scope import Choice


def choice_of(asked: Asked) -> Choice:
    """Return which replicas are wanted."""
    return Choice(asked.instance or None, asked.model or None)


def window_for(asked: Asked, history: History) -> Window:
    """Return the time that is asked for.

    Raises:
        AskedError: it makes no sense.
        ReportError: there is nothing in it.
    """
    end = moment(asked.end, history.last, "to") if asked.end else None
    until = history.last if end is None else end
    start = moment(asked.start, until, "from") if asked.start else until - DAY
    if start >= until:
        raise AskedError("from: expected a time before the end")
    return window_of(history, start, end)


def other_of(asked: Asked, history: History, window: Window) -> tuple[Choice, Window, bool] | None:
    """Return what to compare with, and whether that is the same engines at another time.

    Raises:
        AskedError: it makes no sense.
        ReportError: there is nothing in that time.
    """
    if not asked.against:
        return None
    span = earlier_or_span(asked.against)
    if span is None:
        return _named(asked.against, history), window, False
    ends = span if isinstance(span, tuple) else (window.start - span, window.end - span)
    return choice_of(asked), window_of(history, *ends), True


def _named(name: str, history: History) -> Choice:
    """Return the instance of a name, or where there is none, the model."""
    instance = Choice(instance_name=name)
    known = history.answers.known(instance.selector(PROMPT_TOKENS.name))
    return instance if known else Choice(model_name=name)
