"""Which options of a report go together."""

import argparse

import pytest

from agent.commands import report
from agent.report.asked import AskedError

SERVER = "--prometheus=http://127.0.0.1:1"


def parsed(*arguments: str) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--by=gpu"], "with --prometheus"),
        (["--cluster=a"], "with --prometheus"),
        (["--host=a:9745"], "with --prometheus"),
        ([SERVER, "--history=/x.db"], "without --prometheus"),
        ([SERVER, "--host=a:9745", "--by=gpu"], "without --host"),
        ([SERVER, "--instance=chat"], "say of which with --host"),
    ],
)
def test_options_that_contradict_are_refused(arguments: list[str], why: str):
    """Before anybody is asked, with the names of the options."""
    with pytest.raises(AskedError, match=why):
        report.run(parsed(*arguments))


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://x", "http://u:p@x", "http://x/?a=b"])
def test_an_address_is_one(url: str, capsys: pytest.CaptureFixture[str]):
    """What is no address, or has a password in it for all processes to see, is refused."""
    with pytest.raises(SystemExit):
        parsed(f"--prometheus={url}")
    assert "argument --prometheus: expected" in capsys.readouterr().err
