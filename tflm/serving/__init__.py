"""A development server that answers as TF Serving does, over REST and gRPC.

It is for development and tests: to see what a client gets from a SavedModel, and to test a client
without a container. Deploy the official image, `tensorflow/serving`, which is C++ all through.
`tflm.serving.server.Server` runs in threads of one's own process, `tflm serve` in one of its own.
"""
