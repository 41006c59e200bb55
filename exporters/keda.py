"""KEDA's external scaler over gRPC: the only file that knows gRPC, which is an extra.

The messages are declared here, by the names and field numbers of KEDA's `externalscaler.proto`;
protobuf makes their classes when the server starts. A model that nothing true is known of is
UNAVAILABLE, which KEDA takes for a failure of the scaler and not for no load.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from typing import Any, Final

from agent.model import ConfigError

METRIC: Final = "replicas"
"""Name of the metric: the replicas needed, of which HPA wants one a replica."""

Answer = Callable[[str], float | None]
"""By name of a model, how many replicas it needs; None where nothing true is known."""

_SERVICE: Final = "externalscaler.ExternalScaler"
_MODEL: Final = "modelName"
_STRING, _BOOL, _INT64, _DOUBLE, _MESSAGE = 9, 8, 3, 1, 11
_MESSAGES: Final[Mapping[str, tuple[tuple[str, int, str, bool], ...]]] = {
    # name of the field, its type, of which message it is, whether there are many; numbered from 1
    "ScaledObjectRef": (
        ("name", _STRING, "", False),
        ("namespace", _STRING, "", False),
        ("scalerMetadata", _MESSAGE, "ScaledObjectRef.ScalerMetadataEntry", True),
    ),
    "IsActiveResponse": (("result", _BOOL, "", False),),
    "MetricSpec": (
        ("metricName", _STRING, "", False),
        ("targetSize", _INT64, "", False),
        ("targetSizeFloat", _DOUBLE, "", False),
    ),
    "GetMetricSpecResponse": (("metricSpecs", _MESSAGE, "MetricSpec", True),),
    "GetMetricsRequest": (
        ("scaledObjectRef", _MESSAGE, "ScaledObjectRef", False),
        ("metricName", _STRING, "", False),
    ),
    "MetricValue": (
        ("metricName", _STRING, "", False),
        ("metricValue", _INT64, "", False),
        ("metricValueFloat", _DOUBLE, "", False),
    ),
    "GetMetricsResponse": (("metricValues", _MESSAGE, "MetricValue", True),),
}


@cache
def messages() -> Mapping[str, Any]:
    """Return the classes of the messages by name.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise ConfigError(_MISSING) from error
    file = descriptor_pb2.FileDescriptorProto(
        name="inferwatch/externalscaler.proto", package="externalscaler", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, of, many) in enumerate(fields, start=1):
            one = message.field.add(name=field, number=number, type=kind, label=3 if many else 1)
            if of:
                one.type_name = f".externalscaler.{of}"
    entry = file.message_type[0].nested_type.add(name="ScalerMetadataEntry")
    entry.options.map_entry = True
    for number, field in enumerate(("key", "value"), start=1):
        entry.field.add(name=field, number=number, type=_STRING, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"externalscaler.{name}"))
        for name in _MESSAGES
    }


_MISSING: Final = "gRPC needs the extra: pip install 'inferwatch[scaler]'"


class KedaServer:
    """Serves KEDA.

    Args:
        answer: says what is needed.
        problem: why nothing is known, where nothing is; may be empty.
        interval: seconds after which whoever follows `StreamIsActive` is told anew.
    """

    def __init__(self, answer: Answer, *, problem: Callable[[], str], interval: float) -> None:
        self._answer = answer
        self._problem = problem
        self._interval = interval
        self._server: Any = None

    async def listen(self, address: str) -> int:
        """Listen at HOST:PORT and return the port.

        Raises:
            ConfigError: the extra is not installed, or the address cannot be had.
        """
        try:
            import grpc
        except ImportError as error:
            raise ConfigError(_MISSING) from error
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((self._handlers(grpc),))
        try:
            port = int(self._server.add_insecure_port(address))
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {address}: {error}") from error
        await self._server.start()
        return port

    async def aclose(self) -> None:
        """Stop serving; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(0.5)

    def _handlers(self, grpc: Any) -> Any:
        """Return the methods."""
        known = messages()

        def handler(make: Any, method: Any, asked: str, answered: str) -> Any:
            return make(
                method,
                request_deserializer=known[asked].FromString,
                response_serializer=known[answered].SerializeToString,
            )

        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        ref = "ScaledObjectRef"
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                "IsActive": handler(unary, self._is_active, ref, "IsActiveResponse"),
                "StreamIsActive": handler(stream, self._stream, ref, "IsActiveResponse"),
                "GetMetricSpec": handler(unary, self._spec, ref, "GetMetricSpecResponse"),
                "GetMetrics": handler(
                    unary, self._metrics, "GetMetricsRequest", "GetMetricsResponse"
                ),
            },
        )

    async def _is_active(self, request: Any, context: Any) -> Any:
        """Return whether any replica is needed."""
        return messages()["IsActiveResponse"](result=await self._needed(request, context) > 0)

    async def _stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Yield the same, at once and then again and again."""
        while True:
            yield await self._is_active(request, context)
            await asyncio.sleep(self._interval)

    async def _spec(self, request: Any, context: Any) -> Any:
        """Return what the metric is called, and how much of it a replica should have: 1."""
        await self._model(request, context)
        spec = messages()["MetricSpec"](metricName=METRIC, targetSize=1, targetSizeFloat=1.0)
        return messages()["GetMetricSpecResponse"](metricSpecs=[spec])

    async def _metrics(self, request: Any, context: Any) -> Any:
        """Return how many replicas are needed."""
        needed = await self._needed(request.scaledObjectRef, context)
        value = messages()["MetricValue"](
            metricName=request.metricName or METRIC,
            metricValue=round(needed),
            metricValueFloat=needed,
        )
        return messages()["GetMetricsResponse"](metricValues=[value])

    async def _model(self, ref: Any, context: Any) -> str:
        """Return the model that is asked about; without one, the call ends."""
        import grpc

        name: str = dict(ref.scalerMetadata).get(_MODEL, "")
        if not name:
            why = f"the metadata of the trigger needs {_MODEL}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
        return name

    async def _needed(self, ref: Any, context: Any) -> float:
        """Return how many replicas are needed; where nothing true is known, the call ends."""
        import grpc

        name = await self._model(ref, context)
        needed = self._answer(name)
        if needed is None:
            why = f"nothing that is young enough is known of the model {name!r}"
            why = ": ".join(filter(None, (why, self._problem())))
            await context.abort(grpc.StatusCode.UNAVAILABLE, why)
            raise AssertionError  # not reached: abort raises
        return needed
