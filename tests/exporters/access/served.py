"""An endpoint behind a web configuration, and what is asked of it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp.test_utils import unused_port

from agent.config import Listen
from exporters.access import Guard
from exporters.access.passwords import Passwords
from exporters.http_api import HttpApi
from tests.exporters.asked_agent import AskedAgent
from tests.fakes.certificates import HASH, write_authority, write_certificate

ALICE = f"basic_auth_users: {{alice: {HASH}}}\n"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
STRICT = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: one.ca.pem\n"
LAX = TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: one.ca.pem\n"


@dataclass
class Endpoint:
    """An endpoint that listens on loopback."""

    agent: AskedAgent
    guard: Guard
    api: HttpApi
    folder: Path
    port: int
    said: list[str] = field(default_factory=list)

    def trusting(self) -> ssl.SSLContext:
        """Return how a client connects that trusts the authority."""
        return ssl.create_default_context(cafile=str(write_authority(self.folder)))

    def showing(self, *names: str, authority_name: str = "one") -> ssl.SSLContext:
        """Return how one connects that shows a certificate besides."""
        context = self.trusting()
        paths = write_certificate(self.folder, "client", *names, authority_name=authority_name)
        context.load_cert_chain(*paths)
        return context

    def write(self, text: str) -> None:
        """Write the web configuration anew."""
        (self.folder / "web.yml").write_text(text)

    async def use(self) -> None:
        """Have the endpoint use the file, as a reload does."""
        address = Listen("127.0.0.1", self.port)
        await self.api.listen([address], web_config=self.folder / "web.yml")

    async def ask(
        self,
        path: str = "/metrics",
        *,
        tls: ssl.SSLContext | None = None,
        method: str = "GET",
        **headers: str,
    ) -> tuple[int, str, dict[str, str]]:
        """Return status, text and headers of an answer on a connection of its own; 0 for none."""
        scheme = "https" if tls else "http"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession() as session:
            try:
                async with session.request(
                    method,
                    f"{scheme}://localhost:{self.port}{path}",
                    headers=given,
                    ssl=tls or True,
                ) as answer:
                    return answer.status, await answer.text(), dict(answer.headers)
            except (aiohttp.ClientError, OSError):
                return 0, "", {}


@asynccontextmanager
async def served(
    folder: Path, text: str, *, passwords: Passwords | None = None
) -> AsyncIterator[Endpoint]:
    """Serve a page with one series behind this web configuration."""
    agent = AskedAgent()
    await agent.tick()
    write_authority(folder)
    write_certificate(folder, "server")
    said: list[str] = []
    guard = Guard(clock=agent.clock, told=said.append, passwords=passwords)
    api = HttpApi(agent.page, agent.views(), guard=guard)
    endpoint = Endpoint(agent, guard, api, folder, unused_port(), said)
    endpoint.write(text)
    await endpoint.use()
    try:
        yield endpoint
    finally:
        await api.aclose()
