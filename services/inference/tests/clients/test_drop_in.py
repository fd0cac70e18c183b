"""infra/perspective-drop-in, in front of the service, for a client that has Google's host built in."""

import json
from pathlib import Path

import kubernetes_validate
import yaml

from toxic_testing.inference.drop_in import HOST, RECIPE, DropIn

ANALYZE = f"https://{HOST}/v1alpha1/comments:analyze?key=any"
BODY = json.dumps({"comment": {"text": "Have a lovely day."}, "requestedAttributes": {"TOXICITY": {}}})


def test_a_client_with_google_s_address_reaches_the_service(drop_in: DropIn) -> None:
    """curl, which trusts what the system trusts, gets a score."""
    answered = drop_in.run(["curl", "-sS", ANALYZE, "-H", "content-type: application/json", "-d", BODY])
    assert "TOXICITY" in json.loads(answered.stdout)["attributeScores"], answered.stderr


def test_the_discovery_document_names_the_host_with_tls(drop_in: DropIn) -> None:
    """A client that follows it stays with the proxy."""
    found = drop_in.run(["curl", "-sS", f"https://{HOST}/$discovery/rest?version=v1alpha1"])
    assert json.loads(found.stdout)["rootUrl"] == f"https://{HOST}/"


def test_a_client_that_does_not_trust_the_authority_refuses(drop_in: DropIn, tmp_path: Path) -> None:
    """The certificate isn't accepted by luck."""
    (tmp_path / "none.crt").touch()
    refused = drop_in.run(["curl", "-sS", "--cacert", str(tmp_path / "none.crt"), ANALYZE])
    assert refused.returncode in {60, 77}


def test_no_other_address_of_the_host_is_found(drop_in: DropIn) -> None:
    """A name server that were asked for its IPv6 address would lead clients to Google."""
    lookup = "import socket, sys; print({each[4][0] for each in socket.getaddrinfo(sys.argv[1], 443)})"
    assert drop_in.run(["python3", "-c", lookup, HOST]).stdout.strip() == "{'127.0.0.1'}"
    assert f"local=/{HOST}/" in (RECIPE / "dnsmasq.conf").read_text(encoding="utf-8").splitlines()


def test_the_authority_signs_for_no_other_host(drop_in: DropIn) -> None:
    """Who steals it can't imitate other sites to the clients that trust it."""
    constraints = ["openssl", "x509", "-noout", "-ext", "nameConstraints", "-in"]
    shown = drop_in.run([*constraints, str(drop_in.certificates / "ca.crt")]).stdout
    assert [line.strip() for line in shown.splitlines()][1:] == ["Permitted:", f"DNS:{HOST}"]


def test_the_manifests_are_valid_and_fit_one_another() -> None:
    """Kubernetes' schemas accept them; the Service finds the pods, which have the generated files."""
    manifests = list(yaml.safe_load_all((RECIPE / "kubernetes.yaml").read_text(encoding="utf-8")))
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.33", strict=True)
    service, deployment, policy = manifests
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"] == labels
    made = yaml.safe_load((RECIPE / "kustomization.yaml").read_text(encoding="utf-8"))
    names = {each["name"] for kind in ("configMapGenerator", "secretGenerator") for each in made[kind]}
    assert names == {"perspective"}


def test_the_compose_file_extends_the_stack() -> None:
    """It names networks and services of the stack, and files of the recipe."""
    stack = yaml.safe_load((RECIPE.parents[1] / "docker-compose.yml").read_text(encoding="utf-8"))
    ours = yaml.safe_load((RECIPE / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert ours.keys() - stack["services"].keys() == {"perspective", "dns"}
    assert {name for each in ours.values() for name in each.get("networks", ())} <= stack["networks"].keys()
    assert ours["perspective"]["networks"]["inside"]["aliases"] == [HOST]
