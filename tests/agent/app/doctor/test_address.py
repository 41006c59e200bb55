"""Who answers at an address, and what the web configuration asks: tried for real on loopback."""

import asyncio
from pathlib import Path

import pytest

from agent.app.doctor.address import address, web_configuration
from agent.app.doctor.finding import State
from agent.config import Listen
from tests.agent.app.doctor.answerer import answering
from tests.e2e.process import free_port
from tests.exporters.access.served import ALICE, STRICT, TLS, served


@pytest.mark.parametrize(
    ("status", "said", "state", "words"),
    [
        (200, "healthy\n", State.OK, "an agent runs and is healthy"),
        (503, "the last tick was 31 s ago\n", State.BROKEN, "not well: the last tick was 31 s ago"),
        (401, "", State.OK, "wants credentials"),
        (404, "", State.BROKEN, "another program answers"),
        (200, "Prometheus Server is Healthy.\n", State.BROKEN, "another program answers"),
    ],
)
async def test_who_answers(status: int, said: str, state: State, words: str):
    """A healthy agent, one that is stuck, one that wants a password, and somebody else."""
    async with answering(status, said) as server:
        found = await address(Listen("127.0.0.1", server.port))
    assert (found.state, words in found.found) == (state, True)


async def test_every_address_of_the_host_needs_no_name_for_it():
    """Where /etc/hosts names no localhost, the agent at `:PORT` is found all the same."""
    async with answering(200, "healthy\n") as server:
        found = await address(Listen("", server.port))
    assert found.state is State.OK
    assert f"http://localhost:{server.port}" in found.found


@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
async def test_an_agent_that_wants_certificates(tmp_path: Path, version: str):
    """One that takes nobody without, as its web configuration says, is not called broken."""
    text = f"{STRICT}  min_version: {version}\n  max_version: {version}\n"
    async with served(tmp_path, text) as endpoint:
        _finding, certificates = web_configuration(tmp_path / "web.yml")
        found = await address(Listen("127.0.0.1", endpoint.port), certificates=certificates)
        unsaid = await address(Listen("127.0.0.1", endpoint.port))
    assert (found.state, "hangs up on those without a certificate" in found.found) == (
        State.OK,
        True,
    )
    assert (unsaid.state, "wants a certificate of its clients" in unsaid.advice) == (
        State.BROKEN,
        True,
    )


async def test_certificates_that_are_wanted_of_nobody():
    """Where the address is free, the agent is missing, whatever it would ask."""
    found = await address(Listen("127.0.0.1", free_port()), certificates=True)
    assert found.state is State.MISSING


async def test_an_agent_behind_tls(tmp_path: Path):
    """Its certificate is not verified: who it is does not matter here."""
    async with served(tmp_path, TLS) as endpoint:
        found = await address(Listen("127.0.0.1", endpoint.port))
    assert f"https://127.0.0.1:{endpoint.port}" in found.found


async def test_an_address_that_is_free():
    """Nothing runs there, and the agent could: what is missing is the agent."""
    found = await address(Listen("127.0.0.1", free_port()))
    assert (found.state, "could listen" in found.found) == (State.MISSING, True)


async def test_an_address_that_another_program_holds():
    """One that speaks no HTTP keeps the agent from starting."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    other = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        found = await address(Listen("127.0.0.1", port))
    assert (found.state, "cannot be had" in found.found) == (State.BROKEN, True)


async def test_a_web_configuration_says_what_it_asks(tmp_path: Path):
    """TLS, certificates of clients, passwords: all that somebody who comes must have."""
    async with served(tmp_path, STRICT + ALICE):
        found, certificates = web_configuration(tmp_path / "web.yml")
    assert (found.state, certificates) == (State.OK, True)
    assert found.found.endswith(
        "is good: TLS, certificates of clients (RequireAndVerifyClientCert), a password (1 user)"
    )
    (tmp_path / "empty.yml").write_text("")
    assert "asks nothing of anybody" in web_configuration(tmp_path / "empty.yml")[0].found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tls_server_config: {cert_file: none.crt, key_file: none.key}", "none.crt: cannot be"),
        ("basic_auth_users: {alice: secret}", "basic_auth_users.alice"),
        (None, "web.yml: cannot be read"),
    ],
)
def test_a_web_configuration_with_problems_is_broken(tmp_path: Path, text: str | None, words: str):
    """The file, what it says, and the files that it names; a running agent goes on without."""
    if text is not None:
        (tmp_path / "web.yml").write_text(text)
    found, _certificates = web_configuration(tmp_path / "web.yml")
    assert (found.state, words in found.found) == (State.BROKEN, True)
