//! Paths and operations of a document.

use serde_json::{Map, Value, json};

use super::{Served, parameters};
use crate::resource::Gvk;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// All paths of a group version, whose own path is `root` (`apis/apps/v1`).
pub(super) fn of(root: &str, resources: &[Served]) -> Map<String, Value> {
    let mut out = Map::new();
    let builtin = resources.iter().any(|served| !served.info.is_custom());
    if builtin {
        out.insert(format!("/{root}/"), json!({"get": discovery(resources)}));
    }
    for served in resources {
        Paths { root, served, out: &mut out }.add();
    }
    out
}

/// A name in operation ids and tags: `apps` → `Apps`, `rbac.authorization.k8s.io` → `RbacAuthorization`.
fn group_id(group: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
    group.split(['.', '-']).map(capital).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn tag(served: &Served) -> String {
    let id = group_id(&served.info.gr.group);
    let mut chars = id.chars();
    let first: String = chars.next().map(|first| first.to_lowercase().collect()).unwrap_or_default();
    format!("{first}{}_{}", chars.as_str(), served.version)
}

fn discovery(resources: &[Served]) -> Value {
    let Some(first) = resources.first() else { return json!({}) };
    json!({
        "tags": [tag(first)],
        "description": "get available resources",
        "operationId": format!("get{}{}APIResources", group_id(&first.info.gr.group), capital(&first.version)),
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
    })
}

fn schema(definition: &str) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{definition}")}})
}

fn content(definition: &str, types: &[&str]) -> Value {
    Value::Object(types.iter().map(|media| ((*media).to_owned(), schema(definition))).collect())
}

const TYPES: [&str; 2] = ["application/json", "application/yaml"];

fn responses(codes: &[(&str, &str)], definition: &str) -> Value {
    let mut out: Map<String, Value> = codes
        .iter()
        .map(|(code, text)| ((*code).to_owned(), json!({"description": text, "content": content(definition, &TYPES)})))
        .collect();
    out.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    Value::Object(out)
}

struct Paths<'a> {
    root: &'a str,
    served: &'a Served,
    out: &'a mut Map<String, Value>,
}

impl Paths<'_> {
    fn add(&mut self) {
        let info = &self.served.info;
        let plural = &info.gr.resource;
        let scope = if info.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("/{}{scope}/{plural}", self.root);
        let one = format!("{collection}/{{name}}");
        let definition = self.served.definition();
        let list = self.served.list_definition();
        let can = |verb: &str| info.verbs.iter().any(|known| known == verb);
        let mut paths: Vec<(String, Value)> = Vec::new();
        let mut operations = Map::new();
        if can("list") {
            operations.insert("get".into(), self.collection("list", &list));
        }
        if can("create") {
            operations.insert("post".into(), self.write("create", "post", &definition, ""));
        }
        if can("deletecollection") {
            operations.insert("delete".into(), self.collection("deletecollection", &format!("{META}.Status")));
        }
        operations.insert("parameters".into(), parameters::path(None, info.namespaced));
        paths.push((collection, Value::Object(operations)));
        if can("get") {
            let mut operations = self.object(&definition, "");
            if can("delete") {
                operations.insert("delete".into(), self.delete());
            }
            paths.push((one.clone(), Value::Object(operations)));
        }
        if self.served.has_status() {
            paths.push((format!("{one}/status"), Value::Object(self.object(&definition, "Status"))));
        }
        if self.served.has_scale() {
            paths.push((format!("{one}/scale"), Value::Object(self.object(SCALE, "Scale"))));
        }
        if info.namespaced && can("list") {
            let mut operations = Map::new();
            let mut all = self.collection("list", &list);
            let id = self.id("list", "", true);
            if let Some(all) = all.as_object_mut() {
                all.insert("operationId".into(), id.into());
            }
            operations.insert("get".into(), all);
            operations.insert("parameters".into(), parameters::path(None, false));
            paths.push((format!("/{}/{plural}", self.root), Value::Object(operations)));
        }
        if !info.is_custom() && can("watch") {
            paths.extend(self.watches(scope));
        }
        self.out.extend(paths);
    }

    /// `patchExampleDevV1NamespacedWidgetStatus`.
    fn id(&self, verb: &str, subresource: &str, all: bool) -> String {
        let info = &self.served.info;
        let (verb, collection) = if verb == "deletecollection" { ("delete", "Collection") } else { (verb, "") };
        let scope = if info.namespaced && !all { "Namespaced" } else { "" };
        let end = if all { "ForAllNamespaces" } else { "" };
        format!("{verb}{}{}{collection}{scope}{}{subresource}{end}", group_id(&info.gr.group), capital(&self.served.version), info.kind)
    }

    fn operation(&self, verb: &str, action: &str, description: String, subresource: &str) -> Map<String, Value> {
        let gvk = if subresource == "Scale" { Gvk::new("autoscaling", "v1", "Scale") } else { self.served.gvk() };
        let mut map = Map::new();
        map.insert("tags".into(), json!([tag(self.served)]));
        map.insert("description".into(), description.into());
        map.insert("operationId".into(), self.id(verb, subresource, false).into());
        map.insert("x-kubernetes-action".into(), action.into());
        map.insert("x-kubernetes-group-version-kind".into(), json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind}));
        map
    }

    fn words(&self, subresource: &str) -> String {
        let kind = &self.served.info.kind;
        match subresource {
            "" => format!("the specified {kind}"),
            other => format!("{} of the specified {kind}", other.to_lowercase()),
        }
    }

    fn collection(&self, verb: &str, definition: &str) -> Value {
        let kind = &self.served.info.kind;
        let description =
            if verb == "list" { format!("list or watch objects of kind {kind}") } else { format!("delete collection of {kind}") };
        let mut map = self.operation(verb, verb, description, "");
        map.insert("parameters".into(), parameters::list());
        let mut answers = responses(&[("200", "OK")], definition);
        if verb == "list" {
            let types = ["application/json", "application/json;stream=watch", "application/yaml"];
            if let Some(ok) = answers.get_mut("200").and_then(Value::as_object_mut) {
                ok.insert("content".into(), content(definition, &types));
            }
        } else {
            let body = content(&format!("{META}.DeleteOptions"), &["*/*"]);
            map.insert("requestBody".into(), json!({"content": body}));
        }
        map.insert("responses".into(), answers);
        Value::Object(map)
    }

    /// get, put and patch of an object or subresource.
    fn object(&self, definition: &str, subresource: &str) -> Map<String, Value> {
        let info = &self.served.info;
        let can = |verb: &str| !subresource.is_empty() || info.verbs.iter().any(|known| known == verb);
        let mut operations = Map::new();
        let mut read = self.operation("read", "get", format!("read {}", self.words(subresource)), subresource);
        read.insert("responses".into(), responses(&[("200", "OK")], definition));
        operations.insert("get".into(), Value::Object(read));
        if can("update") {
            operations.insert("put".into(), self.write("replace", "put", definition, subresource));
        }
        if can("patch") {
            operations.insert("patch".into(), self.patch(definition, subresource));
        }
        operations.insert("parameters".into(), parameters::path(Some(&info.kind), info.namespaced));
        operations
    }

    fn write(&self, verb: &str, action: &str, definition: &str, subresource: &str) -> Value {
        let kind = &self.served.info.kind;
        let (description, codes): (String, &[(&str, &str)]) = if verb == "create" {
            let an = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
            (format!("create {an} {kind}"), &[("200", "OK"), ("201", "Created"), ("202", "Accepted")])
        } else {
            (format!("replace {}", self.words(subresource)), &[("200", "OK"), ("201", "Created")])
        };
        let mut map = self.operation(verb, action, description, subresource);
        map.insert("parameters".into(), parameters::write());
        let types: &[&str] = if self.served.info.is_custom() { &TYPES } else { &["*/*"] };
        map.insert("requestBody".into(), json!({"required": true, "content": content(definition, types)}));
        map.insert("responses".into(), responses(codes, definition));
        Value::Object(map)
    }

    fn patch(&self, definition: &str, subresource: &str) -> Value {
        let description = format!("partially update {}", self.words(subresource));
        let mut map = self.operation("patch", "patch", description, subresource);
        map.insert("parameters".into(), parameters::patch());
        let mut types = vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
        let mut codes = vec![("200", "OK")];
        if !self.served.info.is_custom() {
            types.push("application/strategic-merge-patch+json");
            codes.push(("201", "Created"));
        }
        let body = content(&format!("{META}.Patch"), &types);
        map.insert("requestBody".into(), json!({"required": true, "content": body}));
        map.insert("responses".into(), responses(&codes, definition));
        Value::Object(map)
    }

    fn delete(&self) -> Value {
        let kind = &self.served.info.kind;
        let an = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
        let mut map = self.operation("delete", "delete", format!("delete {an} {kind}"), "");
        map.insert("parameters".into(), parameters::delete());
        let types: &[&str] = if self.served.info.is_custom() { &TYPES } else { &["*/*"] };
        map.insert("requestBody".into(), json!({"content": content(&format!("{META}.DeleteOptions"), types)}));
        map.insert("responses".into(), responses(&[("200", "OK"), ("202", "Accepted")], &format!("{META}.Status")));
        Value::Object(map)
    }

    /// The deprecated watch paths of built-in kinds.
    fn watches(&self, scope: &str) -> Vec<(String, Value)> {
        let info = &self.served.info;
        let plural = &info.gr.resource;
        let one = |verb: &str, action: &str, all: bool| {
            let description = format!("watch changes to objects of kind {}", info.kind);
            let mut map = self.operation(verb, action, description, "");
            if all {
                map.insert("operationId".into(), self.id(verb, "List", true).into());
            }
            map.insert("responses".into(), json!({"200": {"description": "OK"}, "401": {"description": "Unauthorized"}}));
            Value::Object(map)
        };
        let mut paths = vec![
            (
                format!("/{}/watch{scope}/{plural}", self.root),
                json!({"get": one("watch", "watchlist", false), "parameters": parameters::path(None, info.namespaced)}),
            ),
            (
                format!("/{}/watch{scope}/{plural}/{{name}}", self.root),
                json!({"get": one("watch", "watch", false), "parameters": parameters::path(Some(&info.kind), info.namespaced)}),
            ),
        ];
        if info.namespaced {
            paths.push((
                format!("/{}/watch/{plural}", self.root),
                json!({"get": one("watch", "watchlist", true), "parameters": parameters::path(None, false)}),
            ));
        }
        paths
    }
}
