//! Steps about who may do what.

use cucumber::{given, then, when};
use ferrovirt_tests::manifest;
use ferrovirt_tests::world::SpecWorld;
use serde_json::{Value, json};

type Done = anyhow::Result<()>;

#[given(expr = "the user {string} who may do everything with pods")]
async fn pod_user(world: &mut SpecWorld, user: String) -> Done {
    world
        .create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "pods"},
            "rules": [{"apiGroups": [""], "resources": ["pods", "pods/log", "pods/exec"], "verbs": ["*"]}],
        }))
        .await?;
    bind(world, &user, "Role", "pods").await
}

#[given(expr = "the user {string} with the cluster role {string}")]
async fn user_with_role(world: &mut SpecWorld, user: String, role: String) -> Done {
    bind(world, &user, "ClusterRole", &role).await
}

async fn bind(world: &mut SpecWorld, user: &str, kind: &str, role: &str) -> Done {
    world
        .create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }))
        .await
}

#[when(expr = "{string} tries to post the VirtualMachineInstance {string}")]
async fn tries_to_post(world: &mut SpecWorld, user: String, name: String) -> Done {
    world.impersonate(&user);
    let tried = world.attempt_create(&manifest::vmi(&name), "").await;
    world.be_admin();
    tried
}

#[when(expr = "{string} creates the VM {string} with run strategy {string}")]
async fn creates(world: &mut SpecWorld, user: String, name: String, strategy: String) -> Done {
    world.impersonate(&user);
    let created = world.create(&manifest::vm(&name, ("runStrategy", Value::from(strategy)))).await;
    world.be_admin();
    created
}

#[then(regex = r#"^"([^"]+)" (may|may not) (read|start|delete) the VM "([^"]+)"$"#)]
async fn user_may(world: &mut SpecWorld, user: String, may: String, verb: String, name: String) -> Done {
    world.impersonate(&user);
    let path = format!("/apis/kubevirt.io/v1/namespaces/default/virtualmachines/{name}");
    match verb.as_str() {
        "read" => world.attempt_raw("GET", &path, "", Vec::new()).await?,
        "delete" => world.attempt_raw("DELETE", &format!("{path}?dryRun=All"), "", Vec::new()).await?,
        _ => world.subresource("VirtualMachine", &name, "start").await?,
    }
    world.be_admin();
    judge(world, may == "may")
}

#[then(regex = r#"^"([^"]+)" may not (delete|read) (the node|secrets of the namespace) "([^"]+)"$"#)]
async fn user_may_not(world: &mut SpecWorld, user: String, verb: String, what: String, name: String) -> Done {
    world.impersonate(&user);
    let path = if what == "the node" { format!("/api/v1/nodes/{name}") } else { format!("/api/v1/namespaces/{name}/secrets") };
    world.attempt_raw(if verb == "read" { "GET" } else { "DELETE" }, &path, "", Vec::new()).await?;
    world.be_admin();
    judge(world, false)
}

fn judge(world: &SpecWorld, may: bool) -> Done {
    match (world.last_refusal(), may) {
        (None, true) => Ok(()),
        (Some(refusal), false) if refusal.code == 403 => Ok(()),
        (None, false) => anyhow::bail!("it was allowed"),
        (Some(refusal), _) => anyhow::bail!("it was refused with {} and {:?}", refusal.code, refusal.message),
    }
}

#[then(regex = r#"^virt-handler of "([^"]+)" (may|may not) patch the node "([^"]+)" with (.+)$"#)]
async fn handler_patches(world: &mut SpecWorld, own: String, may: String, node: String, patch: String) -> Done {
    // The token of a pod says on which node it runs; who impersonates says it in a header.
    let request = http::Request::patch(format!("/api/v1/nodes/{node}"))
        .header("Content-Type", "application/merge-patch+json")
        .header("Impersonate-User", "system:serviceaccount:kubevirt:kubevirt-handler")
        .header("Impersonate-Group", "system:serviceaccounts")
        .header("Impersonate-Extra-authentication.kubernetes.io%2Fnode-name", own);
    world.attempt(request.body(patch.into_bytes())?).await?;
    judge(world, may == "may")
}

#[then(expr = "the refusal says {string}")]
async fn the_refusal_says(world: &mut SpecWorld, words: String) -> Done {
    let message = world.last_refusal().map(|refusal| refusal.message.clone()).unwrap_or_default();
    anyhow::ensure!(message.contains(&words), "it says {message:?}");
    Ok(())
}
