//! kubectl, job by job.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::server::{Program, Server, Session, rows, text};

fn kubectl() -> Option<Program> {
    Program::find("KUBECTL", "kubectl", &["version", "--client"])
}

const MAP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: zoo
data:
  cat: tiger
";

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
";

#[test]
fn manifests_are_compared_applied_and_owned() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::alone();
    let k = kubectl.with(&server);
    let difference = |manifest: &str| {
        let output = k.run("diff -f -", manifest);
        let shown = String::from_utf8(output.stdout).unwrap();
        let changed =
            |line: &&str| (line.starts_with('+') || line.starts_with('-')) && !line.starts_with("+++") && !line.starts_with("---");
        (output.status.code(), shown.lines().filter(changed).map(|line| line.replace(' ', "")).collect::<Vec<_>>())
    };

    let (code, lines) = difference(MAP);
    assert_eq!(code, Some(1));
    assert!(lines.contains(&"+cat:tiger".to_owned()), "{lines:?}");
    assert!(k.fails("get cm zoo", "").contains("NotFound"), "a difference changes nothing");
    assert_eq!(k.given("apply -f -", MAP), "configmap/zoo created");
    assert_eq!(difference(MAP), (Some(0), vec![]));
    let lion = MAP.replace("tiger", "lion");
    assert_eq!(difference(&lion), (Some(1), vec!["-cat:tiger".to_owned(), "+cat:lion".to_owned()]));
    assert_eq!(k.given("apply -f -", MAP), "configmap/zoo unchanged");
    assert_eq!(k.given("apply -f -", &lion), "configmap/zoo configured");
    assert!(k.ok("apply view-last-applied cm zoo").contains("cat: lion"));
}

#[test]
fn server_side_apply_knows_who_owns_what() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::alone();
    let k = kubectl.with(&server);
    let managers = || {
        let path = "{range .metadata.managedFields[*]}{.manager}/{.operation} {end}";
        let listed = k.ok(&format!("get cm zoo --show-managed-fields -o 'jsonpath={path}'"));
        let mut managers: Vec<&str> = listed.split(' ').collect();
        managers.sort_unstable();
        managers.join(" ")
    };
    // What a client applied on its own becomes the server's to track.
    k.given("apply -f -", MAP);
    assert_eq!(managers(), "kubectl-client-side-apply/Update");
    assert_eq!(k.given("apply --server-side -f -", MAP), "configmap/zoo serverside-applied");
    assert_eq!(managers(), "kubectl-last-applied/Apply kubectl/Apply");

    let lion = MAP.replace("tiger", "lion");
    let refused = k.fails("apply --server-side --field-manager=keeper -f -", &lion);
    assert!(refused.starts_with("error: Apply failed with 1 conflict: conflict with \"kubectl\": .data.cat"), "{refused}");
    assert_eq!(k.ok("get cm zoo -o 'jsonpath={.data.cat}'"), "tiger");
    k.given("apply --server-side --field-manager=keeper --force-conflicts -f -", &lion);
    assert_eq!(k.ok("get cm zoo -o 'jsonpath={.data.cat}'"), "lion");
    assert_eq!(managers(), "keeper/Apply kubectl-last-applied/Apply");

    // What its only owner no longer names goes away.
    k.given("apply --server-side --field-manager=keeper -f -", &lion.replace("\ndata:", "\ndata:\n  dog: wolf"));
    assert_eq!(k.ok("get cm zoo -o 'jsonpath={.data.dog}'"), "wolf");
    k.given("apply --server-side --field-manager=keeper -f -", &lion);
    assert_eq!(k.ok("get cm zoo -o 'jsonpath={.data}'"), r#"{"cat":"lion"}"#);

    assert_eq!(
        k.given("apply --server-side --dry-run=server --field-manager=keeper -f -", MAP),
        "configmap/zoo serverside-applied (server dry run)"
    );
    assert_eq!(k.ok("get cm zoo -o 'jsonpath={.data.cat}'"), "lion");
    // Pruning by label, which lists what there is of each kind.
    let labelled = |name: &str| format!("{}  labels: {{set: one}}\n---\n", MAP.replace("zoo", name).replace("data:\n  cat: tiger\n", ""));
    k.given("apply -f -", &format!("{}{}", labelled("a"), labelled("b")));
    let pruned = k.given("apply -f - --prune -l set=one --prune-allowlist=core/v1/ConfigMap", &labelled("a"));
    assert_eq!(pruned, "configmap/a unchanged\nconfigmap/b pruned");
}

#[test]
fn objects_are_changed_in_every_way() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::alone();
    let k = kubectl.with(&server);
    let data = || k.ok("get cm zoo -o 'jsonpath={.data}'");
    assert_eq!(k.given("create -f -", MAP), "configmap/zoo created");
    assert_eq!(
        k.fails("create -f -", MAP),
        "Error from server (AlreadyExists): error when creating \"STDIN\": configmaps \"zoo\" already exists"
    );

    assert_eq!(k.ok("label cm zoo size=big"), "configmap/zoo labeled");
    assert_eq!(k.fails("label cm zoo size=small", ""), "error: 'size' already has a value (big), and --overwrite is false");
    k.ok("label cm zoo size=small --overwrite");
    assert_eq!(k.ok("get cm -l size=small -o name"), "configmap/zoo");
    assert_eq!(k.ok("get cm -l 'size in (big)' -o name"), "");
    assert_eq!(k.ok("label cm zoo size-"), "configmap/zoo unlabeled");
    assert_eq!(k.ok("annotate cm zoo note='two words'"), "configmap/zoo annotated");
    assert_eq!(k.ok("get cm zoo -o 'jsonpath={.metadata.annotations.note}'"), "two words");

    k.ok(r#"patch cm zoo -p '{"data":{"dog":"wolf"}}'"#);
    assert_eq!(data(), r#"{"cat":"tiger","dog":"wolf"}"#);
    k.ok(r#"patch cm zoo --type=merge -p '{"data":{"dog":null}}'"#);
    assert_eq!(data(), r#"{"cat":"tiger"}"#);
    k.ok(r#"patch cm zoo --type=json -p '[{"op":"test","path":"/data/cat","value":"tiger"},{"op":"copy","from":"/data/cat","path":"/data/cub"}]'"#);
    assert_eq!(data(), r#"{"cat":"tiger","cub":"tiger"}"#);
    let refused = k.fails(r#"patch cm zoo --type=json -p '[{"op":"test","path":"/data/cat","value":"dog"}]'"#, "");
    assert_eq!(refused, "The request is invalid: the server rejected our request due to an error in our request");
    assert_eq!(k.ok(r#"patch cm zoo -p '{"data":{"cat":"tiger"}}'"#), "configmap/zoo patched (no change)");

    assert_eq!(k.given("replace -f -", MAP), "configmap/zoo replaced");
    assert_eq!(data(), r#"{"cat":"tiger"}"#);
    let uid = || k.ok("get cm zoo -o 'jsonpath={.metadata.uid}'");
    let before = uid();
    assert!(k.given("replace --force -f -", MAP).ends_with("configmap/zoo replaced"));
    assert_ne!(uid(), before);

    assert_eq!(k.editor("sed -i s/tiger/lion/").ok("edit cm zoo"), "configmap/zoo edited");
    assert_eq!(data(), r#"{"cat":"lion"}"#);
    assert_eq!(k.editor("sed -i s/nothing/lion/").run("edit cm zoo", "").status.code(), Some(0));
    assert_eq!(k.editor("sed -i s/tiger/lion/").run("edit cm nothing", "").status.code(), Some(1));

    k.given("apply -f -", WEB);
    assert_eq!(k.ok("scale deployment/web --replicas=5"), "deployment.apps/web scaled");
    assert_eq!(k.ok("get deployment web -o 'jsonpath={.spec.replicas}'"), "5");
    let refused = k.fails("scale deployment/web --current-replicas=3 --replicas=1", "");
    assert_eq!(refused, "error: Expected replicas to be 3, was 5");
    k.ok("set image deployment/web web=registry.example/web:2");
    k.ok("set env deployment/web COLOR=red");
    k.ok("set resources deployment/web --limits=cpu=1,memory=1Gi");
    let container = k.ok("get deployment web -o 'jsonpath={.spec.template.spec.containers[0]}'");
    for part in [r#""image":"registry.example/web:2""#, r#"{"name":"COLOR","value":"red"}"#, r#""limits":{"cpu":"1","memory":"1Gi"}"#] {
        assert!(container.contains(part), "no {part} in {container}");
    }
    let invalid = k.fails(r#"patch deployment web -p '{"spec":{"replicas":-1}}'"#, "");
    assert_eq!(invalid, "The Deployment \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0");
}

#[test]
fn questions_are_answered() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::alone();
    let k = kubectl.with(&server);

    let explained = k.ok("explain deployment.spec.strategy.rollingUpdate");
    assert!(
        explained.starts_with("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: rollingUpdate <RollingUpdateDeployment>")
    );
    assert!(explained.contains("maxSurge\t<IntOrString>"), "{explained}");
    assert!(k.ok("explain pod --recursive").contains("initContainers\t<[]Container>"));
    assert_eq!(k.fails("explain pod.spec.nothing", ""), "error: field \"nothing\" does not exist");
    let resources = k.ok("api-resources --namespaced=false --api-group=rbac.authorization.k8s.io --no-headers");
    assert_eq!(
        rows(&resources),
        [
            ["clusterrolebindings", "rbac.authorization.k8s.io/v1", "false", "ClusterRoleBinding"],
            ["clusterroles", "rbac.authorization.k8s.io/v1", "false", "ClusterRole"]
        ]
    );
    assert!(k.ok("api-versions").lines().any(|line| line == "apps/v1"));
    assert!(k.ok("version").contains("Server Version: v1.36"));
    assert!(k.ok("cluster-info").contains(&server.url()));

    assert_eq!(k.ok("auth can-i create pods"), "yes");
    let denied = k.run("auth can-i create pods --as=amy", "");
    assert_eq!((denied.status.code(), denied.stdout.as_slice()), (Some(1), b"no\n".as_slice()));
    k.ok("create role reader --verb=get,list --resource=pods,pods/log");
    k.ok("create rolebinding readers --role=reader --user=amy --serviceaccount=default:robot");
    assert_eq!(k.ok("auth can-i get pods/log --as=amy"), "yes");
    let listed = k.ok("auth can-i --list --as=amy");
    assert!(rows(&listed).contains(&vec!["pods/log", "[]", "[]", "[get", "list]"]), "{listed}");
    let forbidden = k.fails("get secrets --as=amy", "");
    assert_eq!(
        forbidden,
        "Error from server (Forbidden): secrets is forbidden: User \"amy\" cannot list resource \"secrets\" in API group \"\" in the \
         namespace \"default\""
    );

    assert_eq!(k.fails("create token robot", ""), "error: failed to create token: serviceaccounts \"robot\" not found");
    k.ok("create serviceaccount robot");
    let token = k.ok("create token robot --duration=30m");
    let robot = k.always(&format!("--kubeconfig=/dev/null --server={} --insecure-skip-tls-verify --token={token}", server.url()));
    assert!(robot.ok("auth whoami").contains("system:serviceaccount:default:robot"));
    assert_eq!(robot.ok("get pods -o name"), "");
    assert!(
        robot
            .fails("get nodes", "")
            .starts_with("Error from server (Forbidden): nodes is forbidden: User \"system:serviceaccount:default:robot\"")
    );
    let stranger = k.always(&format!("--kubeconfig=/dev/null --server={} --insecure-skip-tls-verify --token=nonsense", server.url()));
    assert_eq!(stranger.fails("get pods", ""), "error: You must be logged in to the server (Unauthorized)");

    // Reconciled roles keep what they had and gain what is asked for.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader, namespace: default}\nrules:\n- {apiGroups: [''], resources: [nodes], verbs: [get]}\n";
    assert!(k.given("auth reconcile -f -", role).starts_with("role.rbac.authorization.k8s.io/reader reconciled"));
    assert_eq!(k.ok("get role reader -o 'jsonpath={.rules[*].resources[*]}'"), "pods pods/log nodes");

    // No components, no metrics: said plainly.
    assert_eq!(k.fails("top pods", ""), "error: Metrics API not available");
}

/// Lines of a command that goes on until the test has seen enough.
struct Lines {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Lines {
    fn of(session: &Session, line: &str) -> Self {
        let mut child = session.command(line).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn changes_are_watched_and_waited_for() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::alone();
    let k = kubectl.with(&server);
    k.given("apply -f -", MAP);
    let mut watch =
        Lines::of(&k, "get cm -w --output-watch-events -o 'jsonpath={.type} {.object.metadata.name} {.object.data.cat}{\"\\n\"}'");
    while watch.next() != "ADDED zoo tiger" {}
    k.given("apply -f -", &MAP.replace("tiger", "lion"));
    assert_eq!(watch.next(), "MODIFIED zoo lion");
    k.given("apply -f -", &MAP.replace("zoo", "park"));
    assert_eq!(watch.next(), "ADDED park tiger");
    k.ok("delete cm park");
    assert_eq!(watch.next(), "DELETED park tiger");
    let mut table = Lines::of(&k, "get cm zoo -w --no-headers");
    assert_eq!(rows(&table.next())[0][..2], ["zoo", "1"]);
    k.given("apply -f -", &MAP.replace("\ndata:", "\ndata:\n  dog: wolf"));
    assert_eq!(rows(&table.next())[0][..2], ["zoo", "2"]);

    let waits = |line: &str| {
        let child = k.command(line).spawn().unwrap();
        move || {
            let output = child.wait_with_output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
        }
    };
    assert_eq!(k.ok("wait --for=jsonpath='{.data.cat}'=tiger cm/zoo --timeout=10s"), "configmap/zoo condition met");
    let deleted = waits("wait --for=delete cm/zoo --timeout=30s");
    let created = waits("wait --for=create cm/later --timeout=30s");
    let ready = waits("wait --for=condition=Ready node/a --timeout=30s");
    k.ok("create configmap later");
    assert_eq!(created(), (true, "configmap/later condition met".to_owned()));
    k.ok("delete cm zoo");
    assert!(deleted().0);
    drop(ready);
    assert_eq!(k.fails("wait --for=condition=Ready node/a --timeout=1s", ""), "Error from server (NotFound): nodes \"a\" not found");
    k.given("create -f -", "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n");
    let ready = waits("wait --for=condition=Ready node/a --timeout=30s");
    k.ok(r#"patch node a --subresource=status -p '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'"#);
    assert_eq!(ready(), (true, "node/a condition met".to_owned()));
    assert_eq!(k.fails("wait --for=condition=Odd node/a --timeout=1s", ""), "error: timed out waiting for the condition on nodes/a");
}

#[test]
fn workloads_roll_and_nodes_drain() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::cluster();
    let k = kubectl.with(&server);
    let status = || k.ok("rollout status deployment/web --timeout=60s");
    let image = || k.ok("get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}'");
    k.given("apply -f -", WEB);
    assert!(status().ends_with("deployment \"web\" successfully rolled out"));
    k.ok("set image deployment/web web=registry.example/web:2");
    assert!(status().ends_with("successfully rolled out"));
    assert_eq!(
        rows(&k.ok("rollout history deployment/web"))[1..],
        [vec!["REVISION", "CHANGE-CAUSE"], vec!["1", "<none>"], vec!["2", "<none>"]]
    );
    assert_eq!(k.ok("rollout undo deployment/web"), "deployment.apps/web rolled back");
    assert!(status().ends_with("successfully rolled out"));
    assert_eq!(image(), "registry.example/web:1");
    k.ok("rollout pause deployment/web");
    assert_eq!(k.fails("rollout pause deployment/web", ""), "error: deployments.apps \"web\" is already paused");
    k.ok("rollout resume deployment/web");
    k.ok("rollout restart deployment/web");
    assert!(status().ends_with("successfully rolled out"));
    k.ok("scale deployment/web --replicas=3");
    assert!(status().ends_with("successfully rolled out"));
    k.ok("wait --for=condition=Available deployment/web --timeout=60s");
    assert_eq!(rows(&k.ok("get deployment web --no-headers"))[0][..4], ["web", "3/3", "3", "3"]);
    k.ok("expose deployment/web --port=80");
    k.ok("wait --for=jsonpath='{.endpoints[2].conditions.ready}'=true endpointslice -l kubernetes.io/service-name=web --timeout=60s");
    let described = k.ok("describe deployment web");
    assert!(described.contains("3 desired | 3 updated | 3 total | 3 available | 0 unavailable"), "{described}");
    assert!(described.contains("ScalingReplicaSet"), "{described}");

    let node = k.ok("get pods -l app=web -o 'jsonpath={.items[0].spec.nodeName}'");
    assert_eq!(k.ok(&format!("cordon {node}")), format!("node/{node} cordoned"));
    assert!(k.ok(&format!("get node {node}")).contains("Ready,SchedulingDisabled"));
    let drained = k.ok(&format!("drain {node} --ignore-daemonsets --delete-emptydir-data --timeout=60s"));
    assert!(drained.ends_with(&format!("node/{node} drained")), "{drained}");
    assert!(status().ends_with("successfully rolled out"));
    assert_eq!(k.ok(&format!("get pods -l app=web --field-selector=spec.nodeName={node} -o name")), "");
    assert_eq!(k.ok(&format!("uncordon {node}")), format!("node/{node} uncordoned"));
    k.ok(&format!("taint nodes {node} a=b:NoSchedule"));
    assert_eq!(k.ok(&format!("taint nodes {node} a-")), format!("node/{node} untainted"));

    // A budget holds an eviction up until it is gone.
    k.ok("create pdb web --selector=app=web --min-available=3");
    k.ok("wait --for=jsonpath='{.status.expectedPods}'=3 pdb/web --timeout=60s");
    let node = k.ok("get pods -l app=web -o 'jsonpath={.items[0].spec.nodeName}'");
    let held = k.fails(&format!("drain {node} --ignore-daemonsets --delete-emptydir-data --timeout=1s --pod-selector=app=web"), "");
    assert!(held.contains("Cannot evict pod as it would violate the pod's disruption budget."), "{held}");

    let file = server.file("some", "text");
    let pod = k.ok("get pods -l app=web -o 'jsonpath={.items[0].metadata.name}'");
    for line in [format!("exec {pod} -- true"), format!("attach {pod}"), format!("cp {} {pod}:/tmp/some", text(&file))] {
        let refused = k.fails(&line, "");
        assert!(refused.contains("of pods is not provided"), "{line}: {refused}");
    }
}

#[test]
fn what_is_deleted_takes_what_it_owns_along_or_leaves_it() {
    let Some(kubectl) = kubectl() else { return };
    let server = Server::cluster();
    let k = kubectl.with(&server);
    let rolled = |name: &str| {
        k.given("apply -f -", &WEB.replace("web", name));
        k.ok(&format!("rollout status deployment/{name} --timeout=60s"));
    };
    let left = |name: &str| k.ok(&format!("get rs,pods -l app={name} -o name")).lines().count();

    rolled("background");
    k.ok("delete deployment background");
    k.ok("wait --for=delete rs,pods -l app=background --timeout=60s");

    rolled("foreground");
    k.ok("delete deployment foreground --cascade=foreground --timeout=60s");
    assert_eq!(left("foreground"), 0, "the owner goes last");

    rolled("orphan");
    k.ok("delete deployment orphan --cascade=orphan");
    k.ok("wait --for=jsonpath='{.metadata.labels.app}'=orphan rs -l app=orphan --timeout=10s");
    assert_eq!(k.ok("get rs -l app=orphan -o 'jsonpath={.items[*].metadata.ownerReferences}'"), "");
    assert_eq!(left("orphan"), 3);
    // Taken in again by an owner of the same kind.
    rolled("orphan");
    assert_eq!(k.ok("get rs -l app=orphan -o 'jsonpath={.items[*].metadata.ownerReferences[0].name}'"), "orphan");
    assert_eq!(left("orphan"), 3);

    k.ok("run lone --image=registry.example/lone");
    k.ok("wait --for=condition=Ready pod/lone --timeout=60s");
    assert!(k.ok("delete pod lone --now").starts_with("pod \"lone\" deleted"));
    k.ok("create namespace brief");
    k.ok("create configmap inside -n brief");
    k.ok("delete namespace brief --timeout=60s");
    assert!(k.fails("get cm inside -n brief", "").contains("NotFound"));
}
