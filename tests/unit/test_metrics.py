"""Metrics: what is counted, and that a state that emptied shows no stale number."""

from prometheus_client.parser import text_string_to_metric_families

from relay.metrics import Metrics, SiteFigures


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """All samples by name and the value of their label."""
    text = metrics.exposition().decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_events_are_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.count("created")
    metrics.count("created", 2)
    metrics.count("delivered")
    found = samples(metrics)
    assert found["relay_events_total", "created"] == 3
    assert found["relay_events_total", "delivered"] == 1


def test_the_delay_of_a_delivery() -> None:
    metrics = Metrics()
    metrics.delay.observe(0.7)
    metrics.delay.observe(100000.0)
    found = samples(metrics)
    assert found["relay_delivery_delay_seconds_count", ""] == 2
    assert found["relay_delivery_delay_seconds_bucket", "0.5"] == 0
    assert found["relay_delivery_delay_seconds_bucket", "1.0"] == 1
    assert found["relay_delivery_delay_seconds_bucket", "259200.0"] == 2


def test_the_depth_is_the_last_value_set() -> None:
    metrics = Metrics()
    metrics.set_depth({"waiting": 7, "held": 1})
    assert samples(metrics)["relay_queue_entries", "waiting"] == 7
    metrics.set_depth({"held": 2})
    depth = {label: value for (name, label), value in samples(metrics).items() if name == "relay_queue_entries"}
    assert depth == {"held": 2}


def test_counters_of_refusals_failures_and_store_errors() -> None:
    metrics = Metrics()
    metrics.refused.labels("550").inc()
    metrics.render_failures.inc()
    metrics.store_trouble.set(1)
    found = samples(metrics)
    assert found["relay_refused_total", "550"] == 1
    assert found["relay_render_failures_total", ""] == 1
    assert found["relay_store_trouble", ""] == 1


def test_two_relays_in_one_process_have_their_own_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.count("created")
    assert ("relay_events_total", "created") not in samples(second)


def test_the_busiest_sites_have_labels_of_their_own_and_the_others_one_together() -> None:
    metrics = Metrics()
    metrics.set_sites([SiteFigures(f"site{n}", 20.0 if n == 0 else None, 5, 30 - n, n or None) for n in range(25)])
    text = metrics.exposition().decode()
    assert 'relay_site_rate{site="site0"} 20.0' in text
    assert text.count("relay_site_rate{") == 1
    assert text.count("relay_site_connections{") == 20
    assert text.count("relay_site_waiting{") == 21
    assert 'relay_site_waiting{site="other"} 40.0' in text
    assert 'relay_site_oldest_seconds{site="site3"} 3.0' in text
    assert 'relay_site_oldest_seconds{site="other"} 24.0' in text
    assert text.count("relay_site_oldest_seconds{") == 20
    metrics.set_sites(())
    assert "relay_site_waiting{" not in metrics.exposition().decode()
