//! Pods run.

use futures::FutureExt;
use serde_json::json;

use super::{World, condition, one, phase};
use crate::Images;

#[tokio::test(start_paused = true)]
async fn a_pod_is_scheduled_and_runs() {
    let world = World::start(2, |builder| builder).await;
    let path = world.pod("p", one("nginx")).await;
    let pod = world.until(&path, |pod| phase(pod) == "Running").await;
    assert_eq!(condition(&pod, "Ready")["status"], "True");
    assert_eq!(condition(&pod, "PodScheduled")["status"], "True");
    assert_eq!(pod["status"]["podIP"], pod["status"]["podIPs"][0]["ip"]);
    assert!(pod["status"]["podIP"].as_str().unwrap().starts_with("10."));
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!((&container["ready"], &container["restartCount"]), (&json!(true), &json!(0)));
    assert!(container["containerID"].as_str().unwrap().starts_with("containerd://"));
    assert_eq!(
        world.events().await,
        [
            "Scheduled: Successfully assigned default/p to n1",
            "Pulled: Container image \"nginx\" already present on machine",
            "Created: Created container: c",
            "Started: Started container c"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn programs_see_their_pod_and_end_pods() {
    let images = Images::new().run("tool", |context| {
        async move {
            context.log.print(&format!("{:?} {}", context.args, context.env["WHO"]));
            i32::from(context.env["NODE"] != context.node)
        }
        .boxed()
    });
    let world = World::start(1, |builder| builder.images(images)).await;
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "c", "image": "example.dev/tool:v1", "command": ["run"], "args": ["--as=$(WHO)"],
            "env": [
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
            ]
        }]
    });
    let path = world.pod("p", spec).await;
    let pod = world.until(&path, |pod| phase(pod) == "Succeeded").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    assert_eq!(condition(&pod, "Ready")["reason"], "PodCompleted");
    let lines = world.cluster.logs().open("default", "p", "c", false).unwrap().available();
    assert_eq!(&*lines[0].text, "[\"run\", \"--as=p\"] p");
}

#[tokio::test(start_paused = true)]
async fn crashing_containers_back_off() {
    let world = World::start(1, |builder| builder.images(Images::new().exit("crash", 3))).await;
    let path = world.pod("p", one("crash")).await;
    let pod = world.until(&path, |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 3).await;
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    let message = container["state"]["waiting"]["message"].as_str().unwrap();
    assert!(message.starts_with("back-off 40s restarting failed container=c pod=p_default("), "{message}");
    assert_eq!(phase(&pod), "Running");
    assert_eq!(world.elapsed().as_secs(), 30, "restarts: at once, after 10 s, after 20 s");
}

#[tokio::test(start_paused = true)]
async fn containers_start_in_order() {
    let world = World::start(1, |builder| builder.images(Images::new().exit("ok", 0).exit("bad", 1))).await;
    let spec = json!({
        "initContainers": [{"name": "i", "image": "ok"}, {"name": "s", "image": "pause", "restartPolicy": "Always"}],
        "containers": [{"name": "c", "image": "pause"}]
    });
    let path = world.pod("p", spec).await;
    let pod = world.until(&path, |pod| phase(pod) == "Running").await;
    assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    assert_eq!(pod["status"]["initContainerStatuses"][1]["ready"], true);
    let spec = json!({"restartPolicy": "Never", "initContainers": [{"name": "i", "image": "bad"}], "containers": [{"name": "c", "image": "pause"}]});
    let path = world.pod("q", spec).await;
    let pod = world.until(&path, |pod| phase(pod) == "Failed").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    assert_eq!(condition(&pod, "Initialized")["message"], "containers with incomplete status: [i]");
}

#[tokio::test(start_paused = true)]
async fn images_that_cannot_be_pulled() {
    let world = World::start(1, |builder| builder.images(Images::new().unpullable("missing", "not found"))).await;
    let path = world.pod("p", one("missing:v1")).await;
    let reason = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    world.until(&path, |pod| reason(pod) == "ErrImagePull").await;
    let pod = world.until(&path, |pod| reason(pod) == "ImagePullBackOff").await;
    assert_eq!(phase(&pod), "Pending");
    assert_eq!(condition(&pod, "Ready")["reason"], "ContainersNotReady");
    assert!(world.events().await.contains(&"Failed: Failed to pull image \"missing:v1\": not found".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_what_the_program_says() {
    let images = Images::new().run("slow", |context| {
        async move {
            context.ready.set(false);
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            context.ready.set(true);
            context.term.cancelled().await;
            0
        }
        .boxed()
    });
    let world = World::start(1, |builder| builder.images(images)).await;
    let path = world.pod("p", one("slow")).await;
    let pod = world.until(&path, |pod| phase(pod) == "Running").await;
    assert_eq!(condition(&pod, "Ready")["message"], "containers with unready status: [c]");
    world.until(&path, |pod| condition(pod, "Ready")["status"] == "True").await;
    assert_eq!(world.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn pods_wait_for_what_they_mount() {
    let world = World::start(1, |builder| builder).await;
    let mut spec = one("nginx");
    spec["volumes"] = json!([{"name": "v", "secret": {"secretName": "s"}}]);
    let path = world.pod("p", spec).await;
    let pod = world.until(&path, |pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating").await;
    assert_eq!(phase(&pod), "Pending");
    world.create("/api/v1/namespaces/default/secrets", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})).await;
    world.until(&path, |pod| phase(pod) == "Running").await;
    let events = world.events().await;
    assert!(events.contains(&"FailedMount: MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found".to_owned()), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn logs_are_read_and_followed() {
    let images = Images::new().run("talk", |context| {
        async move {
            for line in ["one", "two", "three"] {
                context.log.print(line);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            0
        }
        .boxed()
    });
    let world = World::start(1, |builder| builder.images(images)).await;
    let mut spec = one("talk");
    spec["restartPolicy"] = json!("Never");
    let path = world.pod("p", spec).await;
    world.until(&path, |pod| phase(pod) == "Running").await;
    let read = async |query: &str| {
        let request = http::Request::get(format!("{path}/log?{query}")).body(Vec::new()).unwrap();
        world.client.0.request_text(request).await.unwrap()
    };
    assert_eq!(read("").await, "one\n");
    assert_eq!(read("follow=true").await, "one\ntwo\nthree\n");
    assert_eq!(read("tailLines=1&container=c").await, "three\n");
    assert_eq!(read("limitBytes=5").await, "one\nt");
    let recent = read("sinceSeconds=1&timestamps=true").await;
    assert!(recent.starts_with("2030-01-01T00:00:02.") && recent.ends_with("Z three\n"), "{recent}");
    let request = http::Request::get(format!("{path}/log?previous=true")).body(Vec::new()).unwrap();
    let error = world.client.0.request_text(request).await.unwrap_err();
    assert!(error.to_string().contains("previous terminated container \"c\" in pod \"p\" not found"), "{error}");
}
