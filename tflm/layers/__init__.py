"""Layers of `keras.ops`: attention, masks, positions, feed-forward, blocks, embeddings."""
