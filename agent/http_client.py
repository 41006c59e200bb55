"""What every part of the agent that asks a server over HTTP shares: TLS, credentials, words."""

import base64
import ssl
import stat

import aiohttp

from agent.aside import Aside
from agent.config import Secret
from agent.config.access import BasicAuth, Tls


class Access:
    """How one server is verified and what it is shown.

    Files are read beside the event loop, because one on a dead filesystem never answers: that
    then costs the requests to this server, whose time whoever asks limits, and nothing else.

    Args:
        bearer_token: sent with each request, if given.
        basic_auth: likewise.
        api_key: likewise; one of the three at most.
        tls: how an `https` address is verified.
    """

    def __init__(
        self,
        *,
        bearer_token: Secret | None = None,
        basic_auth: BasicAuth | None = None,
        api_key: Secret | None = None,
        tls: Tls,
    ) -> None:
        self._secrets = (bearer_token, basic_auth, api_key)
        self._tls = tls
        self._aside = Aside("secrets")

    async def credentials(self) -> dict[str, str]:
        """Return the headers of `credentials`; errors as there."""
        if self._secrets == (None, None, None):
            return {}
        return await self._aside.do(lambda: credentials(*self._secrets))

    async def tls_context(self) -> ssl.SSLContext:
        """Return the context of `tls_context`; errors as there."""
        return await self._aside.do(lambda: tls_context(self._tls))


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return how a server is verified, and what is shown to it.

    Raises:
        OSError: a file is missing or does not hold what it should.
    """
    for path in (tls.ca_file, tls.cert_file, tls.key_file):
        if path is not None and not stat.S_ISREG(path.stat().st_mode):
            raise OSError(f"{path} is no regular file")
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def credentials(
    bearer_token: Secret | None, basic_auth: BasicAuth | None, api_key: Secret | None = None
) -> dict[str, str]:
    """Return the Authorization or X-API-KEY header, none without credentials.

    Secrets are read anew for each request, so that they can be renewed.

    Raises:
        ConfigError: a secret is not where it should be.
    """
    if bearer_token is not None:
        return {"Authorization": f"Bearer {bearer_token.reveal()}"}
    if basic_auth is not None:
        pair = f"{basic_auth.username}:{basic_auth.password.reveal()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if api_key is not None:
        return {"X-API-KEY": api_key.reveal()}
    return {}


def unreached(problem: BaseException) -> str:
    """Return why a server gave no answer, for people who know which one was asked.

    Of a connection that is what the system said: aiohttp adds the address, and "ssl:default", with
    or without TLS.
    """
    if isinstance(problem, aiohttp.ClientConnectorError):
        return problem.os_error.strerror or str(problem.os_error)
    return str(problem) or type(problem).__name__
