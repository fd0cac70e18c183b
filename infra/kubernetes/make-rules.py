"""Prints the rules of infra/prometheus as a PrometheusRule, for the Prometheus operator.

Each alert gets the label `namespace`, by which an AlertmanagerConfig of that namespace receives it.

ServiceDown also fires if a service has no address: Prometheus finds addresses by the pods here, so that
without a pod, `up` is absent. In the container stack, addresses are fixed, and a service without any is left
out by choice.
"""

import sys
from pathlib import Path

import yaml

NAMESPACE = "toxic-comments"
RULES = Path(__file__).resolve().parents[1] / "prometheus" / "rules"
MONITORS = Path(__file__).resolve().parent / "monitoring" / "monitors.yaml"


def jobs() -> list[str]:
    """Return the services that the ServiceMonitor selects, by which the operator names their jobs."""
    monitor = next(yaml.safe_load_all(MONITORS.read_text(encoding="utf-8")))
    (selected,) = monitor["spec"]["selector"]["matchExpressions"]
    return selected["values"]


def prometheus_rule() -> dict[str, object]:
    """Return the manifest."""
    files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(RULES.glob("*.yml"))]
    groups = [group for file in files for group in file["groups"]]
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        rule["labels"] = {**rule.get("labels", {}), "namespace": NAMESPACE}
        if rule["alert"] == "ServiceDown":
            rule["expr"] += "".join(
                f'\nor absent(up{{job="{job}", namespace="{NAMESPACE}"}})' for job in jobs()
            )
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "toxic-comments"},
        "spec": {"groups": groups},
    }


if __name__ == "__main__":
    sys.stdout.write("# Written by `make manifests` from infra/prometheus/rules.\n")
    yaml.safe_dump(prometheus_rule(), sys.stdout, sort_keys=False, width=100)
