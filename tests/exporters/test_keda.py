"""KEDA's external scaler, asked by a real gRPC client with messages as KEDA writes them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

grpc = pytest.importorskip("grpc", reason="needs the extra inferwatch[scaler]")

from exporters.keda import METRIC, KedaServer, messages  # noqa: E402 - after what it needs

pytest.importorskip("google.protobuf", reason="needs the extra inferwatch[scaler]")

_SERVICE = "/externalscaler.ExternalScaler/"


class _Keda:
    """A client as KEDA is one."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def ref(self, **metadata: str) -> Any:
        """Return which scaled object asks."""
        return messages()["ScaledObjectRef"](name="chat", namespace="llm", scalerMetadata=metadata)

    async def ask(self, method: str, request: Any, answer: str) -> Any:
        """Return the answer to one call."""
        call = self._channel.unary_unary(
            _SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=messages()[answer].FromString,
        )
        return await call(request, timeout=5.0)

    def follow(self, request: Any) -> Any:
        """Return the stream of whether it is active."""
        call = self._channel.unary_stream(
            _SERVICE + "StreamIsActive",
            request_serializer=type(request).SerializeToString,
            response_deserializer=messages()["IsActiveResponse"].FromString,
        )
        return call(request, timeout=5.0)


@pytest.fixture
async def keda() -> AsyncIterator[_Keda]:
    """Return a client of a server that knows one model, needing three replicas."""
    server = KedaServer(
        {"m": 3.0, "idle": 0.0}.get, problem=lambda: "store b is down", interval=0.01
    )
    port = await server.listen("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield _Keda(channel)
    await server.aclose()
    await server.aclose()


async def test_the_metric_is_the_replicas_needed(keda: _Keda):
    """The target is one for each replica, so that HPA comes to the number itself."""
    spec = await keda.ask("GetMetricSpec", keda.ref(modelName="m"), "GetMetricSpecResponse")
    (one,) = spec.metricSpecs
    assert (one.metricName, one.targetSize, one.targetSizeFloat) == (METRIC, 1, 1.0)
    request = messages()["GetMetricsRequest"](
        scaledObjectRef=keda.ref(modelName="m"), metricName=METRIC
    )
    answer = await keda.ask("GetMetrics", request, "GetMetricsResponse")
    (value,) = answer.metricValues
    assert (value.metricName, value.metricValue, value.metricValueFloat) == (METRIC, 3, 3.0)


async def test_it_is_active_while_replicas_are_needed(keda: _Keda):
    """Once and as a stream, which goes on."""
    answer = await keda.ask("IsActive", keda.ref(modelName="m"), "IsActiveResponse")
    assert answer.result
    answer = await keda.ask("IsActive", keda.ref(modelName="idle"), "IsActiveResponse")
    assert not answer.result
    stream = keda.follow(keda.ref(modelName="m"))
    assert [(await stream.read()).result for _ in range(3)] == [True] * 3
    stream.cancel()


@pytest.mark.parametrize("method", ["IsActive", "GetMetrics", "StreamIsActive"])
async def test_what_is_stale_is_unavailable(keda: _Keda, method: str):
    """A model of which nothing true is known is a failure for KEDA, and not zero replicas."""
    ref = keda.ref(modelName="stale")
    asked = messages()["GetMetricsRequest"](scaledObjectRef=ref, metricName=METRIC)
    call = {
        "IsActive": lambda: keda.ask(method, ref, "IsActiveResponse"),
        "GetMetrics": lambda: keda.ask(method, asked, "GetMetricsResponse"),
        "StreamIsActive": lambda: keda.follow(ref).read(),
    }[method]
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await call()
    assert found.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "'stale': store b is down" in (found.value.details() or "")


async def test_a_trigger_has_to_name_its_model(keda: _Keda):
    """Without modelName the call is refused, and it is said what is missing."""
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await keda.ask("GetMetricSpec", keda.ref(), "GetMetricSpecResponse")
    assert found.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "modelName" in (found.value.details() or "")


def test_messages_are_those_of_kedas_file():
    """Names and numbers of the fields are those on the wire: encoded by hand, it reads them."""
    wire = b"\x0a\x01a\x12\x01b\x1a\x06\x0a\x01k\x12\x01v"
    found = messages()["ScaledObjectRef"].FromString(wire)
    assert (found.name, found.namespace, dict(found.scalerMetadata)) == ("a", "b", {"k": "v"})
    value = messages()["MetricValue"](metricName="r", metricValue=2, metricValueFloat=2.0)
    assert value.SerializeToString() == b"\x0a\x01r\x10\x02\x19" + b"\0\0\0\0\0\0\0\x40"
