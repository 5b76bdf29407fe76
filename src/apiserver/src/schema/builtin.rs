//! Schemas of built-in kinds: the published Kubernetes types, with the merge facts of the private `facts` table, built at first use
//! and shared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use k8s_openapi::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::facts::{self, Fact};
use super::{Additional, JsonType, ListType, MapType, Recursive, Schema, Subtree};
use crate::resource::Gvk;

/// Name of `metav1.ObjectMeta`'s definition.
pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// Name of `metav1.ListMeta`'s definition.
pub const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const SHARD_INFO: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ShardInfo";
const JSON_SCHEMA_PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
const BETA_POLICIES: &str = ".admissionregistration.v1beta1.";
const CRD_TYPES: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";

type Loader = fn(&mut SchemaGenerator) -> schemars::Schema;

macro_rules! kinds {
    ($($group:literal $version:literal: $($kind:ident = $path:path),+ ;)+) => {
        /// Group, version, kind, and how to get the type's schema.
        static KINDS: &[(&str, &str, &str, Loader)] = &[
            $($(($group, $version, stringify!($kind), |generator| generator.subschema_for::<$path>()),)+)+
        ];
    };
}

kinds! {
    "" "v1":
        Binding = api::core::v1::Binding, ComponentStatus = api::core::v1::ComponentStatus,
        ConfigMap = api::core::v1::ConfigMap, Endpoints = api::core::v1::Endpoints, Event = api::core::v1::Event,
        LimitRange = api::core::v1::LimitRange, Namespace = api::core::v1::Namespace, Node = api::core::v1::Node,
        PersistentVolume = api::core::v1::PersistentVolume,
        PersistentVolumeClaim = api::core::v1::PersistentVolumeClaim, Pod = api::core::v1::Pod,
        PodTemplate = api::core::v1::PodTemplate, ReplicationController = api::core::v1::ReplicationController,
        ResourceQuota = api::core::v1::ResourceQuota, Secret = api::core::v1::Secret,
        Service = api::core::v1::Service, ServiceAccount = api::core::v1::ServiceAccount;
    "admissionregistration.k8s.io" "v1":
        MutatingAdmissionPolicy = api::admissionregistration::v1beta1::MutatingAdmissionPolicy,
        MutatingAdmissionPolicyBinding = api::admissionregistration::v1beta1::MutatingAdmissionPolicyBinding,
        MutatingWebhookConfiguration = api::admissionregistration::v1::MutatingWebhookConfiguration,
        ValidatingAdmissionPolicy = api::admissionregistration::v1::ValidatingAdmissionPolicy,
        ValidatingAdmissionPolicyBinding = api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        ValidatingWebhookConfiguration = api::admissionregistration::v1::ValidatingWebhookConfiguration;
    "apiextensions.k8s.io" "v1": CustomResourceDefinition = apiextensions::CustomResourceDefinition;
    "apiregistration.k8s.io" "v1": APIService = apiregistration::APIService;
    "apps" "v1":
        ControllerRevision = api::apps::v1::ControllerRevision, DaemonSet = api::apps::v1::DaemonSet,
        Deployment = api::apps::v1::Deployment, ReplicaSet = api::apps::v1::ReplicaSet,
        StatefulSet = api::apps::v1::StatefulSet;
    "authentication.k8s.io" "v1":
        SelfSubjectReview = api::authentication::v1::SelfSubjectReview,
        TokenRequest = api::authentication::v1::TokenRequest, TokenReview = api::authentication::v1::TokenReview;
    "authorization.k8s.io" "v1":
        LocalSubjectAccessReview = api::authorization::v1::LocalSubjectAccessReview,
        SelfSubjectAccessReview = api::authorization::v1::SelfSubjectAccessReview,
        SelfSubjectRulesReview = api::authorization::v1::SelfSubjectRulesReview,
        SubjectAccessReview = api::authorization::v1::SubjectAccessReview;
    "autoscaling" "v1":
        HorizontalPodAutoscaler = api::autoscaling::v1::HorizontalPodAutoscaler, Scale = api::autoscaling::v1::Scale;
    "autoscaling" "v2": HorizontalPodAutoscaler = api::autoscaling::v2::HorizontalPodAutoscaler;
    "batch" "v1": CronJob = api::batch::v1::CronJob, Job = api::batch::v1::Job;
    "certificates.k8s.io" "v1": CertificateSigningRequest = api::certificates::v1::CertificateSigningRequest;
    "coordination.k8s.io" "v1": Lease = api::coordination::v1::Lease;
    "discovery.k8s.io" "v1": EndpointSlice = api::discovery::v1::EndpointSlice;
    "events.k8s.io" "v1": Event = api::events::v1::Event;
    "flowcontrol.apiserver.k8s.io" "v1":
        FlowSchema = api::flowcontrol::v1::FlowSchema,
        PriorityLevelConfiguration = api::flowcontrol::v1::PriorityLevelConfiguration;
    "networking.k8s.io" "v1":
        IPAddress = api::networking::v1::IPAddress, Ingress = api::networking::v1::Ingress,
        IngressClass = api::networking::v1::IngressClass, NetworkPolicy = api::networking::v1::NetworkPolicy,
        ServiceCIDR = api::networking::v1::ServiceCIDR;
    "node.k8s.io" "v1": RuntimeClass = api::node::v1::RuntimeClass;
    "policy" "v1": Eviction = api::policy::v1::Eviction, PodDisruptionBudget = api::policy::v1::PodDisruptionBudget;
    "rbac.authorization.k8s.io" "v1":
        ClusterRole = api::rbac::v1::ClusterRole, ClusterRoleBinding = api::rbac::v1::ClusterRoleBinding,
        Role = api::rbac::v1::Role, RoleBinding = api::rbac::v1::RoleBinding;
    "resource.k8s.io" "v1":
        DeviceClass = api::resource::v1::DeviceClass, ResourceClaim = api::resource::v1::ResourceClaim,
        ResourceClaimTemplate = api::resource::v1::ResourceClaimTemplate,
        ResourceSlice = api::resource::v1::ResourceSlice;
    "scheduling.k8s.io" "v1": PriorityClass = api::scheduling::v1::PriorityClass;
    "storage.k8s.io" "v1":
        CSIDriver = api::storage::v1::CSIDriver, CSINode = api::storage::v1::CSINode,
        CSIStorageCapacity = api::storage::v1::CSIStorageCapacity, StorageClass = api::storage::v1::StorageClass,
        VolumeAttachment = api::storage::v1::VolumeAttachment,
        VolumeAttributesClass = api::storage::v1::VolumeAttributesClass;
    "meta.k8s.io" "v1":
        DeleteOptions = meta::DeleteOptions, Status = meta::Status, ListMeta = meta::ListMeta, Patch = meta::Patch,
        ObjectMeta = meta::ObjectMeta;
}

static ROOTS: RwLock<BTreeMap<Gvk, Arc<Schema>>> = RwLock::new(BTreeMap::new());
static DEFINITIONS: RwLock<BTreeMap<Box<str>, Arc<Schema>>> = RwLock::new(BTreeMap::new());

/// Every kind whose schema is known, in the order of groups.
pub fn kinds() -> impl Iterator<Item = Gvk> {
    KINDS.iter().map(|(group, version, kind, _)| Gvk::new(*group, *version, *kind))
}

/// The schema of a built-in kind, built at first use.
pub fn schema_of(gvk: &Gvk) -> Option<Arc<Schema>> {
    if let Some(known) = ROOTS.read().unwrap_or_else(PoisonError::into_inner).get(gvk) {
        return Some(known.clone());
    }
    let (_, _, _, load) =
        KINDS.iter().find(|(group, version, kind, _)| *group == gvk.group && *version == gvk.version && *kind == gvk.kind)?;
    let schema = definition(&load_definitions(*load)?)?;
    ROOTS.write().unwrap_or_else(PoisonError::into_inner).insert(gvk.clone(), schema.clone());
    Some(schema)
}

/// A type by its OpenAPI name (`io.k8s.api.core.v1.PodSpec`), if a kind that uses it has been looked up before.
pub fn definition(name: &str) -> Option<Arc<Schema>> {
    DEFINITIONS.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}

/// `metav1.ObjectMeta`.
pub fn object_meta() -> &'static Schema {
    static META: OnceLock<Arc<Schema>> = OnceLock::new();
    META.get_or_init(|| schema_of(&Gvk::new("meta.k8s.io", "v1", "ObjectMeta")).unwrap_or_default())
}

/// `JSONSchemaProps` of CustomResourceDefinitions, the one type that contains itself.
pub(crate) fn json_schema_props() -> &'static Schema {
    static PROPS: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let _ = schema_of(&Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
        definition(JSON_SCHEMA_PROPS).unwrap_or_default()
    });
    &PROPS
}

/// Loads a type and all that it refers to; returns its definition's name.
fn load_definitions(load: Loader) -> Option<String> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let root = load(&mut generator).to_value();
    let name = graduated(reference(root.as_object()?)?);
    let raw: Map<String, Value> =
        generator.take_definitions(true).into_iter().map(|(name, definition)| (graduated(&name), definition)).collect();
    let mut builder = Builder { raw: &raw, done: BTreeMap::new(), open: BTreeSet::new() };
    builder.definition(&name);
    let mut known = DEFINITIONS.write().unwrap_or_else(PoisonError::into_inner);
    for (name, schema) in builder.done {
        known.entry(name).or_insert(schema);
    }
    Some(name)
}

/// Mutating policies are served as version 1; the published Rust types have them as beta, with the same fields.
fn graduated(name: &str) -> String {
    name.replace(BETA_POLICIES, ".admissionregistration.v1.")
}

fn reference(map: &Map<String, Value>) -> Option<&str> {
    map.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
}

struct Builder<'a> {
    raw: &'a Map<String, Value>,
    done: BTreeMap<Box<str>, Arc<Schema>>,
    open: BTreeSet<Box<str>>,
}

impl Builder<'_> {
    fn definition(&mut self, name: &str) -> Arc<Schema> {
        if let Some(done) = self.done.get(name).cloned().or_else(|| definition(name)) {
            return done;
        }
        if name.starts_with(CRD_TYPES) && name.contains(".JSONSchemaPropsOr") || self.open.contains(name) {
            return Arc::new(recursive(name));
        }
        self.open.insert(name.into());
        let raw = self.raw.get(name).cloned().unwrap_or_else(|| json!({"type": "object"}));
        let mut schema = self.convert(&raw, facts::of(name));
        schema.definition = Some(name.into());
        // What Kubernetes keeps as raw JSON is owned and replaced as a whole.
        if schema.preserve_unknown && [".RawExtension", ".FieldsV1", ".JSON"].iter().any(|kind| name.ends_with(kind)) {
            schema.map_type = Some(MapType::Atomic);
        }
        if name.ends_with(".apiextensions.v1.JSON") {
            schema.types = None;
            schema.preserve_unknown = true;
        }
        if name == LIST_META {
            self.add_shard_info(&mut schema);
        }
        // The published Rust types demand metadata of every kind; the API does not.
        if schema.properties.contains_key("apiVersion") && schema.properties.contains_key("kind") {
            schema.required.retain(|name| &**name != "metadata");
        }
        if let Some(own) = facts::of(name).and_then(|facts| facts.get(".")) {
            apply(&mut schema, own);
        }
        let schema = Arc::new(schema.finished());
        self.open.remove(name);
        self.done.insert(name.into(), schema.clone());
        schema
    }

    /// Lists say which shard they are; younger than the published Rust types.
    fn add_shard_info(&mut self, list_meta: &mut Schema) {
        let raw = json!({
            "description": "ShardInfo describes which part of a collection a list holds.",
            "type": "object",
            "required": ["selector"],
            "properties": {"selector": {"type": "string", "description": "The shard selector of the request."}},
        });
        let mut shard = self.convert(&raw, None);
        shard.definition = Some(SHARD_INFO.into());
        let shard = Arc::new(shard);
        self.done.insert(SHARD_INFO.into(), shard.clone());
        list_meta.properties.insert("shardInfo".into(), shard);
    }

    fn convert(&mut self, raw: &Value, facts: Option<&'static BTreeMap<&'static str, Fact>>) -> Schema {
        let Some(map) = raw.as_object() else { return Schema::default() };
        if let Some(name) = reference(map) {
            let mut schema = (*self.definition(&graduated(name))).clone();
            if let Some(description) = map.get("description").and_then(Value::as_str) {
                schema.docs.get_or_insert_default().description = Some(description.into());
            }
            return schema;
        }
        let mut shallow = map.clone();
        for key in ["properties", "items", "additionalProperties"] {
            shallow.remove(key);
        }
        let mut schema = Schema::parse(&Value::Object(shallow));
        if let Some(properties) = map.get("properties").and_then(Value::as_object) {
            for (name, raw) in properties {
                let mut property = self.convert(raw, None);
                if let Some(fact) = facts.and_then(|facts| facts.get(name.as_str())) {
                    apply(&mut property, fact);
                    property = property.finished();
                }
                schema.properties.insert(name.as_str().into(), Arc::new(property));
            }
        }
        if let Some(items) = map.get("items") {
            schema.items = Some(Arc::new(self.convert(items, None)));
            schema.list_type = schema.list_type.or(Some(ListType::Atomic));
        }
        match map.get("additionalProperties") {
            Some(Value::Bool(allowed)) => schema.additional = Some(Additional::Allowed(*allowed)),
            Some(raw) => schema.additional = Some(Additional::Schema(Arc::new(self.convert(raw, None)))),
            None => {}
        }
        let open = schema.properties.is_empty() && schema.additional.is_none();
        if open && matches!(schema.types, None | Some(JsonType::Object)) && !schema.int_or_string {
            schema.preserve_unknown = true;
        }
        schema.finished()
    }
}

/// Stands where `JSONSchemaProps` (or `…OrBool`, `…OrArray`, `…OrStringArray`) occurs in itself.
fn recursive(name: &str) -> Schema {
    Schema {
        recursive: Some(Recursive::JsonSchemaProps),
        definition: Some(name.into()),
        subtree: Subtree { properties: true, ..Subtree::default() },
        ..Schema::default()
    }
}

fn apply(schema: &mut Schema, fact: &Fact) {
    if fact.list_type.is_some() {
        schema.list_type = fact.list_type;
        schema.list_map_keys = fact.list_map_keys.iter().map(|key| (*key).into()).collect();
    }
    if fact.atomic_object {
        schema.map_type = Some(MapType::Atomic);
    }
    if fact.patch_strategy.is_some() {
        schema.patch_strategy = fact.patch_strategy;
        schema.patch_merge_key = fact.patch_merge_key.map(Into::into);
    }
    if let Some(text) = fact.default {
        schema.default = Some(text.into());
    }
}
