"""Lines of engines' logs: which say why an engine ends, and which say nothing."""

from pathlib import Path

import pytest

from collectors.engine_ends.patterns import BURST, QUIET, LogWatch

CAPTURE = Path(__file__).parents[4] / "shared" / "captures" / "vllm-enginecrash.server.log"
LLAMA = CAPTURE.with_name("llama-server.log")


def found(*lines: str) -> list[tuple[str, str]]:
    """Return what lines say, a millisecond apart."""
    watch = LogWatch()
    return [
        tuple(one)
        for number, line in enumerate(lines)
        for one in watch.take(line.encode(), 100.0 + number / 1000)
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "cuda_oom"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", "cuda_oom"),
        ("RuntimeError: CUDA error: out of memory", "cuda_oom"),
        ("ValueError: No available memory for the cache blocks. Try increasing", "cuda_oom"),
        ("allocating 96.00 MiB on device 0: cudaMalloc failed: out of memory", "cuda_oom"),
        ("llama_model_load: failed to allocate CUDA0 buffer", "cuda_oom"),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "gpu_error"),
        ("torch.distributed.DistBackendError: ncclUnhandledCudaError: Call failed", "gpu_error"),
        ("(Core pid=4) ERROR 11-21 07:15:37 [core.py:15] EngineCore failed to start.", "fatal"),
        ("Worker proc VLLM::Worker_TP1 died unexpectedly, shutting down executor.", "fatal"),
        ("main: error: unable to load model", "fatal"),
        ("/src/ggml.c:12: GGML_ASSERT(tensor) failed", "fatal"),
        ("INFO:     Shutting down", "stopping"),
        ("1.34.123.717 I srv    operator(): operator(): cleaning up before exit...", "stopping"),
    ],
)  # fmt: skip
def test_what_says_why(line: str, kind: str):
    """Each message of an engine is told as what it is, without the prefix of its log."""
    assert [one[0] for one in found(line)] == [kind]


@pytest.mark.parametrize(
    ("coloured", "plain"),
    [
        (
            (
                "\x1b[0;36m(Core pid=4)\x1b[0;0m \x1b[31mERROR\x1b[0m \x1b[90m11-21 07:15:37\x1b[0m"
                " \x1b[90m[core.py:15]\x1b[0m torch.OutOfMemoryError: CUDA out of memory."
            ),
            "torch.OutOfMemoryError: CUDA out of memory.",
        ),
        ("\x1b[32mINFO\x1b[0m:     Shutting down", "INFO: Shutting down"),
        ("Fatal Python error: \x1b]0;mine\x07 \x9b2Jit is", "Fatal Python error: ]0;mine 2Jit is"),
    ],
)
def test_what_a_terminal_is_told_is_left_out(coloured: str, plain: str):
    """Engines colour what they write to a terminal, and that of a container may end in its log."""
    assert [one[1] for one in found(coloured)] == [plain]


@pytest.mark.parametrize(
    "line",
    [
        'INFO:     127.0.0.1:5 - "POST /v1/completions HTTP/1.1" 500 Internal Server Error',
        "INFO 11-21 07:15:37 [loggers.py:1] Engine 000: Avg prompt throughput: 1.0 tokens/s",
        "slot print_timing: id  3 | task 2217 | eval time = 6651.27 ms",
        "WARNING: some ValueError: in the middle",
        "",
        "\x00\xff",
    ],
)
def test_what_says_nothing(line: str):
    """Access logs, statistics and noise are no findings."""
    assert found(line) == []


def test_the_first_error_is_told_with_what_is_fatal():
    """What is fatal is told with the exception that came first, not with those that followed."""
    [(kind, text)] = found(
        "(Worker pid=1) ERROR 11-21 07:15:37 [x.py:1] RuntimeError: the root",
        "(EngineCore pid=2) ERROR 11-21 07:15:37 [core.py:2] EngineCore encountered a fatal error.",
        "(EngineCore pid=2) ERROR 11-21 07:15:37 [core.py:2] RuntimeError: Worker failed",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.",
    )
    assert (kind, text) == ("fatal", "RuntimeError: the root")


def test_an_old_error_is_not_the_reason():
    """An exception of long before, such as of a bad request, explains nothing."""
    watch = LogWatch()
    assert not list(watch.take(b"ValueError: bad request", 0.0))
    [one] = watch.take(b"EngineCore encountered a fatal error.", BURST + 1)
    assert one.text == "EngineCore encountered a fatal error."


def test_each_worker_says_the_same():
    """The same finding is told once in a while, and again after that."""
    watch = LogWatch()
    line = b"torch.OutOfMemoryError: CUDA out of memory."
    times = [0.0, 1.0, QUIET - 1, QUIET, QUIET + 1]
    assert [len(list(watch.take(line, time))) for time in times] == [1, 0, 0, 1, 0]


@pytest.mark.skipif(not CAPTURE.exists(), reason="needs the captures, which are not part of it")
def test_the_log_of_a_real_crash():
    """Of 938 lines of a real crash the reason is told, then that the server shuts down."""
    lines = CAPTURE.read_text("utf-8", "replace").splitlines()
    assert found(*lines) == [
        ("fatal", "RuntimeError: CPU Generator does not use offset"),
        ("stopping", "INFO: Shutting down"),
    ]


@pytest.mark.skipif(not LLAMA.exists(), reason="needs the captures, which are not part of it")
def test_the_log_of_a_real_llama_server():
    """A real log that ends in a plain stop says that, and nothing else."""
    lines = LLAMA.read_text("utf-8", "replace").splitlines()
    assert [kind for kind, _text in found(*lines)] == ["stopping"]
