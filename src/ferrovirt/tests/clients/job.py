"""A whole job with the Python client: typed and dynamic, every patch type, watches, custom resources, logs, tokens."""

import datetime
import threading

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException

config.load_kube_config()
core, apps, extensions = client.CoreV1Api(), client.AppsV1Api(), client.ApiextensionsV1Api()
NAMESPACE = "python"


def refused(status, call, *arguments, **options):
    """The error of a call that has to fail."""
    try:
        call(*arguments, **options)
    except (ApiException, dynamic.exceptions.DynamicApiError) as error:
        assert error.status == status, error
        return error
    raise AssertionError(f"{call} worked")


def typed_objects():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
    made = core.create_namespaced_config_map(
        NAMESPACE, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="zoo", labels={"a": "b"}), data={"cat": "tiger"})
    )
    assert isinstance(made.metadata.creation_timestamp, datetime.datetime)
    assert refused(409, core.create_namespaced_config_map, NAMESPACE, {"metadata": {"name": "zoo"}}).reason == "Conflict"
    made.data["cat"] = "lion"
    replaced = core.replace_namespaced_config_map("zoo", NAMESPACE, made)
    assert replaced.data == {"cat": "lion"}
    refused(409, core.replace_namespaced_config_map, "zoo", NAMESPACE, made)
    assert core.read_namespaced_config_map("zoo", NAMESPACE).data == {"cat": "lion"}
    error = refused(404, core.read_namespaced_config_map, "none", NAMESPACE)
    assert '"reason":"NotFound"' in error.body
    refused(422, core.create_namespaced_service, NAMESPACE, {"metadata": {"name": "Bad"}, "spec": {"ports": [{"port": 0}]}})

    for index in range(7):
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": f"page{index}", "labels": {"pages": "yes"}}})
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="pages", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"page{index}" for index in range(7)], names
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="pages")
    assert core.list_namespaced_config_map(NAMESPACE, label_selector="pages").items == []
    assert [item.metadata.name for item in core.list_namespaced_config_map(NAMESPACE, field_selector="metadata.name=zoo").items] == ["zoo"]


def watches():
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "seen"}})
    core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"k": "v"}})
    seen, watcher = [], watch.Watch()
    for event in watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=start, timeout_seconds=60):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "MODIFIED":
            threading.Thread(target=core.delete_namespaced_config_map, args=("seen", NAMESPACE)).start()
        if event["type"] == "DELETED":
            watcher.stop()
    assert seen == [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")], seen


def patches(api):
    maps = api.resources.get(api_version="v1", kind="ConfigMap")
    deployments = api.resources.get(api_version="apps/v1", kind="Deployment")

    def patch(kind, of=maps, name="zoo", **options):
        def call(body):
            return of.patch(body=body, name=name, namespace=NAMESPACE, content_type=f"application/{kind}-patch+json", **options)

        return call

    assert patch("json")([{"op": "add", "path": "/data/dog", "value": "wolf"}]).data.to_dict() == {"cat": "lion", "dog": "wolf"}
    refused(422, patch("json"), [{"op": "test", "path": "/data/dog", "value": "cat"}])
    assert patch("merge")({"data": {"dog": None}}).data.to_dict() == {"cat": "lion"}
    assert patch("strategic-merge")({"metadata": {"labels": {"c": "d"}}}).metadata.labels.to_dict() == {"a": "b", "c": "d"}

    container = {"name": "one", "image": "registry.example/one"}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    deployments.create(body={**body, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}}, namespace=NAMESPACE)
    second = {"spec": {"template": {"spec": {"containers": [{"name": "two", "image": "registry.example/two"}]}}}}
    merged = patch("strategic-merge", deployments, "web")(second)
    assert [each.name for each in merged.spec.template.spec.containers] == ["two", "one"]
    replaced = patch("merge", deployments, "web", dry_run="All")(second)
    assert [each.name for each in replaced.spec.template.spec.containers] == ["two"]

    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "zoo"}, "data": {"cat": "puma"}}
    conflict = refused(409, maps.server_side_apply, body=wanted, name="zoo", namespace=NAMESPACE, field_manager="python")
    assert ".data.cat" in str(conflict.body)
    applied = maps.server_side_apply(body=wanted, name="zoo", namespace=NAMESPACE, field_manager="python", force_conflicts=True)
    assert applied.data.cat == "puma"
    owners = [entry.manager for entry in applied.metadata.managedFields if entry.operation == "Apply"]
    assert owners == ["python"], owners


def custom_resources(api):
    names = {"plural": "toys", "singular": "toy", "kind": "Toy", "shortNames": ["ty"]}
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": {"type": "integer", "default": 1, "maximum": 9}},
                "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size", "message": "toys do not shrink"}],
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}
    definition = {"metadata": {"name": "toys.python.example.dev"}, "spec": {"group": "python.example.dev", "scope": "Namespaced", "names": names, "versions": [version]}}
    extensions.create_custom_resource_definition(definition)
    stream = watch.Watch().stream(
        extensions.list_custom_resource_definition, field_selector="metadata.name=toys.python.example.dev", timeout_seconds=60
    )
    for event in stream:
        if any(each.type == "Established" and each.status == "True" for each in event["object"].status.conditions or []):
            break
    api.resources.invalidate_cache()
    toys = api.resources.get(api_version="python.example.dev/v1", kind="Toy")
    toy = {"apiVersion": "python.example.dev/v1", "kind": "Toy", "metadata": {"name": "ball"}, "spec": {"color": "red"}}
    made = toys.create(body=toy, namespace=NAMESPACE)
    assert made.spec.to_dict() == {"size": 1}, made.spec
    big = {**toy, "metadata": {"name": "big"}, "spec": {"size": 10}}
    assert b"should be less than or equal to 9" in refused(422, toys.create, body=big, namespace=NAMESPACE).body
    toys.patch(body={"spec": {"size": 5}}, name="ball", namespace=NAMESPACE, content_type="application/merge-patch+json")
    shrunk = refused(422, toys.patch, body={"spec": {"size": 2}}, name="ball", namespace=NAMESPACE, content_type="application/merge-patch+json")
    assert b"toys do not shrink" in shrunk.body
    toys.status.patch(body={"status": {"shine": "bright"}}, name="ball", namespace=NAMESPACE, content_type="application/merge-patch+json")
    custom = client.CustomObjectsApi()
    ball = custom.get_namespaced_custom_object("python.example.dev", "v1", NAMESPACE, "toys", "ball")
    assert ball["spec"] == {"size": 5} and ball["status"] == {"shine": "bright"}, ball
    for event in toys.watch(namespace=NAMESPACE, timeout=60):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "ball")
        break
    toys.delete(name="ball", namespace=NAMESPACE)
    extensions.delete_custom_resource_definition("toys.python.example.dev")


def running_pods():
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone"}, "spec": {"containers": [{"name": "c", "image": "registry.example/c"}]}}
    utils.create_from_dict(client.ApiClient(), manifest, namespace=NAMESPACE)
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=lone", timeout_seconds=60):
        if event["object"].status.phase == "Running":
            watcher.stop()
    assert isinstance(core.read_namespaced_pod_log("lone", NAMESPACE), str)
    assert isinstance(core.read_namespaced_pod_log("lone", NAMESPACE, tail_lines=1, timestamps=True), str)
    refused(400, core.read_namespaced_pod_log, "lone", NAMESPACE, container="other")
    core.create_namespaced_pod_eviction("lone", NAMESPACE, client.V1Eviction(metadata=client.V1ObjectMeta(name="lone")))
    scale = apps.read_namespaced_deployment_scale("web", NAMESPACE)
    scale.spec.replicas = 0
    assert not apps.replace_namespaced_deployment_scale("web", NAMESPACE, scale).spec.replicas


def identities():
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "robot"}})
    token = core.create_namespaced_service_account_token(
        "robot", NAMESPACE, client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=3600))
    ).status.token
    settings = client.Configuration.get_default_copy()
    settings.cert_file = settings.key_file = None
    settings.api_key, settings.api_key_prefix = {"authorization": token}, {"authorization": "Bearer"}
    robot = client.ApiClient(settings)
    who = client.AuthenticationV1Api(robot).create_self_subject_review({})
    assert who.status.user_info.username == f"system:serviceaccount:{NAMESPACE}:robot"
    refused(403, client.CoreV1Api(robot).list_namespaced_secret, NAMESPACE)
    review = {"spec": {"user": "amy", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
    assert client.AuthorizationV1Api().create_subject_access_review(review).status.allowed is False


def everything_goes():
    core.delete_namespace(NAMESPACE)
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespace, field_selector=f"metadata.name={NAMESPACE}", timeout_seconds=60):
        if event["type"] == "DELETED":
            watcher.stop()
    refused(404, core.read_namespace, NAMESPACE)


typed_objects()
watches()
api = dynamic.DynamicClient(client.ApiClient())
patches(api)
custom_resources(api)
running_pods()
identities()
everything_goes()
print("all done")
