from tflm.serving.metrics import Counter, Histogram, Metrics


def test_a_counter_counts_by_labels():
    counter = Counter("/tensorflow/serving/request_count", ("model_name", "status"))
    for status in ("OK", "OK", "NOT_FOUND"):
        counter.add('模"型\\', status)
    assert counter.lines() == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="模\\"型\\\\",status="NOT_FOUND"} 1',
        ':tensorflow:serving:request_count{model_name="模\\"型\\\\",status="OK"} 2',
    ]


def test_a_histogram_adds_up():
    histogram = Histogram("/a/size", ("model",), (1.0, 2.5))
    for value in (0.5, 1.0, 7.0):
        histogram.add(value, "m")
    assert histogram.lines() == [
        "# TYPE :a:size histogram",
        ':a:size_bucket{model="m",le="1"} 1',
        ':a:size_bucket{model="m",le="2.5"} 2',
        ':a:size_bucket{model="m",le="+Inf"} 3',
        ':a:size_sum{model="m"} 8.5',
        ':a:size_count{model="m"} 3',
    ]


def test_a_batch_is_counted_with_what_its_requests_waited():
    metrics = Metrics()
    metrics.observe_batch(3, 1, [0.001, 0.002])
    page = metrics.page()
    name = ":tensorflow:serving:batching_session:"
    assert f"{name}processed_batch_size_sum{{}} 4\n" in page
    assert f"{name}padding_size_sum{{}} 1\n" in page
    assert f"{name}queuing_latency_sum{{}} 3000\n" in page
    assert f'{name}queuing_latency_bucket{{le="+Inf"}} 2\n' in page
    assert page.count("# TYPE ") == 7 and page.endswith("\n")
