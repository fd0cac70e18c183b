"""The manifests: built by kustomize, valid by Kubernetes' own schemas, in keeping with the services."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic_settings import BaseSettings

from toxic_inference.metrics.catalogue import SPECS
from toxic_inference.settings import Settings as InferenceSettings
from toxic_registry.server.users import parse_users
from toxic_registry.settings import Settings as RegistrySettings
from toxic_training.server.settings import Settings as TrainingSettings

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "infra" / "kubernetes"
OVERLAYS = ("kserve", "local", "production")
CUSTOM = ("AlertmanagerConfig", "InferenceService", "PrometheusRule", "ServiceMonitor")
"""Kinds that operators bring, which Kubernetes' own schemas don't know; each has a test of its own."""
OPERATORS = Path(__file__).parent / "operators"
OF_A_COMPONENT = {
    "minReplicas": int,
    "maxReplicas": int,
    "scaleMetric": str,
    "scaleTarget": int,
    "timeout": int,
}
"""What a KServe predictor has beside the pod's fields it consists of (v1beta1, ComponentExtensionSpec)."""
SERVICES: dict[str, type[BaseSettings]] = {
    "inference": InferenceSettings,
    "registry": RegistrySettings,
    "training": TrainingSettings,
}
IMAGES = {"toxic-comment-endpoint": "inference", "toxic-registry": "registry", "toxic-training": "training"}
"""Which service an image is."""
SIGN_IN = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
DATABASE = {"POSTGRES_PASSWORD", "REGISTRY_DB_PASSWORD", "INFERENCE_DB_PASSWORD"}
PASSWORDS = {"REGISTRY_PASSWORD", "REGISTRY_TRAINING_PASSWORD", "REGISTRY_INFERENCE_PASSWORD"}
BUCKET = {"MLFLOW_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
OF_TRAINING = {"MLFLOW_TRACKING_URI", "TOXIC_DATA_DIR", "TOXIC_SIGNING_KEY_FILE"}
FROM_ELSEWHERE = {"TMPDIR", "POD_IP"} | SIGN_IN | DATABASE | PASSWORDS | BUCKET | OF_TRAINING
"""Environment variables that are no setting: for other variables, and for other programs."""

OLDEST_KUBECTL = 25
"""Minor version of the first kubectl with a kustomize that supports the overlays."""

Manifest = dict[str, Any]


def _kubectl_minor() -> int:
    """Return the minor version of kubectl 1.x; 0 if there is none."""
    if shutil.which("kubectl") is None:
        return 0
    command = ["kubectl", "version", "--client", "--output=json"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return int(json.loads(told)["clientVersion"]["minor"].rstrip("+"))


if _kubectl_minor() < OLDEST_KUBECTL:
    pytest.skip(
        f"The manifests are not checked: that needs kubectl 1.{OLDEST_KUBECTL} or later, which Debian 12 "
        "doesn't have; see https://kubernetes.io/docs/tasks/tools/.",
        allow_module_level=True,
    )


@cache
def built(overlay: str) -> tuple[Manifest, ...]:
    """Return what kustomize makes of an overlay."""
    command = ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert not made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def containers(manifest: Manifest) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield every pod specification in a manifest with each of its containers."""
    spec = manifest.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    pod = spec.get("template", {}).get("spec") or spec.get("predictor")
    for container in (*(pod or {}).get("initContainers", []), *(pod or {}).get("containers", [])):
        yield pod, container


def service_of(container: Manifest) -> str | None:
    """Return the service that a container's image is, or None for another program's."""
    return IMAGES.get(container["image"].rpartition("/")[2].partition(":")[0])


def find(overlay: str, kind: str, name: str) -> Manifest:
    """Return the one manifest of that kind and name."""
    (found,) = [m for m in built(overlay) if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid(overlay: str) -> None:
    """Against the schemas of the oldest and the newest release that are packed, unknown fields refused."""
    for manifest in built(overlay):
        if manifest["kind"] in CUSTOM:
            continue
        for version in ("1.30", "1.37"):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_kserves_predictor_is_a_pod_and_how_it_scales() -> None:
    """Every field is a pod's, by Kubernetes' schema, or one of the few that KServe adds."""
    spec = find("kserve", "InferenceService", "toxic-comments")["spec"]
    assert set(spec) == {"predictor"}
    pod = {name: value for name, value in spec["predictor"].items() if name not in OF_A_COMPONENT}
    added = {name: value for name, value in spec["predictor"].items() if name in OF_A_COMPONENT}
    assert all(isinstance(value, OF_A_COMPONENT[name]) for name, value in added.items())
    assert added["scaleMetric"] in {"cpu", "memory", "concurrency", "rps"}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": pod}
    kubernetes_validate.validate(manifest, "1.37", strict=True)
    pod["replicas"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


@pytest.fixture(scope="module")
def operator_types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Prometheus operator's kinds as TypeScript knows them, and its compiler."""
    folder = tmp_path_factory.mktemp("operators")
    for source in ("package.json", "package-lock.json"):
        shutil.copy(OPERATORS / source, folder)
    npm = shutil.which("npm")
    assert npm is not None, "This test needs npm (Debian: apt-get install nodejs npm)."
    command = [npm, "ci", "--no-audit", "--no-fund"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder


def complaints(manifest: Manifest, types: Path) -> str:
    """Return the faults of a manifest by the compiler, which has every field, and by the kind's schema."""
    kind, text = manifest["kind"], json.dumps(manifest)
    module = f"@kubernetes-models/prometheus-operator/{manifest['apiVersion']}/{kind}"
    source = f"import {{I{kind}}} from '{module}';\nexport const manifest: I{kind} = {text};\n"
    (types / "manifest.ts").write_text(source, encoding="utf-8")
    script = f"import {{{kind}}} from '{module}'; new {kind}({text}).validate();"
    (types / "manifest.mjs").write_text(script, encoding="utf-8")
    compiler = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"]
    said = ""
    for command in ([*compiler, "manifest.ts"], ["node", "manifest.mjs"]):
        done = subprocess.run(command, cwd=types, capture_output=True, text=True, check=False)
        said += done.stdout + done.stderr
    return said


@pytest.mark.server
def test_the_operators_kinds_are_whole(operator_types: Path) -> None:
    """No field that the Prometheus operator doesn't know, none missing, and durations in its form."""
    for kind in ("AlertmanagerConfig", "PrometheusRule", "ServiceMonitor"):
        assert complaints(find("production", kind, "toxic-comments"), operator_types) == ""
    monitor = find("production", "ServiceMonitor", "toxic-comments")
    endpoint = monitor["spec"]["endpoints"][0]
    for change, complaint in (
        ({"intervall": "15s"}, "'\"intervall\"' does not exist"),
        ({"interval": "15 seconds"}, "must match pattern"),
    ):
        spec = monitor["spec"] | {"endpoints": [endpoint | change]}
        assert complaint in complaints(monitor | {"spec": spec}, operator_types)


def test_a_field_that_doesnt_exist_is_found() -> None:
    """The check above can fail."""
    manifest = json.loads(json.dumps(find("production", "Deployment", "inference")))
    manifest["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting(overlay: str) -> None:
    """A misspelt environment variable would be ignored without a word."""
    known = {
        f"{name.upper()}_{field.upper()}"
        for name, settings in SERVICES.items()
        for field in settings.model_fields
    }
    for manifest in built(overlay):
        for _, container in containers(manifest):
            names = {variable["name"] for variable in container.get("env", [])}
            if container["name"] == "postgres":
                assert names == {"POSTGRES_USER", "LANG", "PGDATA"} | DATABASE
            elif container["name"] == "backup":
                assert names == {"PGHOST", "PGUSER", "PGPASSWORD", "BACKUPS_KEPT"}
            else:
                assert service_of(container)
                assert names <= known | FROM_ELSEWHERE, names - known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_address_of_a_service_is_read_as_a_setting(overlay: str) -> None:
    """Kubernetes sets INFERENCE_PORT=tcp://… for the Service `inference`, and the pod would not start."""
    pods = [(pod, container) for manifest in built(overlay) for pod, container in containers(manifest)]
    assert {pod.get("enableServiceLinks") for pod, container in pods if service_of(container)} == {False}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_the_services_own(name: str) -> None:
    """Its default port, and gRPC's, are those of its container, its Service and its policy."""
    ports = [SERVICES[name].model_fields["port"].default, *([8500] if name == "inference" else [])]
    for overlay in ("local", "production"):
        ((_, container),) = containers(find(overlay, "Deployment", name))
        assert [opened["containerPort"] for opened in container["ports"]] == ports
        assert [opened["port"] for opened in find(overlay, "Service", name)["spec"]["ports"]] == ports
        (rule,) = find(overlay, "NetworkPolicy", name)["spec"]["ingress"]
        assert rule["ports"] == [{"port": port} for port in ports]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_container_has_more_rights_than_it_needs(overlay: str) -> None:
    """No root, no privileges to gain, no token of the cluster, and a limit of memory."""
    seen = 0
    for manifest in built(overlay):
        for pod, container in containers(manifest):
            seen += 1
            context = pod.get("securityContext", {}) | container["securityContext"]
            assert context["runAsNonRoot"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            if manifest["kind"] != "InferenceService":
                assert pod["automountServiceAccountToken"] is False
    assert seen


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.hostile(25)
def test_replicas_have_one_owner_of_jobs(overlay: str) -> None:
    """Whatever scales forwards jobs to it; it owns them, on a volume, and may be reached."""
    address = "http://inference-jobs:8001"
    for manifest in built(overlay):
        for _, container in containers(manifest):
            if service_of(container) == "inference":
                settings = {each["name"]: each.get("value") for each in container["env"]}
                owner = manifest["metadata"]["name"] == "inference-jobs"
                assert settings.get("INFERENCE_JOBS_URL") == (None if owner else address)
    if overlay == "kserve":
        return
    stateful = find(overlay, "StatefulSet", "inference-jobs")["spec"]
    assert stateful["replicas"] == 1
    (claim,) = stateful["volumeClaimTemplates"]
    ((_, container),) = containers(find(overlay, "StatefulSet", "inference-jobs"))
    assert {"name": claim["metadata"]["name"], "mountPath": "/var/lib/toxic"} in container["volumeMounts"]
    rules = find(overlay, "NetworkPolicy", "inference")["spec"]["egress"]
    (rule,) = [rule for rule in rules if rule["ports"] == [{"port": 8001}]]
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "inference-jobs"}}}]


def secrets_of(container: Manifest) -> set[str]:
    """Return the keys of secrets that a container's variables read."""
    sources = [each.get("valueFrom", {}).get("secretKeyRef", {}) for each in container.get("env", [])]
    return {source["key"] for source in sources if source}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.hostile(28)
def test_a_pod_has_the_passwords_of_its_service_only(overlay: str) -> None:
    """Inference's opens its own role of the database, and signs in to the registry as a reader."""
    for manifest in built(overlay):
        for _, container in containers(manifest):
            if service_of(container) == "inference":
                assert secrets_of(container) <= {"INFERENCE_DB_PASSWORD", "REGISTRY_INFERENCE_PASSWORD"}
            elif service_of(container) == "training":
                assert secrets_of(container) <= {
                    "REGISTRY_TRAINING_PASSWORD",
                    "ALERT_TOKEN",
                    "TRAINING_TOKEN",
                }
            elif container["name"] == "registry":
                bucket = {"STORAGE_ACCESS_KEY", "STORAGE_SECRET_KEY"} if overlay == "production" else set()
                assert secrets_of(container) == {"POSTGRES_PASSWORD", "EVENT_SECRET"} | PASSWORDS | bucket
                (users,) = [each["value"] for each in container["env"] if each["name"] == "REGISTRY_USERS"]
                roles = {name: user.role.name.lower() for name, user in parse_users(users).items()}
                assert roles == {"admin": "override", "training": "writer", "inference": "reader"}


@pytest.mark.parametrize("overlay", ["kserve", "production"])
def test_keys_and_signatures_are_needed(overlay: str) -> None:
    """Each file that a setting names is mounted from a secret or a ConfigMap."""
    named = 0
    for manifest in built(overlay):
        for pod, container in containers(manifest):
            mounts = {each["mountPath"]: each["name"] for each in container.get("volumeMounts", [])}
            volumes = pod.get("volumes", [])
            fixed = {each["name"] for each in volumes if {"secret", "configMap"} & each.keys()}
            for variable in container.get("env", []):
                assert variable["name"] != "INFERENCE_ALLOW_UNAUTHENTICATED"
                if str(variable.get("value", "")).startswith("/etc/toxic/"):
                    assert mounts["/etc/toxic"] in fixed
                    named += 1
    assert named == (1 if overlay == "kserve" else 5)


def test_the_autoscaler_asks_for_a_figure_that_there_is() -> None:
    """Its name is the adapter's, and the adapter's rule is made of metrics that the service has."""
    (metric,) = find("production", "HorizontalPodAutoscaler", "inference")["spec"]["metrics"]
    (rule,) = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert "toxic_inference_queue_wait_seconds" in {spec.name for spec in SPECS.values()}
    assert rule["metricsQuery"].count("toxic_inference_queue_wait_seconds_") == 2


def test_the_operators_kinds_name_what_there_is() -> None:
    """The monitor finds the Services' ports; KServe's predictor has production's image and port."""
    monitor = find("production", "ServiceMonitor", "toxic-comments")["spec"]
    (endpoint,) = monitor["endpoints"]
    (selected,) = monitor["selector"]["matchExpressions"]
    for name in selected["values"]:
        service = find("production", "Service", name)
        assert service["metadata"]["labels"][selected["key"]] == name
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ((_, predictor),) = containers(find("kserve", "InferenceService", "toxic-comments"))
    ((_, deployed),) = containers(find("production", "Deployment", "inference"))
    assert predictor["image"] == deployed["image"]
    assert predictor["ports"][0]["containerPort"] == deployed["ports"][0]["containerPort"]


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_selectors_find_their_pods(overlay: str) -> None:
    """Every Service, budget and policy selects pods that some manifest makes."""
    pods = []
    for manifest in built(overlay):
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            pods.append(spec["template"]["metadata"]["labels"])
    for manifest in built(overlay):
        spec = manifest.get("spec", {})
        selectors = {
            "Service": spec.get("selector"),
            "PodDisruptionBudget": spec.get("selector", {}).get("matchLabels"),
            "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels"),
        }
        wanted = selectors.get(manifest["kind"])
        assert wanted is None or any(wanted.items() <= labels.items() for labels in pods), manifest[
            "metadata"
        ]


@pytest.mark.parametrize("name", ["inference", "postgres", "registry"])
def test_manifests_and_compose_run_the_same(name: str) -> None:
    """Image, port and the names of the variables that both set; Kubernetes' own values are in the test."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    kind = "StatefulSet" if name == "postgres" else "Deployment"
    ((_, container),) = containers(find("local", kind, name))
    assert container["image"] == compose[name]["image"]
    published = [str(port).rpartition(":")[2] for port in compose[name].get("ports", ["5432"])]
    assert published == [str(port["containerPort"]) for port in container["ports"]]
    ours = {variable["name"] for variable in container["env"]}
    # Those without a value only pass through what .env sets. Secrets are files, which a variable may name.
    theirs = {
        key
        for key, value in compose[name]["environment"].items()
        if value is not None and not str(value).startswith("/run/secrets/")
    }
    theirs |= {secret if isinstance(secret, str) else secret["target"] for secret in compose[name]["secrets"]}
    own = {
        "inference": {
            *("INFERENCE_DB_PASSWORD", "INFERENCE_FEEDBACK_URL", "INFERENCE_COMPUTE_THREADS"),
            *("INFERENCE_JOBS_URL", "INFERENCE_ALLOW_UNAUTHENTICATED"),
        },
        "postgres": {"PGDATA", "INFERENCE_DB_PASSWORD"},
        "registry": {"POSTGRES_PASSWORD", "POD_IP"} | PASSWORDS,
    }
    left_out = {
        # Replicas poll; a signed message would reach one of them.
        "inference": {
            *("INFERENCE_EVENT_SECRET", "TOXIC_BIND"),
            *(key for key in theirs if key.startswith("OTEL_")),
        },
        "postgres": set(),
        "registry": {
            "REGISTRY_EVENT_URLS",
            "REGISTRY_GATE_FILE",
            "REGISTRY_PROMETHEUS_URL",
            "REGISTRY_TRUSTED_KEYS_FILE",
        },
    }
    assert ours - theirs <= own[name]
    assert theirs - ours == left_out[name]


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_a_fresh_cluster_gets_a_namespace_and_a_champion(overlay: str) -> None:
    """A job registers the shipped model and promotes it, unless there is a champion."""
    namespace = find(overlay, "Namespace", "toxic-comments")
    named = {
        manifest["metadata"].get("namespace") for manifest in built(overlay) if manifest is not namespace
    }
    assert named == {"toxic-comments"}
    job = find(overlay, "Job", "registration")
    steps = {container["name"]: " ".join(container["command"]) for _, container in containers(job)}
    assert list(steps) == ["find", "register", "promote"]
    assert "champion-at" in steps["find"]
    assert "toxic_training run --pipelines baseline" in steps["register"]
    assert "toxic-registry promote challenger" in steps["promote"]
    for name in ("register", "promote"):
        assert steps[name].startswith("sh -euc [ ! -e /share/needed ] ||")


@pytest.mark.parametrize("overlay", ["local", "production"])
def test_the_registry_answers_a_scrape_by_its_pods_address(overlay: str) -> None:
    """Prometheus names the address in `Host`, which the registry checks."""
    ((_, container),) = containers(find(overlay, "Deployment", "registry"))
    variables = {each["name"]: each for each in container["env"]}
    address = variables["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert address == "status.podIP"
    hosts = variables["REGISTRY_ALLOWED_HOSTS"]["value"].replace("$(POD_IP)", "10.1.2.3")
    assert "10.1.2.3:5000" in RegistrySettings(allowed_hosts=hosts).host_headers
    assert list(variables).index("POD_IP") < list(variables).index("REGISTRY_ALLOWED_HOSTS")


def test_the_clusters_rules_are_those_of_the_stack() -> None:
    """`make manifests` was run after the last change; alerts name the namespace, by which they are routed."""
    command = [sys.executable, str(KUBERNETES / "make-rules.py")]
    written = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert (KUBERNETES / "monitoring" / "rules.yaml").read_text() == written, "run `make manifests`"
    groups = find("production", "PrometheusRule", "toxic-comments")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert {alert["labels"]["namespace"] for alert in alerts} == {"toxic-comments"}


def test_dashboards_are_config_maps_that_grafana_finds() -> None:
    """One per dashboard, with its file, the sidecar's label, and less than a config map may have."""
    maps = [m for m in built("production") if m["metadata"].get("labels", {}).get("grafana_dashboard")]
    files = {name: text for each in maps for name, text in each["data"].items()}
    folder = ROOT / "infra" / "grafana" / "dashboards"
    assert files == {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    assert max(len(text.encode()) for text in files.values()) < 1024 * 1024


def test_alerts_reach_the_training_server() -> None:
    """The cluster's Alertmanager has its address and the token that it compares, as in Compose."""
    (receiver,) = find("production", "AlertmanagerConfig", "toxic-comments")["spec"]["receivers"]
    (hook,) = receiver["webhookConfigs"]
    (port,) = find("production", "Service", "training")["spec"]["ports"]
    assert hook["url"] == f"http://training.toxic-comments.svc:{port['port']}/alerts"
    credentials = hook["httpConfig"]["authorization"]["credentials"]
    ((_, container),) = containers(find("production", "Deployment", "training"))
    (token,) = [each for each in container["env"] if each["name"] == "TRAINING_ALERT_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"] == credentials
    (ours,) = yaml.safe_load((ROOT / "infra/alertmanager/alertmanager.yml").read_text())["route"]["routes"][
        :1
    ]
    route = find("production", "AlertmanagerConfig", "toxic-comments")["spec"]["route"]
    assert (route["repeatInterval"], route["groupBy"]) == (ours["repeat_interval"], ours["group_by"])
    rules = find("production", "NetworkPolicy", "training")["spec"]["ingress"]
    assert any("namespaceSelector" in peer for rule in rules for peer in rule["from"])


def test_kserves_pods_are_reached_and_reach_what_they_need() -> None:
    """Their own policy adds to `closed`, which selects them too; corrections go to the shared database."""
    labels = find("kserve", "InferenceService", "toxic-comments")["metadata"]["labels"]
    closed = find("production", "NetworkPolicy", "closed")["spec"]["podSelector"]["matchLabels"]
    assert closed.items() <= labels.items()
    policy = find("kserve", "NetworkPolicy", "kserve")["spec"]
    pods = {"serving.kserve.io/inferenceservice": "toxic-comments"}
    assert policy["podSelector"]["matchLabels"] == pods
    assert policy["ingress"] == [{}]
    reached = {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: rule["ports"]
        for rule in policy["egress"]
        for peer in rule["to"]
        if "podSelector" in peer
    }
    assert reached == {
        "registry": [{"port": 5000}],
        "postgres": [{"port": 5432}],
        "inference-jobs": [{"port": 8001}],
    }
    for name in reached:
        peers = [
            peer
            for rule in find("production", "NetworkPolicy", name)["spec"]["ingress"]
            for peer in rule["from"]
        ]
        assert {"podSelector": {"matchLabels": pods}} in peers
    ((_, container),) = containers(find("kserve", "InferenceService", "toxic-comments"))
    assert "INFERENCE_FEEDBACK_URL" in {each["name"] for each in container["env"]}


def test_artifacts_are_in_object_storage() -> None:
    """The production registry has a bucket, the client for it, and a way there."""
    ((_, container),) = containers(find("production", "Deployment", "registry"))
    values = {each["name"]: each.get("value", "") for each in container["env"]}
    assert values["REGISTRY_ARTIFACTS_DESTINATION"].startswith("s3://")
    assert "services/registry:image" in (ROOT / "Dockerfile").read_text()
    policy = find("production", "NetworkPolicy", "object-storage")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "registry"}
    assert policy["egress"][0]["ports"] == [{"port": 443}]
    assert not [each for each in built("local") if each["metadata"]["name"] == "object-storage"]


def test_inference_is_spread_and_keeps_its_replicas() -> None:
    """Over zones and nodes; a drained node takes one replica at a time."""
    spec = find("production", "Deployment", "inference")["spec"]["template"]["spec"]
    keys = [each["topologyKey"] for each in spec["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert find("production", "PodDisruptionBudget", "inference")["spec"]["maxUnavailable"] == 1


def _back_up(folder: Path, tar: str = 'exec /bin/tar "$@"') -> subprocess.CompletedProcess[str]:
    """Run the CronJob's script on files below the folder, with stand-ins for pg_dump and tar."""
    files = folder / "registry"
    (files / "artifacts" / "1").mkdir(parents=True)
    (files / "artifacts" / "1" / "model").write_text("weights")
    (files / "ledger-head.json").write_text("{}")
    tools = folder / "bin"
    tools.mkdir()
    dump = 'for each; do case $each in --file=*) echo dump >"${each#--file=}" ;; esac; done'
    for name, script in {"pg_dump": dump, "tar": tar}.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "REGISTRY_FILES": str(files),
        "BACKUPS": str(folder / "backups"),
        "BACKUPS_KEPT": "7",
    }
    command = ["sh", str(KUBERNETES / "base" / "backup.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_backup_has_the_database_and_the_files_and_old_ones_go(tmp_path: Path) -> None:
    """The ledger's head is left out."""
    job = find("production", "CronJob", "backup")
    ((pod, container),) = containers(job)
    assert container["command"] == ["sh", "/etc/toxic/backup.sh"]
    assert {"name": "artifacts", "persistentVolumeClaim": {"claimName": "registry-artifacts"}} in pod[
        "volumes"
    ]
    backups = tmp_path / "backups"
    for day in range(1, 9):
        (backups / f"2026-01-0{day}T013000Z").mkdir(parents=True)
    done = _back_up(tmp_path)
    assert done.returncode == 0, done.stderr
    kept = sorted(folder.name for folder in backups.iterdir())
    assert len(kept) == 7
    assert kept[0] == "2026-01-03T013000Z"
    newest = backups / kept[-1]
    assert {file.name for file in newest.iterdir()} == {"registry.dump", "artifacts.tar", "SHA256SUMS"}
    with tarfile.open(newest / "artifacts.tar") as archive:
        names = {name.removeprefix("./").rstrip("/") for name in archive.getnames()}
    assert {"artifacts/1/model", "evaluations"} <= names
    assert not [name for name in names if "ledger" in name]


@pytest.mark.parametrize(("status", "kept"), [(1, 1), (2, 0)])
def test_a_backup_accepts_files_that_are_added_meanwhile(tmp_path: Path, status: int, kept: int) -> None:
    """GNU tar ends with 1 for them, and with 2 after an error, which leaves no file behind."""
    done = _back_up(tmp_path, tar=f'/bin/tar "$@"; exit {status}')
    assert (done.returncode == 0) is bool(kept), done.stderr
    assert len([*(tmp_path / "backups").iterdir()]) == kept
