"""What the engine's tests share: an engine on the toy network, and the same answer computed the slow, obvious way."""

from __future__ import annotations

from gemwright.engine.engine import Engine
from gemwright.engine.request import Event, Finished, Request, Token
from gemwright.engine.sampler import Penalties, choose, uniform_at
from gemwright.messages import Sampling
from support.toy_network import ToyCache, ToyConfig, ToyDetokenizer, ToyNetwork, toy_logits

WILD = Sampling(temperature=1.0, top_k=0, top_p=1.0)


def engine(
    *,
    context: int = 512,
    capacity: int = 512,
    step_tokens: int = 16,
    max_sequences: int = 4,
    network: ToyNetwork | None = None,
    prefix_cache: bool = True,
    prompt_tokens: int | None = None,
    max_guessing: int = 99,
) -> tuple[Engine, ToyNetwork, ToyCache]:
    network = network or ToyNetwork(ToyConfig(context_tokens=context))
    cache = network.new_cache(capacity_tokens=capacity, max_step_tokens=step_tokens, max_sequences=max_sequences)
    driven = Engine(
        network,
        cache,
        ToyDetokenizer,
        vocabulary=network.config.vocabulary,
        step_tokens=step_tokens,
        max_sequences=max_sequences,
        prompt_tokens=prompt_tokens,
        max_guessing=max_guessing,
        prefix_cache=prefix_cache,
    )
    return driven, network, cache


def request(
    prompt: list[int], *, max_tokens: int = 12, seed: int = 5, sampling: Sampling = WILD, **more: object
) -> Request:
    return Request(tuple(prompt), max_tokens, seed, sampling, **more)  # type: ignore[arg-type]


def slow_answer(network: ToyNetwork, one: Request) -> list[int]:
    """The answer's tokens, each from logits computed from scratch for the whole text so far."""
    answer: list[int] = []
    while len(answer) < one.max_tokens:
        penalties = Penalties(one.sampling, one.prompt)
        for token in answer:
            penalties.record(token)
        row = toy_logits(network, [*one.prompt, *answer])
        token = choose(row, one.sampling, uniform_at(one.seed, len(answer)), penalties=penalties).token
        if token in one.stop_ids:
            break
        answer.append(token)
    return answer


def tokens(events: list[Event]) -> list[int]:
    return [event.id for event in events if isinstance(event, Token)]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events)


def ending(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, Finished) for event in events) == 1
    return events[-1]
