from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tflm.generation import Beam, Greedy, Limits, Sample, generate

PAD, BOS, EOS = 0, 2, 3
WIDTH = 10
STRATEGIES = {
    "greedy": Greedy(),
    "sample": Sample(temperature=1.2, top_k=6, top_p=0.9),
    "beam": Beam(num_beams=4, num_return=3),
}
LIMITS = Limits(max_length=7, min_length=2, no_repeat_ngram_size=2, repetition_penalty=1.1)
by_strategy = pytest.mark.parametrize("name", STRATEGIES)


def answer_of(model, memory, prompt_ids, strategy, limits=LIMITS, **options):
    return generate(
        model.decode,
        model.start(memory),
        prompt_ids,
        strategy=strategy,
        limits=limits,
        eos_id=EOS,
        pad_id=PAD,
        **options,
    )


def inputs_of(batch_size, source=5, prompt=1, seed=0):
    random = np.random.default_rng(seed)
    memory = random.standard_normal((batch_size, source, WIDTH)).astype("float32")
    prompt_ids = random.integers(4, 9, (batch_size, prompt)).astype("int32")
    prompt_ids[:, 0] = BOS
    return tf.constant(memory), tf.constant(prompt_ids)


class Served(tf.Module):
    """Every strategy as an endpoint of dynamic shapes."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        signature = [
            tf.TensorSpec((None, None, WIDTH), tf.float32, "memory"),
            tf.TensorSpec((None, None), tf.int32, "prompt_ids"),
            tf.TensorSpec((None,), tf.int32, "seeds"),
            tf.TensorSpec((None,), tf.int32, "max_lengths"),
        ]
        for name, strategy in STRATEGIES.items():
            endpoint = tf.function(partial(self.run, strategy), input_signature=signature)
            setattr(self, name, endpoint)

    def run(self, strategy, memory, prompt_ids, seeds, max_lengths):
        options = {"seed": seeds, "max_lengths": max_lengths}
        return vars(answer_of(self.model, memory, prompt_ids, strategy, **options))


@pytest.fixture(scope="module")
def model(attention_model):
    return attention_model()


@pytest.fixture(scope="module")
def served(model):
    return Served(model)


@pytest.fixture(scope="module")
def saved(served, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "1"
    signatures = {name: getattr(served, name) for name in STRATEGIES}
    tf.saved_model.save(served, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def loaded(saved):
    return tf.saved_model.load(str(saved))


@pytest.mark.parametrize("prompt", [1, 3])
def test_cached_search_equals_search_over_whole_prefixes(
    model, reference, hypotheses, same, prompt
):
    memory, prompt_ids = inputs_of(3, prompt=prompt)
    greedy = answer_of(model, memory, prompt_ids, Greedy())
    beam = answer_of(model, memory, prompt_ids, STRATEGIES["beam"])
    for row in range(3):
        logits_of = partial(model.naive_logits, memory[row])
        plain = reference(logits_of, prompt_ids[row].numpy().tolist(), LIMITS, "gnmt", 0.6)
        same(hypotheses(beam, row), plain.beam(4)[:3])
        plain = reference(logits_of, prompt_ids[row].numpy().tolist(), LIMITS)
        same(hypotheses(greedy, row), [plain.greedy()])


@by_strategy
def test_a_batch_answers_each_row_as_if_alone(model, hypotheses, same, name):
    memory, prompt_ids = inputs_of(5, prompt=2)
    seeds, max_lengths = np.array([7, 7, 8, 9, 10]), np.array([7, 1, 4, 3, 6])
    strategy = STRATEGIES[name]
    together = answer_of(model, memory, prompt_ids, strategy, seed=seeds, max_lengths=max_lengths)
    for row in range(5):
        alone = answer_of(
            model,
            memory[row : row + 1],
            prompt_ids[row : row + 1],
            strategy,
            Limits(int(max_lengths[row]), min(2, int(max_lengths[row])), 2, 1.1),
            seed=seeds[row : row + 1],
        )
        ours, theirs = hypotheses(together, row), hypotheses(alone, 0)
        same([each for each in ours if np.isfinite(each[0])], theirs)
        assert max(len(each[2]) + each[3] for each in ours) <= max_lengths[row]


def test_row_caps_are_clipped_to_the_limits(model):
    memory, prompt_ids = inputs_of(3)
    limits = Limits(4, min_length=4)
    answer = answer_of(model, memory, prompt_ids, Greedy(), limits, max_lengths=[0, 2, 99])
    assert answer.lengths.numpy().tolist()[:2] == [[1], [2]]
    assert int(answer.lengths[2, 0]) + int(answer.finished[2, 0]) == 4


@by_strategy
@pytest.mark.parametrize("graph", [False, True])
def test_an_empty_batch_gives_empty_answers(model, served, name, graph):
    memory, prompt_ids = inputs_of(0)
    if graph:
        answer = getattr(served, name)(
            memory, prompt_ids, tf.zeros(0, tf.int32), tf.zeros(0, tf.int32)
        )
    else:
        answer = vars(answer_of(model, memory, prompt_ids, STRATEGIES[name]))
    n = 3 if name == "beam" else 1
    assert answer["token_ids"].shape == (0, n, 0)
    assert {answer[key].shape for key in ("lengths", "scores", "log_probs", "finished")} == {(0, n)}


@by_strategy
def test_one_graph_of_dynamic_shapes_equals_eager(model, served, name):
    for batch_size, source, prompt in ((3, 5, 1), (1, 2, 4), (4, 6, 2)):
        memory, prompt_ids = inputs_of(batch_size, source, prompt, seed=batch_size)
        seeds, caps = tf.range(batch_size), 3 + tf.range(batch_size)
        options = {"seed": seeds, "max_lengths": caps}
        eager = vars(answer_of(model, memory, prompt_ids, STRATEGIES[name], **options))
        graph = getattr(served, name)(memory, prompt_ids, seeds, caps)
        assert set(graph) == set(eager)
        for key, value in eager.items():
            np.testing.assert_allclose(graph[key], value, rtol=1e-5, err_msg=key)
            assert graph[key].dtype == value.dtype


@by_strategy
def test_saved_model_gives_the_same_answers(served, loaded, name):
    memory, prompt_ids = inputs_of(3, prompt=2)
    seeds, caps = tf.constant([4, 5, 4]), tf.constant([7, 2, 5])
    ours = getattr(served, name)(memory, prompt_ids, seeds, caps)
    theirs = loaded.signatures[name](
        memory=memory, prompt_ids=prompt_ids, seeds=seeds, max_lengths=caps
    )
    np.testing.assert_array_equal(theirs["token_ids"], ours["token_ids"])
    np.testing.assert_allclose(theirs["scores"], ours["scores"], rtol=1e-6)


def test_saved_model_needs_neither_xla_nor_python(saved):
    proto = saved_model_pb2.SavedModel.FromString((saved / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    ops = {node.op for node in nodes}
    assert {"GatherV2", "TopKV2", "StatelessRandomUniformV2"} <= ops
    assert not [op for op in ops if "Xla" in op or "PyFunc" in op]
    compiled = [*nodes, *graph.library.function]
    assert not any(each.attr["_XlaMustCompile"].b for each in compiled if each.attr)


def test_the_prompt_runs_once_per_sentence_and_memory_is_never_expanded(model):
    memory, prompt_ids = inputs_of(3, prompt=2)
    seen = []

    def decode(token_ids, cache, index):
        rows = {tensor.shape[0] for tensor in tf.nest.flatten(cache["step"])}
        kept = {tensor.shape[0] for tensor in cache["memory"]}
        cached = cache["step"]["keys"].shape[2]
        seen.append((tuple(token_ids.shape), int(index), rows, kept, cached))
        return model.decode(token_ids, cache, index)

    generate(
        decode,
        model.start(memory),
        prompt_ids,
        strategy=Beam(4, length_penalty="power", alpha=3.0),
        limits=Limits(3, min_length=3),
        eos_id=EOS,
        pad_id=PAD,
    )
    assert seen == [
        ((3, 2), 0, {3}, {3}, 0),
        ((12, 1), 2, {12}, {3}, 2),
        ((12, 1), 3, {12}, {3}, 3),
    ]


@by_strategy
def test_padding_with_a_token_that_texts_have_limits_nothing(model, name):
    memory, prompt_ids = inputs_of(2, prompt=4, seed=5)
    prompt_ids = tf.concat([prompt_ids[:1], [[0, 0, BOS, 6]]], axis=0)
    token = 6  # what is left of the prompt's beginning, and a word as any other
    padded = tf.concat([prompt_ids[:1], [[token, token, BOS, 6]]], axis=0)
    mask = tf.constant([[True] * 4, [False, False, True, True]])

    def decode(token_ids, cache, index):
        # What is padding is not looked at: here by being what it always is.
        if token_ids.shape[1] == 4:
            token_ids = tf.where(mask, token_ids, 0)
        logits, cache = model.decode(token_ids, cache, index)
        return logits + 90.0 * tf.one_hot(token, tf.shape(logits)[-1]), cache

    limits = Limits(7, no_repeat_ngram_size=2, repetition_penalty=1.4)
    options = {"strategy": STRATEGIES[name], "limits": limits, "eos_id": EOS, "seed": [3, 5]}
    found = [
        generate(decode, model.start(memory), ids, pad_id=pad_id, prompt_mask=mask, **options)
        for ids, pad_id in ((padded, token), (prompt_ids, PAD))
    ]
    np.testing.assert_array_equal(found[0].lengths, found[1].lengths)
    np.testing.assert_allclose(found[0].scores, found[1].scores, atol=1e-5)
    counted = generate(decode, model.start(memory), padded, pad_id=token, **options)
    assert np.abs(counted.scores - found[0].scores)[1].max() > 1e-3


def test_a_graph_sees_that_a_step_is_one_token_wide(model):
    memory, _ = inputs_of(3)
    widths = []

    def decode(token_ids, cache, index):
        widths.append(token_ids.shape[1])
        return model.decode(token_ids, cache, index)

    @tf.function(input_signature=[tf.TensorSpec((None, 1), tf.int32)])
    def run(prompt_ids):
        options = {"strategy": Beam(2), "limits": LIMITS, "eos_id": EOS, "pad_id": PAD}
        return generate(decode, model.start(memory), prompt_ids, **options).lengths

    assert run(tf.fill((3, 1), BOS)).shape == (3, 1)
    assert widths == [1, 1]  # traced for the prompt and for a step, not for every step


def test_half_precision_logits_are_scored_in_single(model, attention_model, reference, hypotheses):
    half = attention_model(dtype=tf.bfloat16)
    memory, prompt_ids = inputs_of(2)
    memory = tf.cast(memory, tf.bfloat16)
    answer = answer_of(half, memory, prompt_ids, Greedy())
    assert answer.scores.dtype == tf.float32
    for row in range(2):
        plain = reference(partial(half.naive_logits, memory[row]), [BOS], LIMITS)
        [(_, log_prob, ids, _)] = hypotheses(answer, row)
        assert len(ids) >= 1
        rescored = sum(
            dict((token, value) for value, token in plain.continuations(ids[:i]))[ids[i]]
            for i in range(len(ids))
        )
        assert log_prob <= rescored + 0.05


def test_a_cache_that_changes_its_fixed_sizes_is_refused():
    def decode(token_ids, cache, index):
        state = tf.concat([cache["step"]["state"]] * 2, axis=1)
        rows, length = tf.shape(token_ids)[0], tf.shape(token_ids)[1]
        return tf.zeros((rows, length, 5)), {**cache, "step": {"state": state}}

    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="not compatible"):
        generate(
            decode,
            {"step": {"state": tf.zeros((2, 3))}, "memory": {}},
            [[BOS], [BOS]],
            strategy=Greedy(),
            limits=Limits(4),
            eos_id=EOS,
            pad_id=PAD,
        )


@pytest.mark.parametrize("prompt_ids", [[BOS, BOS], [[], []]])
def test_prompts_without_a_token_per_row_are_refused(model, prompt_ids):
    memory, _ = inputs_of(2)
    with pytest.raises(ValueError, match=r"`prompt_ids` must have shape .*Received: shape=\("):
        answer_of(model, memory, prompt_ids, Greedy())


def test_row_caps_of_another_shape_are_refused(model):
    memory, prompt_ids = inputs_of(2)
    with pytest.raises(ValueError, match=r"`max_lengths` must have shape \(batch,\). Received"):
        answer_of(model, memory, prompt_ids, Greedy(), max_lengths=5)


@pytest.mark.parametrize("strategy", [Greedy(), Beam(num_beams=3)], ids=["greedy", "beam"])
def test_blocked_tokens_are_not_written(model, strategy):
    memory, prompt_ids = inputs_of(4)
    free = answer_of(model, memory, prompt_ids, strategy).token_ids[:, 0].numpy()
    often = int(np.bincount(free[free > EOS]).argmax())
    found = answer_of(model, memory, prompt_ids, strategy, blocked_ids=(often,))
    assert often in free and often not in found.token_ids.numpy()
