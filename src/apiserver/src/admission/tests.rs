//! The chain on objects, with webhooks at the end of in-memory connections.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Attributes, Chain, Operation};
use crate::auth::{Authorizer, UserInfo};
use crate::error::ApiError;
use crate::resource::{Gvk, Gvr, Registry};
use crate::serve::testing::{Handler, Network, put};
use crate::store::Store;

const HOOKS: &str = "admissionregistration.k8s.io";

struct Cluster {
    network: Network,
    store: Store,
    chain: Chain,
    /// Requests that webhooks got.
    seen: Arc<Mutex<Vec<Value>>>,
}

fn cluster() -> Cluster {
    let network = Network::new();
    let store = Store::new();
    let env = network.env();
    put(&store, "", "namespaces", json!({"metadata": {"name": "n", "labels": {"hooked": "yes"}}}));
    put(&store, "", "serviceaccounts", json!({"metadata": {"name": "default", "namespace": "n"}}));
    let registry = Registry::new(crate::builtin::catalog());
    let chain = Chain::new(env, store.clone(), registry, Authorizer::new(store.clone()));
    Cluster { network, store, chain, seen: Arc::default() }
}

impl Cluster {
    /// A webhook server at Service `n/hook`; `answer` makes the response from the request of the review.
    fn hook(&self, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) {
        let handler = self.handler(answer);
        self.network.serve_service(&self.store, "n", "hook", handler);
    }

    fn handler(&self, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Handler {
        let (seen, answer) = (self.seen.clone(), Arc::new(answer));
        Arc::new(move |request: Request<Incoming>| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let review: Value = serde_json::from_slice(&body).unwrap();
                let mut response = answer(&review["request"]);
                response["uid"] = review["request"]["uid"].clone();
                seen.lock().unwrap().push(review["request"].clone());
                let reply = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
                Response::new(Full::new(Bytes::from(reply.to_string())))
            }
            .boxed()
        })
    }

    /// A configuration with one webhook `w.example.dev` that takes ConfigMaps, with `more` on top.
    fn configure(&self, kind: &str, name: &str, more: &Value) {
        let mut hook = json!({
            "name": format!("{name}.example.dev"),
            "clientConfig": {"service": {"namespace": "n", "name": "hook", "path": "/x", "port": 443}, "caBundle": self.network.bundle()},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"], "scope": "*"}],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        });
        for (key, value) in more.as_object().unwrap() {
            hook[key] = value.clone();
        }
        let resource = format!("{kind}webhookconfigurations");
        put(&self.store, HOOKS, &resource, json!({"metadata": {"name": name}, "webhooks": [hook]}));
    }

    async fn create(&self, kind: &str, resource: &str, object: Value) -> Result<(Value, Vec<String>), ApiError> {
        self.admit(create(kind, resource, object)).await
    }

    async fn admit(&self, mut attributes: Attributes) -> Result<(Value, Vec<String>), ApiError> {
        let mut warnings = self.chain.mutate(&mut attributes).await?;
        warnings.extend(self.chain.validate(&attributes).await?);
        Ok((attributes.object.unwrap_or_default(), warnings))
    }
}

fn create(kind: &str, resource: &str, mut object: Value) -> Attributes {
    object["apiVersion"] = "v1".into();
    object["kind"] = kind.into();
    let name = crate::object::name(&object).to_owned();
    Attributes::new(
        UserInfo::new("amy", &["system:authenticated"]),
        Operation::Create,
        Gvk::new("", "v1", kind),
        Gvr::new("", "v1", resource),
        String::new(),
        "n".into(),
        name,
        Some(object),
        None,
        json!({}),
        false,
    )
}

fn config_map() -> Value {
    json!({"metadata": {"name": "c", "namespace": "n", "labels": {"app": "x"}}, "data": {"a": "1"}})
}

fn patch(operations: &Value) -> Value {
    json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string())})
}

#[tokio::test(start_paused = true)]
async fn a_mutating_webhook_changes_the_object_and_warns() {
    let cluster = cluster();
    cluster.hook(|_| {
        let mut answer = patch(&json!([{"op": "add", "path": "/data/b", "value": "2"}]));
        answer["warnings"] = json!(["mind the gap"]);
        answer
    });
    cluster.configure("mutating", "w", &json!({}));
    let (object, warnings) = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    assert_eq!(object["data"], json!({"a": "1", "b": "2"}));
    assert_eq!(warnings, ["mind the gap"]);
    let seen = cluster.seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["userInfo"], json!({"username": "amy", "groups": ["system:authenticated"]}));
    assert_eq!(seen[0]["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!((&seen[0]["operation"], &seen[0]["dryRun"], &seen[0]["oldObject"]), (&json!("CREATE"), &json!(false), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_the_next_review() {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": true}));
    cluster.configure("validating", "w", &json!({}));
    for _ in 0..5 {
        cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    }
    assert_eq!(cluster.seen.lock().unwrap().len(), 5);
    assert_eq!(cluster.network.dials.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_was_restarted_is_asked_again() {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": true}));
    cluster.configure("validating", "w", &json!({}));
    cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    cluster.network.cut();
    cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    assert_eq!(cluster.network.dials.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_carries_the_webhooks_status() {
    let cluster = cluster();
    cluster.hook(|_| {
        let causes = json!([{"reason": "FieldValueInvalid", "message": "bad", "field": "spec.x"}]);
        json!({"allowed": false, "status": {"message": "no", "reason": "Invalid", "code": 422, "details": {"causes": causes}}})
    });
    cluster.configure("validating", "w", &json!({}));
    let error = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err();
    assert_eq!(error.message, "admission webhook \"w.example.dev\" denied the request: no");
    assert_eq!((error.code, error.reason), (422, "Invalid"));
    assert_eq!(error.details.unwrap().causes[0].field, "spec.x");
}

#[rstest]
#[case::refused(json!({"clientConfig": {"url": "https://127.0.0.1:1/x"}, "timeoutSeconds": 1}),
    "Post \"https://127.0.0.1:1/x?timeout=1s\": dial tcp 127.0.0.1:1: connect: connection refused")]
#[case::no_service(json!({"clientConfig": {"service": {"name": "nosvc", "namespace": "n"}}}),
    "Post \"https://nosvc.n.svc:443/?timeout=5s\": service \"nosvc\" not found")]
#[case::no_port(json!({"clientConfig": {"service": {"name": "hook", "namespace": "n", "port": 8443}}}),
    "Post \"https://hook.n.svc:8443/?timeout=5s\": no service port 8443 found for service \"hook\"")]
#[case::untrusted(json!({"clientConfig": {"service": {"name": "hook", "namespace": "n"}}}),
    "Post \"https://hook.n.svc:443/?timeout=5s\": tls: failed to verify certificate: x509: certificate signed by unknown authority")]
#[tokio::test(start_paused = true)]
async fn a_webhook_that_cannot_be_reached(#[case] more: Value, #[case] why: &str) {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": true}));
    cluster.configure("validating", "w", &more);
    let error = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err();
    assert_eq!(error.message, format!("Internal error occurred: failed calling webhook \"w.example.dev\": failed to call webhook: {why}"));
    assert_eq!((error.code, error.reason), (500, "InternalError"));
    let mut open = more.clone();
    open["failurePolicy"] = "Ignore".into();
    cluster.configure("validating", "w", &open);
    cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_hosts_certificate_is_refused() {
    let cluster = cluster();
    cluster.network.serve_host("a.test", "b.test", cluster.handler(|_| json!({"allowed": true})));
    cluster.configure("validating", "w", &json!({"clientConfig": {"url": "https://a.test/x", "caBundle": cluster.network.bundle()}}));
    let error = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err();
    assert!(error.message.ends_with("tls: failed to verify certificate: x509: certificate is not valid for a.test"), "{error}");
    assert!(cluster.seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_webhook_costs_its_timeout_and_no_more() {
    let cluster = cluster();
    let silent: Handler = Arc::new(|_| futures::future::pending().boxed());
    cluster.network.serve_service(&cluster.store, "n", "hook", silent);
    cluster.configure("validating", "w", &json!({"timeoutSeconds": 7}));
    let start = tokio::time::Instant::now();
    let error = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err();
    assert!(error.message.ends_with("Post \"https://hook.n.svc:443/x?timeout=7s\": context deadline exceeded"), "{error}");
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn status_codes_and_nonsense_are_failures() {
    let cluster = cluster();
    let broken: Handler = Arc::new(|_| async { Response::builder().status(500).body(Full::new(Bytes::from("boom"))).unwrap() }.boxed());
    cluster.network.serve_service(&cluster.store, "n", "hook", broken);
    cluster.configure("validating", "w", &json!({}));
    let error = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err();
    assert_eq!(
        error.message,
        "Internal error occurred: failed calling webhook \"w.example.dev\": failed to call webhook: an error on the server \
         (\"boom\") has prevented the request from succeeding"
    );
}

#[rstest]
#[case::other_namespace(json!({"namespaceSelector": {"matchLabels": {"hooked": "no"}}}), 0)]
#[case::this_namespace(json!({"namespaceSelector": {"matchLabels": {"hooked": "yes"}}}), 1)]
#[case::other_object(json!({"objectSelector": {"matchLabels": {"app": "y"}}}), 0)]
#[case::this_object(json!({"objectSelector": {"matchLabels": {"app": "x"}}}), 1)]
#[case::other_operation(json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["DELETE"], "resources": ["*"]}]}), 0)]
#[case::everything(json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]}), 1)]
#[case::subresource(json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps/status"]}]}), 0)]
#[case::cluster_scope(json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"], "scope": "Cluster"}]}), 0)]
#[case::condition_false(json!({"matchConditions": [{"name": "c", "expression": "object.metadata.name == 'other'"}]}), 0)]
#[case::condition_true(json!({"matchConditions": [{"name": "c", "expression": "request.userInfo.username == 'amy' && object.data.a == '1'"}]}), 1)]
#[tokio::test(start_paused = true)]
async fn rules_selectors_and_conditions_choose(#[case] more: Value, #[case] calls: usize) {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": true}));
    cluster.configure("validating", "w", &more);
    cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    assert_eq!(cluster.seen.lock().unwrap().len(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_fails_refuses_unless_failures_are_ignored() {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": true}));
    let more = json!({"matchConditions": [{"name": "c", "expression": "object.nope.deep == 1"}]});
    cluster.configure("validating", "w", &more);
    assert_eq!(cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err().code, 403);
    let mut open = more.clone();
    open["failurePolicy"] = "Ignore".into();
    cluster.configure("validating", "w", &open);
    cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    assert!(cluster.seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_refused_by_webhooks_with_side_effects() {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": true}));
    cluster.configure("validating", "w", &json!({"sideEffects": "Some"}));
    let mut attributes = create("ConfigMap", "configmaps", config_map());
    attributes.dry_run = true;
    let error = cluster.admit(attributes).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (400, "admission webhook \"w.example.dev\" does not support dry run"));
    assert!(cluster.seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_earlier_webhook_sees_later_changes_when_it_asks_to() {
    let cluster = cluster();
    // The first webhook counts what it is shown, the second adds a key.
    cluster.hook(|request| {
        if request["object"]["data"]["late"].is_string() {
            patch(&json!([{"op": "add", "path": "/data/reacted", "value": "yes"}]))
        } else {
            json!({"allowed": true})
        }
    });
    let late = cluster.handler(|request| {
        if request["object"]["data"]["late"].is_string() {
            json!({"allowed": true})
        } else {
            patch(&json!([{"op": "add", "path": "/data/late", "value": "1"}]))
        }
    });
    cluster.network.serve_service(&cluster.store, "n", "late", late);
    let second = json!({"clientConfig": {"service": {"namespace": "n", "name": "late"}, "caBundle": cluster.network.bundle()}});
    cluster.configure("mutating", "b", &second);
    cluster.configure("mutating", "a", &json!({"reinvocationPolicy": "Never"}));
    let (object, _) = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    assert_eq!(object["data"], json!({"a": "1", "late": "1"}));
    cluster.configure("mutating", "a", &json!({"reinvocationPolicy": "IfNeeded"}));
    let (object, _) = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap();
    assert_eq!(object["data"], json!({"a": "1", "late": "1", "reacted": "yes"}));
}

#[tokio::test(start_paused = true)]
async fn the_first_refusal_in_order_is_told_whoever_answers_first() {
    let cluster = cluster();
    cluster.hook(|_| json!({"allowed": false, "status": {"message": "mine"}}));
    cluster.configure("validating", "b", &json!({}));
    cluster.configure("validating", "a", &json!({}));
    let error = cluster.create("ConfigMap", "configmaps", config_map()).await.unwrap_err();
    assert_eq!(error.message, "admission webhook \"a.example.dev\" denied the request: mine");
}

#[tokio::test(start_paused = true)]
async fn policies_deny_and_warn() {
    let cluster = cluster();
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]},
        "variables": [{"name": "n", "expression": "has(object.data) ? object.data.size() : 0"}],
        "validations": [
            {"expression": "variables.n <= 1", "messageExpression": "'has ' + string(variables.n) + ' keys'", "reason": "Forbidden"},
            {"expression": "object.metadata.name != 'taken'", "message": "pick another name"},
        ],
    });
    put(&cluster.store, HOOKS, "validatingadmissionpolicies", json!({"metadata": {"name": "vp"}, "spec": spec}));
    let bind = |actions: &[&str]| {
        let binding = json!({"metadata": {"name": "vb"}, "spec": {"policyName": "vp", "validationActions": actions}});
        put(&cluster.store, HOOKS, "validatingadmissionpolicybindings", binding);
    };
    bind(&["Deny"]);
    let secret = |name: &str, data: Value| json!({"metadata": {"name": name, "namespace": "n"}, "data": data});
    let two = json!({"a": "", "b": ""});
    let error = cluster.create("Secret", "secrets", secret("s", two.clone())).await.unwrap_err();
    let text = "ValidatingAdmissionPolicy 'vp' with binding 'vb' denied request: has 2 keys";
    assert_eq!(error.message, format!("secrets \"s\" is forbidden: {text}"));
    assert_eq!((error.code, error.reason), (403, "Forbidden"));
    assert_eq!(error.details.unwrap().causes[0].message, text);
    let error = cluster.create("Secret", "secrets", secret("taken", json!({}))).await.unwrap_err();
    assert_eq!((error.code, error.reason), (422, "Invalid"));
    assert!(error.message.ends_with("denied request: pick another name"));
    cluster.create("Secret", "secrets", secret("s", json!({"a": ""}))).await.unwrap();
    bind(&["Warn"]);
    let (_, warnings) = cluster.create("Secret", "secrets", secret("taken", two)).await.unwrap();
    assert_eq!(
        warnings,
        [
            "Validation failed for ValidatingAdmissionPolicy 'vp' with binding 'vb': has 2 keys",
            "Validation failed for ValidatingAdmissionPolicy 'vp' with binding 'vb': pick another name"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn policies_read_parameters_and_ask_the_authorizer() {
    let cluster = cluster();
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}]},
        "matchConditions": [{"name": "not-admins", "expression": "!authorizer.group('').resource('secrets').check('delete').allowed()"}],
        "validations": [{"expression": "object.metadata.name.startsWith(params.data.prefix)", "message": "wrong prefix"}],
    });
    put(&cluster.store, HOOKS, "validatingadmissionpolicies", json!({"metadata": {"name": "p"}, "spec": spec}));
    let binding =
        json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "params", "parameterNotFoundAction": "Deny"}});
    put(&cluster.store, HOOKS, "validatingadmissionpolicybindings", json!({"metadata": {"name": "b"}, "spec": binding}));
    let secret = |name: &str| create("Secret", "secrets", json!({"metadata": {"name": name, "namespace": "n"}}));
    let error = cluster.admit(secret("x-1")).await.unwrap_err();
    assert!(error.message.contains("failed to configure binding: no params found"), "{error}");
    put(&cluster.store, "", "configmaps", json!({"metadata": {"name": "params", "namespace": "n"}, "data": {"prefix": "x-"}}));
    cluster.admit(secret("x-1")).await.unwrap();
    assert!(cluster.admit(secret("y-1")).await.unwrap_err().message.ends_with("wrong prefix"));
    let mut by_admin = secret("y-1");
    by_admin.user = UserInfo::admin();
    cluster.admit(by_admin).await.unwrap();
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})
}

#[tokio::test(start_paused = true)]
async fn a_plain_pod_gets_what_the_system_adds() {
    let cluster = cluster();
    let (pod, _) = cluster.create("Pod", "pods", pod(json!({"containers": [{"name": "c", "image": "i"}]}))).await.unwrap();
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/../../snapshots/apiserver"),
        prepend_module_to_snapshot => false
    }, {
        insta::assert_yaml_snapshot!("admitted_pod", pod);
    });
}

#[rstest]
#[case(json!({"serviceAccountName": "absent"}), "pods \"p\" is forbidden: error looking up service account n/absent: serviceaccount \"absent\" not found")]
#[case(json!({"priorityClassName": "absent"}), "pods \"p\" is forbidden: no PriorityClass with name absent was found")]
#[case(json!({"priority": 7}), "pods \"p\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name")]
#[tokio::test(start_paused = true)]
async fn pods_that_ask_for_the_impossible(#[case] spec: Value, #[case] message: &str) {
    let error = cluster().create("Pod", "pods", pod(spec)).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (403, message));
}

#[rstest]
#[case("gone", 404, "namespaces \"gone\" not found")]
#[case("going", 403, "configmaps \"c\" is forbidden: unable to create new content in namespace going because it is being terminated")]
#[tokio::test(start_paused = true)]
async fn namespaces_must_live(#[case] namespace: &str, #[case] code: u16, #[case] message: &str) {
    let cluster = cluster();
    let going = json!({"metadata": {"name": "going", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    put(&cluster.store, "", "namespaces", going);
    let mut attributes = create("ConfigMap", "configmaps", config_map());
    attributes.namespace = namespace.into();
    let error = cluster.admit(attributes).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (code, message));
}

#[tokio::test(start_paused = true)]
async fn limit_ranges_fill_in_and_refuse() {
    let cluster = cluster();
    let limits = json!([{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}, "max": {"cpu": "2"}}]);
    put(&cluster.store, "", "limitranges", json!({"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": limits}}));
    let (got, _) = cluster.create("Pod", "pods", pod(json!({"containers": [{"name": "c", "image": "i"}]}))).await.unwrap();
    assert_eq!(got["spec"]["containers"][0]["resources"], json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}));
    assert_eq!(
        got["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let big = json!({"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "3"}}}]});
    let error = cluster.create("Pod", "pods", pod(big)).await.unwrap_err();
    assert_eq!(error.message, "pods \"p\" is forbidden: maximum cpu usage per Container is 2, but limit is 3");
}

#[tokio::test(start_paused = true)]
async fn quotas_book_refuse_and_notice_what_is_gone() {
    let cluster = cluster();
    let hard = json!({"pods": "2", "requests.memory": "1Gi"});
    put(&cluster.store, "", "resourcequotas", json!({"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": hard}}));
    let sized = |memory: &str| pod(json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"memory": memory}}}]}));
    let used = || {
        let key = crate::store::Key::new(crate::resource::GroupResource::new("", "resourcequotas"), "n", "q");
        cluster.store.get(&key).unwrap().value()["status"]["used"].clone()
    };
    cluster.create("Pod", "pods", sized("2Gi")).await.unwrap();
    assert_eq!(used(), Value::Null, "a quota that was not counted yet limits nothing");
    super::quota::recount(&cluster.store, "n").unwrap();
    let (first, _) = cluster.create("Pod", "pods", sized("600Mi")).await.unwrap();
    assert_eq!(used(), json!({"pods": "1", "requests.memory": "600Mi"}));
    put(&cluster.store, "", "pods", first);
    let error = cluster.create("Pod", "pods", sized("600Mi")).await.unwrap_err();
    assert_eq!(
        error.message,
        "pods \"p\" is forbidden: exceeded quota: q, requested: requests.memory=600Mi, used: requests.memory=600Mi, limited: requests.memory=1Gi"
    );
    let none = pod(json!({"containers": [{"name": "c", "image": "i"}]}));
    let error = cluster.create("Pod", "pods", none).await.unwrap_err();
    assert_eq!(error.message, "pods \"p\" is forbidden: failed quota: q: must specify requests.memory for: c");
    let mut dry = create("Pod", "pods", sized("100Mi"));
    dry.dry_run = true;
    cluster.admit(dry).await.unwrap();
    assert_eq!(used(), json!({"pods": "1", "requests.memory": "600Mi"}));
    let key = crate::store::Key::new(crate::resource::GroupResource::new("", "pods"), "n", "p");
    cluster.store.commit(key, crate::store::Expect::Any, None).unwrap();
    cluster.create("Pod", "pods", sized("600Mi")).await.unwrap();
    super::quota::recount(&cluster.store, "n").unwrap();
    assert_eq!(used(), json!({"pods": "0", "requests.memory": "0"}));
}

#[tokio::test(start_paused = true)]
async fn quotas_are_counted_when_they_come_and_when_objects_go() {
    let cluster = cluster();
    let store = &cluster.store;
    put(store, "", "pods", json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": []}}));
    let running = tokio::spawn(super::quota::run(store.clone()));
    let gr = crate::resource::GroupResource::new("", "resourcequotas");
    let mut watch = store.watch(&gr, Some("n"), store.revision()).unwrap();
    put(store, "", "resourcequotas", json!({"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": {"pods": "2"}}}));
    let mut used = async || loop {
        let event = watch.next_batch().await.unwrap().pop().unwrap();
        let used = event.object.value()["status"]["used"]["pods"].clone();
        if !used.is_null() {
            return used;
        }
    };
    assert_eq!(used().await, "1");
    let key = crate::store::Key::new(crate::resource::GroupResource::new("", "pods"), "n", "p");
    store.commit(key, crate::store::Expect::Any, None).unwrap();
    assert_eq!(used().await, "0");
    let idle = store.revision();
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    assert_eq!(store.revision(), idle, "an idle cluster writes nothing");
    running.abort();
}

#[rstest]
#[case("baseline", json!({"hostNetwork": true, "containers": [{"name": "c", "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN"]}}}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
    "violates PodSecurity \"baseline:latest\": non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), host namespaces (hostNetwork=true), hostPath volumes (volume \"v\"), privileged (container \"c\" must not set securityContext.privileged=true)")]
#[case("restricted", json!({"containers": [{"name": "c"}]}),
    "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")")]
#[tokio::test(start_paused = true)]
async fn pod_security_levels(#[case] level: &str, #[case] spec: Value, #[case] text: &str) {
    let cluster = cluster();
    let label = |mode: &str| json!({"metadata": {"name": "n", "labels": {format!("pod-security.kubernetes.io/{mode}"): level}}});
    put(&cluster.store, "", "namespaces", label("enforce"));
    let error = cluster.create("Pod", "pods", pod(spec.clone())).await.unwrap_err();
    assert_eq!(error.message, format!("pods \"p\" is forbidden: {text}"));
    put(&cluster.store, "", "namespaces", label("warn"));
    let (_, warnings) = cluster.create("Pod", "pods", pod(spec)).await.unwrap();
    assert_eq!(warnings, [format!("would {}", text.replacen("violates", "violate", 1))]);
}

#[tokio::test(start_paused = true)]
async fn claims_get_the_default_class_and_their_finalizer() {
    let cluster = cluster();
    let class = |name: &str, created: &str| {
        json!({"metadata": {"name": name, "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}})
    };
    put(&cluster.store, "storage.k8s.io", "storageclasses", class("old", "2025-01-01T00:00:00Z"));
    put(&cluster.store, "storage.k8s.io", "storageclasses", class("new", "2026-01-01T00:00:00Z"));
    let claim = |spec: Value| json!({"metadata": {"name": "c", "namespace": "n"}, "spec": spec});
    let (got, _) = cluster.create("PersistentVolumeClaim", "persistentvolumeclaims", claim(json!({}))).await.unwrap();
    assert_eq!(got["spec"]["storageClassName"], "new");
    assert_eq!(got["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let none = claim(json!({"storageClassName": ""}));
    let (got, _) = cluster.create("PersistentVolumeClaim", "persistentvolumeclaims", none).await.unwrap();
    assert_eq!(got["spec"]["storageClassName"], "");
}

#[tokio::test(start_paused = true)]
async fn tightening_a_namespace_tells_which_pods_break_the_new_level() {
    let cluster = cluster();
    for name in ["a", "b"] {
        let pod = json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"hostNetwork": true, "containers": [{"name": "c"}]}});
        put(&cluster.store, "", "pods", pod);
    }
    let labelled = |level: &str| json!({"metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": level}}});
    let update = |level: &str| {
        let mut attributes = create("Namespace", "namespaces", labelled(level));
        attributes.operation = Operation::Update;
        attributes.old_object = Some(Arc::new(json!({"metadata": {"name": "n"}})));
        attributes
    };
    let (_, warnings) = cluster.admit(update("baseline")).await.unwrap();
    assert_eq!(
        warnings,
        [
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a (and 1 other pod): host namespaces"
        ]
    );
    let error = cluster.admit(update("tight")).await.unwrap_err();
    assert_eq!(
        error.message,
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"tight\": must be one of \
         privileged, baseline, restricted"
    );
}
