"""What is worth telling whoever asked, beside the answer: Prometheus's warnings and infos."""

from agent.promql.positions import Site


class Notes:
    """Collects warnings and infos of one evaluation, each once."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What is probably a mistake in the query."""
        return list(self._warnings)

    @property
    def infos(self) -> list[str]:
        """What may be of interest."""
        return list(self._infos)

    def warn(self, message: str, site: Site, argument: int | None = None) -> None:
        """Note a probable mistake at a call or at one of its arguments."""
        self._warnings[f"PromQL warning: {message} {_at(site, argument)}"] = None

    def inform(self, message: str, site: Site, argument: int | None = None) -> None:
        """Note something of interest at a call or at one of its arguments."""
        self._infos[f"PromQL info: {message} {_at(site, argument)}"] = None


def _at(site: Site, argument: int | None) -> str:
    """Return line and column as Prometheus writes them."""
    line, column = site.at if argument is None else site.argument(argument)
    return f"({line}:{column})"
