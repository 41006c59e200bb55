"""The settings: what a user may write, its type, its bounds and its default.

These classes are the whole schema: the reader, `config.example.yaml`'s test and the messages
all follow from them. Each key is optional. A key is named after the module that it steers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from agent.config.access import BasicAuth, File, Tls
from agent.config.fleet import Fleet, Headers
from agent.config.planning import Capacity, Cost
from agent.config.queries import Queries
from agent.config.receivers import AlertReceivers, KeepReceivers, Timeout, WebhookReceivers
from agent.config.secret import Secret
from agent.config.values import (
    AbsolutePath,
    Count,
    Device,
    Duration,
    EngineName,
    LabelName,
    Listen,
    ListenAddress,
    Name,
    Share,
    Size,
    Text,
    Url,
)

PLACE: Final = "place"
"""Marks a field that is no key: it gets the file and the line of the group that it is in."""

Interval = Annotated[float, Duration(0.1, 3600.0)]
Latency = Annotated[float, Duration(0.001, 3600.0)]
Folder = Annotated[Path, AbsolutePath()]
Gpu = Annotated[str, Device()]
Replicas = Annotated[int, Count()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """How often everything is looked at, and over what time peaks are kept."""

    interval: Annotated[float, Duration(0.1, 60.0)] = 1.0
    peak_window: Annotated[float, Duration(1.0, 3600.0)] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What every source has.

    `stale_after`: age at which its last values leave the page; more than its interval and that
    of the ticks.
    """

    enabled: bool = True
    interval: Interval = 1.0
    timeout: Timeout = 1.0
    stale_after: Interval = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Source):
    """CPU, memory, disks, network, pressure and clock of the host. `folders`: disks to watch."""

    folders: tuple[Folder, ...] = (Path("/"), Path("/var/lib/inferwatch"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Nvml(Source):
    """The GPUs. `process_interval`: how often the driver is asked for its list of processes."""

    timeout: Timeout = 5.0
    process_interval: Interval = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dcgm(Source):
    """A dcgm-exporter; without `url` it is looked for on its usual port of this host."""

    interval: Interval = 5.0
    timeout: Timeout = 2.0
    stale_after: Interval = 60.0
    url: Annotated[str, Url()] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery(Source):
    """Engines found among the processes of this host."""

    interval: Interval = 5.0
    stale_after: Interval = 60.0
    forget_after: Annotated[float, Duration(10.0)] = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInstance:
    """One server of one engine, by its address.

    `engine` is the name of a file in `collectors/engines`; whoever reads settings says which
    there are. `gpus`: those that it runs on, where the processes do not show it. `log_file`:
    what it writes to, read for the reason of its end.
    """

    name: Annotated[str, Name()]
    engine: Annotated[str, EngineName()]
    url: Annotated[str, Url()]
    unix_socket: File | None = None
    bearer_token: Secret | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)
    gpus: tuple[Gpu, ...] = ()
    log_file: File | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines(Source):
    """The engines: what holds for each of them, and those that discovery cannot find.

    `gpus`: those that engines found by discovery run on, by the name that they are given.
    """

    timeout: Timeout = 2.0
    max_page_size: Annotated[int, Size(1024)] = 4 * 2**20
    instances: tuple[EngineInstance, ...] = ()
    gpus: Mapping[Annotated[str, Name()], tuple[Gpu, ...]] = field(default_factory=dict)

    def gpus_of(self, instance: EngineInstance) -> tuple[str, ...]:
        """Return the GPUs that an instance, configured or found, is said to run on."""
        return instance.gpus or self.gpus.get(instance.name, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Collectors:
    """The sources."""

    host: Host = field(default_factory=Host)
    processes: Source = field(default_factory=Source)
    kernel_log: Source = field(default_factory=Source)
    nvml: Nvml = field(default_factory=Nvml)
    dcgm: Dcgm = field(default_factory=Dcgm)
    discovery: Discovery = field(default_factory=Discovery)
    engines: Engines = field(default_factory=Engines)
    engine_ends: Source = field(default_factory=Source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The agent's own HTTP endpoint.

    `web_config`: file with certificates, users and headers, in the form of the exporter-toolkit.
    """

    listen: tuple[Annotated[Listen, ListenAddress()], ...] = (Listen("", 9745),)
    web_config: File | None = None
    queries: Queries = field(default_factory=Queries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """The destinations."""

    http_api: Http = field(default_factory=Http)
    alertmanager: AlertReceivers = field(default_factory=AlertReceivers)
    keep: KeepReceivers = field(default_factory=KeepReceivers)
    webhook: WebhookReceivers = field(default_factory=WebhookReceivers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What Prometheus would know this agent by; on every series of the history and every alert.

    `instance`: without one, the host name and the port of the HTTP endpoint. `external`: labels
    such as the site or the cluster.
    """

    job: Annotated[str, Text()] = "inferwatch"
    instance: Annotated[str, Text()] | None = None
    external: Mapping[Annotated[str, LabelName()], Annotated[str, Text()]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSeverity:
    """Another severity for an alert, a model or an instance, or for what several of them have.

    `place`: where it stands, for messages about names that only those who read rules know.
    """

    severity: Annotated[str, Name()]
    alert: Annotated[str, Text()] | None = None
    model_name: Annotated[str, Text()] | None = None
    instance: Annotated[str, Name()] | None = None
    place: str = field(default="", compare=False, metadata={PLACE: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """The rules that are evaluated here.

    `shipped`: those that come with the agent. `rule_files`: further Prometheus rule files, in
    which `*` may stand for any part of a file name. `disabled`: names of alerts to leave out.
    `external_url`: where people reach this agent's page; without one, host name and port.
    `runbook_base`: where the rules' runbook links, which are paths, can be read. `severity`:
    other values of that label; of several that match the last counts. `openllmetry_names`: record
    some series under the names of OpenLLMetry guides as well. `place`: as in `AlertSeverity`.
    """

    enabled: bool = True
    shipped: bool = True
    rule_files: tuple[File, ...] = ()
    disabled: tuple[Annotated[str, Text()], ...] = ()
    external_url: Annotated[str, Url()] | None = None
    runbook_base: Annotated[str, Url()] | None = None
    severity: tuple[AlertSeverity, ...] = ()
    openllmetry_names: bool = False
    place: str = field(default="", compare=False, metadata={PLACE: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTargets:
    """Other targets for one model, by the name that its engine gives it; unset: as for all."""

    model_name: Annotated[str, Text()]
    time_to_first_token: Latency | None = None
    inter_token_latency: Latency | None = None


class InterToken(StrEnum):
    """Of what 95 of 100 should keep the target between tokens, when capacity is reckoned.

    request: the mean time per output token of a request; gap: the time from a token to the next.
    """

    REQUEST = "request"
    GAP = "gap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What 95 of 100 requests, and of 100 gaps between tokens, should not exceed."""

    time_to_first_token: Latency = 1.0
    inter_token_latency: Latency = 0.066
    inter_token: InterToken = InterToken.REQUEST
    models: tuple[ModelTargets, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """From where on more or fewer replicas are wanted, and requests should go elsewhere.

    `scale_out`, `scale_in`: shares of capacity; `queue_wait`: 95th percentile. `hysteresis`: share
    of a threshold by which a value must be back. `kv_full`: share of the KV cache. The `_after`:
    how long it must last. `stale_after`: age from which on a signal is not told.
    """

    scale_out: Annotated[float, Share(0.05, 2.0)] = 0.8
    queue_wait: Latency = 0.5
    scale_in: Annotated[float, Share(0.0, 1.0)] = 0.2
    hysteresis: Annotated[float, Share(0.0, 0.9)] = 0.1
    scale_out_after: Annotated[float, Duration(0.0, 3600.0)] = 15.0
    scale_in_after: Annotated[float, Duration(0.0, 86_400.0)] = 1800.0
    kv_full: Annotated[float, Share(0.05, 1.0)] = 0.95
    shed_after: Annotated[float, Duration(0.0, 3600.0)] = 15.0
    admit_after: Annotated[float, Duration(0.0, 3600.0)] = 60.0
    stale_after: Annotated[float, Duration(20.0, 3600.0)] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReplicas:
    """Other bounds for one model, by the name that its engines give it; unset: as for all."""

    model_name: Annotated[str, Text()]
    least: Replicas | None = None
    most: Replicas | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaler:
    """How `inferwatch scaler` works out the replicas that a model needs.

    `target`: share of their capacity that replicas should be asked; `surge_target`: share that
    they may be asked in a surge, unset: as at any time; `margin`: share of that by which fewer
    must be below it. `queue_wait`: 95th percentile above which one more is needed.
    `stale_after`: age from which on a sample in Prometheus is not true. `headers`: sent with every
    request, such as the tenant of a Mimir.
    """

    interval: Interval = 15.0
    timeout: Timeout = 10.0
    headers: Headers = field(default_factory=dict)
    stale_after: Annotated[float, Duration(20.0, 3600.0)] = 90.0
    target: Annotated[float, Share(0.05, 2.0)] = 0.8
    surge_target: Annotated[float, Share(0.05, 2.0)] | None = None
    margin: Annotated[float, Share(0.0, 0.9)] = 0.1
    queue_wait: Latency = 0.5
    scale_out_after: Annotated[float, Duration(0.0, 3600.0)] = 15.0
    scale_in_after: Annotated[float, Duration(0.0, 86_400.0)] = 600.0
    least: Replicas = 1
    most: Replicas = 64
    models: tuple[ModelReplicas, ...] = ()
    bearer_token: Secret | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line is written; auto: for people on a terminal, else journald or JSON."""

    AUTO = "auto"
    CONSOLE = "console"
    JOURNALD = "journald"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """The log, on standard error."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The history on disk; without it, the last minutes are kept in memory.

    `full_age`: how long every sample is kept; `five_minutes_age`: how long the five-minute
    windows are. Either ends earlier where `max_size` is reached.
    """

    enabled: bool = True
    path: File = Path("/var/lib/inferwatch/history.db")
    full_age: Annotated[float, Duration(3600.0)] = 7 * 86_400.0
    five_minutes_age: Annotated[float, Duration(3600.0)] = 90 * 86_400.0
    max_size: Annotated[int, Size(2**20)] = 2 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """Minutes at full rate around what goes wrong. `path`: without one, beside the history."""

    enabled: bool = True
    path: Folder | None = None
    max_count: Annotated[int, Count()] = 50
    max_size: Annotated[int, Size(2**20)] = 200 * 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file."""

    tick: Tick = field(default_factory=Tick)
    collectors: Collectors = field(default_factory=Collectors)
    labels: Labels = field(default_factory=Labels)
    history: History = field(default_factory=History)
    incidents: Incidents = field(default_factory=Incidents)
    targets: Targets = field(default_factory=Targets)
    capacity: Capacity = field(default_factory=Capacity)
    signals: Signals = field(default_factory=Signals)
    scaler: Scaler = field(default_factory=Scaler)
    fleet: Fleet = field(default_factory=Fleet)
    cost: Cost = field(default_factory=Cost)
    alerts: Alerts = field(default_factory=Alerts)
    exporters: Exporters = field(default_factory=Exporters)
    logging: Logging = field(default_factory=Logging)
