"""Attention between a text and a question about it (Seo et al. 2016; Yu et al. 2018, section 2.2).

`B` rows, `T` length of the text, `Q` length of the question, `D` width.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.masks import attention_bias


class ContextQueryAttention(keras.layers.Layer):
    """What of the question concerns each token, and what of the text concerns that.

    The similarity of a token `c` and a question's token `q` is `w . [q, c, q * c]`. Its softmax
    over the question, `A`, reads the question; that over the text, `S`, reads the text for each
    token of the question; and `A` reads what was read there (Xiong et al. 2016,
    https://arxiv.org/abs/1611.01604).

    Args:
        hidden_dim: `D`.

    Call arguments:
        context: `(B, T, D)`.
        query: `(B, Q, D)`.
        context_mask: boolean `(B, T)`.
        query_mask: boolean `(B, Q)`.

    Returns:
        `(B, T, 4 D)`: the text, the question read, and the products of the text with what was read
        of the question and of the text.
    """

    def __init__(self, hidden_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.context_score = self._score("context_score")
        self.query_score = self._score("query_score")

    def _score(self, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name=name)

    def build(self, *_: Any) -> None:
        self.context_score.build((None, None, self.hidden_dim))
        self.query_score.build((None, None, self.hidden_dim))
        self.product_score = self.add_weight(
            shape=(self.hidden_dim,),
            initializer=keras.initializers.RandomNormal(stddev=self.hidden_dim**-0.5),
            name="product_score",
        )
        self.built = True

    def call(self, context: Any, query: Any, context_mask: Any, query_mask: Any) -> Any:
        scores = self.context_score(context) + ops.swapaxes(self.query_score(query), 1, 2)
        weighted = context * ops.cast(ops.convert_to_tensor(self.product_score), context.dtype)
        scores = scores + ops.matmul(weighted, ops.swapaxes(query, 1, 2))  # (B, T, Q)
        dtype = scores.dtype
        over_query = ops.softmax(scores + attention_bias(query_mask, dtype)[:, None], axis=2)
        over_text = ops.softmax(scores + attention_bias(context_mask, dtype)[..., None], axis=1)
        read = ops.matmul(over_query, query)  # (B, T, D)
        text = ops.matmul(ops.swapaxes(over_text, 1, 2), context)  # (B, Q, D)
        back = ops.matmul(over_query, text)  # (B, T, D)
        return ops.concatenate([context, read, context * read, context * back], axis=-1)
