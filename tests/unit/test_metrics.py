"""Metrics: what is counted, and that a state that emptied shows no stale number."""

from prometheus_client.parser import text_string_to_metric_families

from relay.limits.ports import Usage
from relay.limits.utilization import used_ratios
from relay.limits.window import windows
from relay.metrics import Metrics, QueueFigures, SiteFigures
from relay.metrics.domain_figures import DomainFigures
from relay.metrics.queue_figures import LaneDepth, queue_figures


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """All samples by name and the value of their label."""
    text = metrics.exposition().decode()
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
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
    metrics.set_queue(QueueFigures({("waiting", "due"): 7, ("held", "operator"): 1}, {"direct": 90.0}))
    assert samples(metrics)["relay_queue_entries", "due,waiting"] == 7
    assert samples(metrics)["relay_queue_oldest_seconds", "direct,waiting"] == 90
    metrics.set_queue(QueueFigures({("held", "operator"): 2}))
    depth = {label: value for (name, label), value in samples(metrics).items() if name.startswith("relay_queue_")}
    assert depth == {"operator,held": 2}


def test_entries_are_counted_by_the_reason_they_wait_for() -> None:
    figures = queue_figures(
        [
            LaneDepth("mx:a.test", "waiting", True, 3, 1005.0),
            LaneDepth("mx:a.test", "waiting", False, 4, 1020.0),
            LaneDepth("provider:news", "waiting", True, 5, 100.0),
            LaneDepth("mx:a.test", "active", True, 1, 1000.0),
            LaneDepth("mx:a.test", "held", True, 6, 10.0),
        ],
        {"mx:a.test": 1000.0, "mx:b.test": 900.0, "provider:news": 990.0},
        {"provider:news", "mx:c.test"},
        damaged=2,
        now=1010.0,
    )
    assert figures.overdue == {"direct": 5.0}
    assert figures.paused == ["news"]
    assert figures.entries == {
        ("waiting", "due"): 3,
        ("waiting", "later"): 4,
        ("waiting", "paused"): 5,
        ("active", "attempt"): 1,
        ("held", "operator"): 4,
        ("held", "damaged"): 2,
    }
    assert figures.oldest == {"direct": 110.0, "news": 20.0}


def test_results_are_counted_by_provider_and_site_and_the_sites_do_not_grow_without_bound() -> None:
    metrics = Metrics()
    metrics.deliveries.profiles = {"google"}
    for number in range(30):
        metrics.deliveries.count(f"mx:{number}.test", f"{number}.test", "delivered", "")
    metrics.deliveries.count("mx:gmail.com", "google", "bounced", "bad_mailbox", 2)
    metrics.deliveries.count("provider:news", "", "deferred", "rate_limited")
    found = {labels: value for (name, labels), value in samples(metrics).items() if name == "relay_deliveries_total"}
    assert found[",direct,delivered,0.test"] == 1
    assert found[",direct,delivered,other"] == 10
    assert found["bad_mailbox,direct,bounced,google"] == 2
    assert found["rate_limited,news,deferred,"] == 1
    assert len(found) == 23


def test_durations_have_bounded_labels_and_buckets() -> None:
    metrics = Metrics()
    metrics.durations.attempt.of("news").observe(0.3)
    metrics.durations.render.observe(0.002)
    metrics.durations.commit.observe(0.004)
    metrics.durations.read.observe(20.0)
    found = samples(metrics)
    assert found["relay_delivery_attempt_seconds_bucket", "0.5,news"] == 1
    assert found["relay_delivery_attempt_seconds_bucket", "0.25,news"] == 0
    assert found["relay_render_seconds_bucket", "0.0025"] == 1
    assert found["relay_store_seconds_bucket", "0.005,commit"] == 1
    assert found["relay_store_seconds_bucket", "15.0,read"] == 0
    assert found["relay_store_seconds_sum", "read"] == 20
    assert len([name for name, _ in found if name == "relay_store_seconds_bucket"]) == 28


def test_of_identities_only_the_fullest_limit_is_shown() -> None:
    metrics = Metrics()
    limits = {
        "identity:a@acme.test": windows(10, 100),
        "identity:b@acme.test": windows(0, 100),
        "provider:news": windows(50, 0),
        "provider:bulk": windows(4, 0),
    }
    left = {
        "identity:a@acme.test": (2, 90),
        "identity:b@acme.test": (10,),
        "provider:news": (5,),
        "provider:bulk": (4,),
    }
    metrics.set_limits(used_ratios(limits, {key: Usage(used, 0, 0.0) for key, used in left.items()}))
    found = {labels: value for (name, labels), value in samples(metrics).items() if name == "relay_limit_used_ratio"}
    assert found == {"identity,": 0.9, "provider,news": 0.1, "provider,bulk": 1.0}
    metrics.set_limits({})
    assert ("relay_limit_used_ratio", "identity,") not in samples(metrics)


def test_requests_to_the_tracker_are_counted_by_kind_and_status() -> None:
    metrics = Metrics()
    metrics.tracker_requests["open", 200] += 3
    metrics.tracker_requests["click", 404] += 1
    found = samples(metrics)
    assert found["relay_tracker_requests_total", "200,open"] == 3
    assert found["relay_tracker_requests_total", "404,click"] == 1


def test_a_domain_has_its_state_and_the_keys_that_sign() -> None:
    metrics = Metrics()
    metrics.set_domains([DomainFigures("acme.test", "failing", [("s1", False)])])
    assert samples(metrics)["relay_domain_state", "acme.test,failing"] == 1
    assert samples(metrics)["relay_dkim_key_in_dns", "acme.test,s1"] == 0
    metrics.set_domains(())
    assert not [name for name, _ in samples(metrics) if name.startswith(("relay_domain_", "relay_dkim_"))]


def test_version_process_and_garbage_collector_are_in_the_registry() -> None:
    names = {name for name, _ in samples(Metrics())}
    assert {"relay_build_info", "process_resident_memory_bytes", "python_gc_collections_total"} <= names
    assert not [name for name in names if name.endswith("_created")]


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
