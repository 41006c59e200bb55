"""The settings of reports over a fleet."""

import pytest

from agent.config import read_settings
from agent.model import ConfigError


def test_what_is_set_is_used():
    """Tenant, credentials and the label of the cluster are taken over as they are written."""
    text = "fleet: {cluster_label: site, timeout: 2m, headers: {X-Scope-OrgID: team-a}}"
    fleet = read_settings(text, "f", engines=("vllm",)).fleet
    assert (fleet.cluster_label, fleet.timeout) == ("site", 120.0)
    assert dict(fleet.headers) == {"X-Scope-OrgID": "team-a"}


@pytest.mark.parametrize("section", ["fleet", "scaler"])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("headers: {Authorization: x}", "bearer_token and basic_auth"),
        ('headers: {"X Y": x}', "the name of a header"),
        ('headers: {X-A: "a\\nb"}', "printable ASCII"),
        ("headers: {X-A: ''}", "printable ASCII"),
        (
            "bearer_token: {env: A}, basic_auth: {username: u, password: {env: B}}",
            "either basic_auth or bearer_token",
        ),
        ("tls: {cert_file: /c.pem}", "cert_file and key_file together"),
    ],
)
def test_what_makes_no_sense_is_refused(section: str, text: str, why: str):
    """A header that is ours, or that would end the line, and credentials of two kinds."""
    with pytest.raises(ConfigError, match=why):
        read_settings(f"{section}: {{{text}}}", "f", engines=("vllm",))


def test_the_label_of_the_cluster_is_none_of_ours():
    """What every series has cannot tell clusters apart."""
    with pytest.raises(ConfigError, match="a label name other than"):
        read_settings("fleet: {cluster_label: instance}", "f", engines=("vllm",))
