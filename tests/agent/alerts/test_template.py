"""Templates: what Go's text/template and Prometheus's functions make of them."""

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.errors import TemplateError
from agent.alerts.template import Data, Result, parse_template

LABELS = {"__name__": "x", "a": "1", "b": "two"}
QUERIED = [Result({"i": "2"}, 20.0), Result({"i": "1"}, 10.0)]


def rendered(text: str, value: float = 1234567.25) -> str:
    """Return what a template gives for one alert."""
    data = Data(
        labels=LABELS,
        value=value,
        external_labels={"site": "here"},
        external_url="http://host:9745/base",
        query=lambda _text: QUERIED,
    )
    return parse_template(text).render(data)


# Where Prometheus 2.42 (promtool test rules) can say it, this is what it says.
CASES = {
    "plain {text}": "plain {text}",
    "{{ $value }}": "1.23456725e+06",
    "{{ $labels.a }}/{{ .Labels.b }}/{{ $labels.nope }}/": "1/two//",
    "{{ $labels }}": "map[__name__:x a:1 b:two]",
    "{{ $externalLabels.site }} {{ .ExternalLabels.site }}": "here here",
    "{{ $externalURL }} {{ externalURL }} {{ pathPrefix }}": (
        "http://host:9745/base http://host:9745/base /base"
    ),
    "{{ 5 }} {{ 1.5 }} {{ 1e7 }} {{ 0x10 }} {{ -3 }} {{ true }} {{ 'a' }} {{ `r\\n` }}": (
        "5 1.5 1e+07 16 -3 true 97 r\\n"
    ),
    '{{ "q\\"\\t\\u00e9\\x41" }}': 'q"\t\u00e9A',
    "a {{- 1 -}} b": "a1b",
    "a {{- /* nothing */ -}} b": "ab",
    "{{/* nothing */}}x": "x",
    "{{ if gt $value 5.0 }}y{{ else }}n{{ end }}": "y",
    "{{ if eq $labels.a `2` }}2{{ else if eq $labels.a `1` }}1{{ else }}?{{ end }}": "1",
    "{{ with $labels.nope }}{{ . }}{{ else }}none{{ end }}": "none",
    "{{ with $labels.b }}<{{ . }}>{{ end }}": "<two>",
    "{{ range $n, $r := query `x` }}{{ $n }}:{{ $r.Labels.i }}={{ $r.Value }} {{ end }}": (
        "0:1=10 1:2=20 "
    ),
    "{{ range query `x` }}{{ .Value }} {{ end }}": "10 20 ",
    "{{ range $k, $v := $labels }}{{ $k }}={{ $v }} {{ end }}": "__name__=x a=1 b=two ",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}": "2",
    "{{ query `x` | first | value }} {{ query `x` | first | label `i` }}": "10 1",
    "{{ (query `x` | first).Value }}": "10",
    "{{ and 1 `` }}|{{ or 0 `x` }}|{{ not 1 }}|{{ 0 | or `y` }}": "|x|false|y",
    "{{ lt 1 2 }} {{ le 2 2 }} {{ ne 1 2 }} {{ ge 1 2 }} {{ eq 1 2 1 }}": (
        "true true true false true"
    ),
    "{{ len $labels }} {{ index $labels `b` }} {{ slice `abcdef` 1 3 }}": "3 two bc",
    "{{ print 1 2 `a` `b` 3 }}|{{ println `a` 1 }}|": "1 2ab3|a 1\n|",
    "{{ html `<a>` }} {{ urlquery `a b` }}": "&lt;a&gt; a+b",
    "{{ title `foo bar` }} {{ `FOO` | toLower }} {{ toUpper `x` }}": "Foo Bar foo X",
    "{{ match `a.*` `xab` }} {{ reReplaceAll `(a)b` `$1-` `abab` }}": "true a-a-",
    "{{ stripPort `h:80` }} {{ stripPort `[::1]:80` }} {{ stripPort `h` }}": "h ::1 h",
    "{{ stripDomain `a.b.c:80` }} {{ stripDomain `10.0.0.1:80` }}": "a:80 10.0.0.1:80",
    "{{ graphLink `a b` }} {{ tableLink `x` }}": (
        "/graph?g0.expr=a+b&g0.tab=0 /graph?g0.expr=x&g0.tab=1"
    ),
    "{{ parseDuration `1h5m` }}": "3900",
    "{{ humanizeTimestamp 1500000000.123 }}": "2017-07-14 02:40:00.122 +0000 UTC",
    "{{ 1500000000.5 | toTime }}": "2017-07-14 02:40:00.5 +0000 UTC",
    "{{ humanizeDuration 90061.5 }},{{ humanizeDuration 0.0012 }},{{ humanizeDuration -61 }}": (
        "1d 1h 1m 1s,1.2ms,-1m 1s"
    ),
    "{{ humanize 1234567.0 }} {{ humanize `0.02` }} {{ humanize1024 1048576 }}": ("1.235M 20m 1Mi"),
    "{{ humanizePercentage 0.12345 }}": "12.35%",
    '{{ printf "%g|%v|%d|%s|%.2f|%5.1f" $value $value $value $value $value $value }}': (
        "1.23456725e+06|1.23456725e+06|%!d(float64=1.23456725e+06)|"
        "%!s(float64=1.23456725e+06)|1234567.25|1234567.2"
    ),
    '{{ printf "%-8s|%q|%x|%t|%e|%c|%%" "a" "b" "c" true $value 120 }}': (
        'a       |"b"|63|true|1.234567e+06|x|%'
    ),
    '{{ printf "%d %s" 1 }} {{ printf "%d" 1 2 }}': "1 %!s(MISSING) 1%!(EXTRA int=2)",
    '{{ printf "%5d|%05d|%+d" 42 42 42 }}': "   42|00042|+42",
    '{{ "a" | printf "%s-%s" "b" }}': "b-a",
}


@pytest.mark.parametrize("text", CASES)
def test_renders_as_go_does(text: str):
    """A template gives what Prometheus gives for it."""
    assert rendered(text) == CASES[text]


REFUSED = {
    "{{ humanise $value }}": 'function "humanise" not defined',
    "{{ $lables.x }}": 'undefined variable "$lables"',
    "{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}": 'undefined variable "$x"',
    "{{ template `x` }}": "'template' is not supported",
    "{{ define `x` }}{{ end }}": "'define' is not supported",
    "{{ $value": "unclosed action",
    "{{ if true }}x": "without {{end}}",
    "x{{ end }}": "unexpected {{end}}",
    "{{ }}": "missing value",
    "{{ 1 | 2 }}": "non executable command",
    "{{ $value 5 }}": "can't give argument",
    "{{ (1 }}": "unclosed left paren",
    "{{ range $i, $e, $f := query `x` }}{{ end }}": 'undefined variable "$i"',
    "{{ $value ? }}": "unexpected '?'",
    '{{ "\\d" }}': "unknown escape",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refuses_by_name_before_it_is_needed(text: str):
    """What is not supported or makes no sense is said when the template is read."""
    with pytest.raises(TemplateError, match=re.escape(REFUSED[text])):
        parse_template(text)


FAILING = {
    "{{ gt $value 5 }}": "incompatible types for comparison",
    "{{ humanize `x` }}": 'parsing "x": invalid syntax',
    "{{ toUpper $value }}": "expected string, found float64",
    "{{ humanize }}": "wrong arguments for humanize",
    "{{ $value.x }}": "can't evaluate field x in type float64",
    "{{ index $labels 5 }}": "expected string, found int",
    "{{ range $value }}{{ end }}": "range can't iterate",
    "{{ match `(` `x` }}": "error parsing regexp",
}


@pytest.mark.parametrize("text", FAILING)
def test_says_what_makes_no_sense_with_the_data(text: str):
    """What only the data can show is an error of its own when it is rendered."""
    with pytest.raises(TemplateError, match=re.escape(FAILING[text])):
        rendered(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (123456.0, "123456"),
        (1e6, "1e+06"),
        (1e-7, "1e-07"),
        (0.0001, "0.0001"),
        (0.00001234, "1.234e-05"),
        (100.5, "100.5"),
        (1e300, "1e+300"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_printed_as_go_does(value: float, expected: str):
    """The fewest digits that tell the number apart, with an exponent from a million on."""
    assert rendered("{{ $value }}", value) == expected


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_that_number(value: float):
    """What is printed, read again, is the same number."""
    assert float(rendered("{{ $value }}", value)) == value


@given(value=st.floats())
def test_every_number_can_be_humanised(value: float):
    """No number is too large, too small or too special for people."""
    functions = ("humanize", "humanize1024", "humanizeDuration", "humanizePercentage")
    assert all(rendered(f"{{{{ {name} $value }}}}", value) for name in functions)


PIECES = [*"{}$.| ()\"`'-/*=:,x1", "{{", "}}", "if", "end", "range", "$x"]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_text_is_a_template_or_refused(pieces: list[str]):
    """No text does anything but render, or raise what a template may raise."""
    with contextlib.suppress(TemplateError):
        parse_template("".join(pieces)).render(Data(labels=LABELS, value=1.0))


def test_constants_are_known():
    """A template without actions says the same for every alert."""
    assert parse_template("critical").constant
    assert not parse_template("{{ $value }}").constant


def test_queries_are_known_when_it_is_read():
    """Expressions that stand in a template can be checked before it is needed."""
    assert parse_template('{{ query "up == 0" | len }}').queries == ("up == 0",)
