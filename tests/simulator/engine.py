"""Continuous batching as vLLM's V1 scheduler does it, one step after the other.

Each step first serves the running requests: one more token for each that decodes, further prompt
tokens for the one that is still being prefilled. Then it admits waiting ones, first come first
served, while `max_num_seqs`, `max_num_batched_tokens` and free KV blocks allow. When a running
request needs a block and none is free, the youngest is thrown out, and comes back to the front of
the queue to be computed again. A request in the middle of its prefill is always the last one
admitted, because it took all that was left of a step's tokens.

Between arrivals, ends and shortages of blocks all requests only decode; such stretches run in a
short loop that touches no request.
"""

import random
from bisect import bisect_left

from tests.simulator.batch import Batch, Step
from tests.simulator.intake import Intake
from tests.simulator.law import NORMAL, StepLaw, jitters
from tests.simulator.limits import Hold, Ledger, Limits
from tests.simulator.meter import FINE, Meter
from tests.simulator.pool import Pool
from tests.simulator.request import Request
from tests.simulator.workload import Workload


class Engine:
    """One replica of an engine.

    Args:
        law: how long its steps take.
        limits: what it was started with.
        workload: what it is asked.
        dice: where chance comes from.
        begin: when it is ready; who came earlier was turned away.

    Attributes:
        meter: what it counts.
        conditions: what holds for the steps that begin now.
        now: seconds since the beginning.
        ledger: where the time went.
        shortages: when a request was refused for want of blocks, first of each stretch.
        preemptions: when a request was thrown out.
    """

    def __init__(
        self,
        law: StepLaw,
        limits: Limits,
        workload: Workload,
        *,
        dice: random.Random,
        begin: float = 0.0,
    ) -> None:
        if limits.max_model_len > limits.tokens:
            raise ValueError("the longest request does not fit into the KV cache")
        if limits.max_num_batched_tokens < limits.max_num_seqs:
            raise ValueError("a step has no room for one token of each request")
        self.law = law
        self.limits = limits
        self.workload = workload
        self.meter = Meter(limits.max_model_len)
        self.conditions = NORMAL
        self.now = begin
        self.ledger = Ledger(begin)
        self.shortages: list[float] = []
        self.preemptions: list[float] = []
        self.streamed = 0
        self._pool = Pool(
            usable=limits.num_blocks - 1,
            block=limits.block_size,
            caching=limits.prefix_caching,
        )
        self._jitters = jitters(law, dice)
        self._jitter = 0
        self._intake = Intake(workload, limits.max_model_len)
        self._intake.turn_away(begin)
        self._waiting = self._intake.waiting
        self._batch = Batch(self._pool)
        self._step: Step | None = None
        self._last_end = begin
        # Whether the first of the waiting was refused by what only an end can change.
        self._refused = False
        self._shown = (0, 0, 0.0)

    # --- what it shows ---------------------------------------------------------------------

    def flat(self) -> list[float]:
        """Return what its page shows now: see `Meter.places`."""
        return self.meter.flat(self._shown)

    @property
    def running(self) -> int:
        """Return the requests in the batch."""
        return len(self._batch)

    @property
    def waiting(self) -> int:
        """Return the requests that wait."""
        return len(self._waiting)

    @property
    def free_blocks(self) -> int:
        """Return the KV blocks that nobody holds."""
        return self._pool.free

    @property
    def held_tokens(self) -> int:
        """Return the tokens that requests have in the KV cache."""
        return self._batch.held

    # --- time passes -----------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Let time pass up to a moment; the step that is being executed then ends later."""
        while True:
            step = self._step
            if step is None:
                if not self._begin(until):
                    self.now = until
                    return
                continue
            if step.end > until:
                self.now = until
                return
            self._finish(step)
            if self._batch.decoding and not (self._batch.partial or self.conditions.stalled):
                self._decode(until)

    def _begin(self, until: float) -> bool:
        """Begin a step; False if there is none until then."""
        self._arrive(self.now)
        if not (self._batch or self._waiting):
            self.ledger.mark(Hold.IDLE, self.now)
            self.now = max(self.now, min(until, self.workload.next))
            self._last_end = self.now
            return self.now < until
        if self.conditions.stalled:
            self.ledger.mark(Hold.STALLED, self.now)
            self._arrive(until)
            return False
        self._schedule()
        return True

    def _arrive(self, time: float) -> None:
        """Let in who has come, and let go who has given up."""
        self._intake.let_in(time)
        for request in self._intake.given_up(time):
            self._abort(request)

    def _schedule(self) -> None:
        """Decide what the next step does."""
        limits, pool, batch = self.limits, self._pool, self._batch
        thrown_out = False
        while (need := batch.phase[batch.decoded % limits.block_size]) > pool.free:
            self._preempt()
            thrown_out = True
        pool.take(need)
        decode = len(batch.decoding)
        left = limits.max_num_batched_tokens - decode
        prefilled: list[tuple[Request, int]] = []
        partial = batch.partial
        if partial is not None:
            chunk = min(left, partial.prompt + partial.generated - partial.computed)
            if pool.grow(partial, partial.computed + chunk):
                prefilled.append((partial, chunk))
                left -= chunk
                batch.prefill(partial, chunk)
            else:
                self._preempt()
                thrown_out = True
        hold = Hold.NONE
        if self._waiting:
            hold = Hold.BLOCKS if thrown_out else self._admit(left, prefilled)
        self._refused = hold in {Hold.SEQUENCES, Hold.BLOCKS} and not thrown_out
        if hold is Hold.BLOCKS and self.ledger.hold is not Hold.BLOCKS:
            self.shortages.append(self.now)
        # Whoever was alone and lacked a block waits now; a step without tokens is none.
        if decode or prefilled:
            self._start(decode, prefilled, hold)

    def _admit(self, left: int, prefilled: list[tuple[Request, int]]) -> Hold:
        """Admit who has room and return what keeps the next one out."""
        limits, pool, waiting, batch = self.limits, self._pool, self._waiting, self._batch
        while waiting:
            if len(batch) >= limits.max_num_seqs:
                return Hold.SEQUENCES
            if left <= 0:
                return Hold.TOKENS
            request = waiting[0]
            total = request.prompt + request.generated
            found, _unheld = pool.found(request)
            hit = min(found, (total - 1) // limits.block_size) * limits.block_size
            chunk = min(total - hit, left)
            if pool.needed(request, total if limits.whole_prompt else hit + chunk) > pool.free:
                return Hold.BLOCKS
            waiting.popleft()
            pool.admit(request, hit + chunk)
            request.computed = hit
            batch.held += hit
            request.running = True
            if request.scheduled < 0.0:
                request.scheduled = self.now
                request.cached = hit
                self.meter.counts[0] += request.prompt
                self.meter.counts[1] += hit
            prefilled.append((request, chunk))
            left -= chunk
            batch.prefill(request, chunk)
            if batch.partial:
                return Hold.TOKENS if waiting else Hold.NONE
        return Hold.NONE

    def _start(self, decode: int, prefilled: list[tuple[Request, int]], hold: Hold) -> None:
        """Begin to execute what was decided."""
        law, conditions = self.law, self.conditions
        tokens = sum(chunk for _request, chunk in prefilled)
        context = sum(chunk * (r.computed + 0.5 * chunk) for r, chunk in prefilled)
        memory, compute = law.parts(tokens, decode, self._batch.held, context)
        jitter = self._jitters[self._jitter]
        self._jitter = (self._jitter + 1) & (len(self._jitters) - 1)
        gpu = law.gpu_seconds(memory, compute, conditions)
        host = (law.host + conditions.host) * conditions.slow
        seconds = (gpu + host) * jitter
        alone = law.gpu_seconds(memory, compute) + law.host
        spent = self.ledger.spent
        spent.add(
            steps=1,
            gpu=gpu * jitter,
            host=host * jitter,
            memory=memory * jitter,
            compute=compute * jitter,
            normal=alone * jitter,
        )
        spent.prefilled += tokens
        if tokens:
            without = law.seconds(0, decode, self._batch.held, 0.0, conditions) if decode else 0.0
            spent.prefill += max(0.0, seconds - without * jitter)
            if tokens + decode >= self.limits.max_num_batched_tokens:
                twice = law.seconds(2 * tokens, decode, self._batch.held, 2.0 * context, conditions)
                spent.budget += seconds
                spent.gain += 2.0 * (gpu + host) / twice * seconds
        self.ledger.mark(hold, self.now)
        self._step = Step(self.now + seconds, decode, prefilled, hold)

    # --- steps end -------------------------------------------------------------------------

    def _finish(self, step: Step) -> None:
        """Take note of what a step gave."""
        self._step = None
        end = self.now = step.end
        meter, batch = self.meter, self._batch
        given = step.decode
        if step.decode:
            meter.inter_token.observe(end - self._last_end, step.decode)
        batch.decoded += 1
        batch.held += step.decode
        whole = 0
        for request, chunk in step.prefilled:
            request.computed += chunk
            batch.held += chunk
            if request.computed < request.prompt + request.generated:
                continue
            given += 1
            if request.first < 0.0:
                whole += request.prompt
                meter.answered(request, end)
            else:
                meter.inter_token.observe(end - request.last)
            batch.start(request)
        meter.counts[6] += given
        self.streamed += given
        if given:
            meter.iteration.observe(whole + given)
        self._last_end = end
        self._end_requests(end)
        self._show()

    def _end_requests(self, time: float) -> None:
        """Let go of the requests that have all their tokens."""
        for request in self._batch.ended():
            self._refused = False
            self._batch.leave(request, last=time)
            self.meter.finished(request, time)
            self.workload.ended(request, time)

    def _preempt(self) -> None:
        """Throw out the request that was admitted last."""
        victim = self._batch.youngest
        self._batch.leave(victim, last=self._last_end, again=True)
        victim.preempted += 1
        victim.computed = 0
        self.meter.counts[2] += 1
        self.preemptions.append(self.now)
        self._waiting.appendleft(victim)

    def _abort(self, request: Request) -> None:
        """Let go of a request whose client has given it up."""
        if request.running:
            self._batch.leave(request, last=self._last_end)
            self._refused = False
        elif request in self._waiting:
            self._waiting.remove(request)
        else:
            return
        self.workload.ended(request, self.now)
        self._show()

    # --- stretches of pure decoding --------------------------------------------------------

    def _decode(self, until: float) -> None:
        """Decode while nobody comes, goes or lacks a block, up to a moment."""
        if self._waiting and not self._refused:
            return
        intake = self._intake
        bound = min(until, intake.next_abort if self._waiting else intake.next)
        batch = self._batch
        stop = batch.next_end
        if self.now >= bound or batch.decoded >= stop:
            return
        law, conditions = self.law, self.conditions
        count, held = len(batch.decoding), batch.held
        memory, compute = law.parts(0, count, held)
        gpu = law.gpu_seconds(memory, compute, conditions)
        host = (law.host + conditions.host) * conditions.slow
        later = law.seconds(0, count, held + 64 * count, 0.0, conditions)
        begun = self.now
        steps, total = self._stretch(bound, until, stop, gpu + host, (later - gpu - host) / 64.0)
        if not steps:
            return
        self.ledger.mark(self.ledger.hold if self._waiting else Hold.NONE, begun)
        alone = law.gpu_seconds(memory, compute) + law.host
        self.ledger.spent.add(
            steps=steps,
            gpu=gpu * total,
            host=host * total,
            memory=memory * total,
            compute=compute * total,
            normal=alone * total,
        )
        self.meter.counts[6] += steps * count
        self.meter.iteration.observe(count, steps)
        self.streamed += steps * count
        batch.held += steps * count
        self._end_requests(self.now)
        self._show()

    def _stretch(
        self, bound: float, until: float, stop: int, seconds: float, slope: float
    ) -> tuple[int, float]:
        """Take steps that only decode; return how many, and the sum of their jitters.

        Args:
            bound: no step begins then or later.
            until: no step ends later.
            stop: number of the decode step after which a request ends.
            seconds: how long the first step takes.
            slope: how much longer each one takes than the one before.
        """
        pool, batch = self._pool, self._batch
        count, decoded = len(batch.decoding), batch.decoded
        jitters, at, mask = self._jitters, self._jitter, len(self._jitters) - 1
        phase, block, free, taken = batch.phase, self.limits.block_size, pool.free, pool.taken
        gaps = self.meter.inter_token
        fine = gaps.counts
        now, last, total, first = self.now, self._last_end, 0.0, decoded
        begun = last
        while decoded < stop and now < bound:
            need = phase[decoded % block]
            if need > free:
                break
            factor = jitters[at]
            end = now + seconds * factor
            if end > until:
                break
            at = (at + 1) & mask
            free -= need
            taken += need
            decoded += 1
            seconds += slope
            total += factor
            fine[bisect_left(FINE, end - last)] += count
            now = last = end
        gaps.sum += (last - begun) * count
        pool.free, pool.taken = free, taken
        self.now, self._last_end = now, last
        self._jitter, batch.decoded = at, decoded
        return decoded - first, total

    # --- bookkeeping -----------------------------------------------------------------------

    def _show(self) -> None:
        """Put on the page what the scheduler has at the end of a step."""
        pool = self._pool
        usage = 1.0 - pool.free / pool.usable
        self._shown = (
            len(self._batch),
            len(self._waiting),
            usage,
        )
