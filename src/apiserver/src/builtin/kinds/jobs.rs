//! Jobs, at once and on a schedule.

use serde_json::{Value, json};

use super::workload::{check_replicas, default_template, keep_spec_on_status};
use super::{null_members, pod_rules, schedule};
use crate::builtin::gostruct::{self, Struct};
use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError, printed};
use crate::object;
use crate::registry::delete_options::{DeleteOptions, Propagation};

/// `Job`.
#[derive(Debug)]
pub struct Job;

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";

fn check_job_template(template: &Value, field: &str, wrong: &mut Vec<FieldError>) {
    pod_rules::check_template(template, field, wrong);
    let policy = object::text(template, &["spec", "restartPolicy"]);
    let field = format!("{field}.spec.restartPolicy");
    match policy {
        "OnFailure" | "Never" => {}
        "Always" => wrong.push(FieldError::required(field, "valid values: \"OnFailure\", \"Never\"")),
        _ => wrong.push(FieldError::not_supported(field, policy, &["OnFailure", "Never"])),
    }
}

impl Strategy for Job {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        let unset = |object: &Value, key: &str| object::number(object, &["spec", key]).is_none();
        if unset(object, "completions") && unset(object, "parallelism") {
            object::set_default(object, &["spec", "completions"], 1);
        }
        object::set_default(object, &["spec", "parallelism"], 1);
        if object::at(object, &["spec", "backoffLimitPerIndex"]).is_none() {
            object::set_default(object, &["spec", "backoffLimit"], 6);
        }
        object::set_default(object, &["spec", "completionMode"], "NonIndexed");
        object::set_default(object, &["spec", "manualSelector"], false);
        object::set_default(object, &["spec", "suspend"], false);
        let policy = if object::at(object, &["spec", "podFailurePolicy"]).is_some() { "Failed" } else { "TerminatingOrFailed" };
        object::set_default(object, &["spec", "podReplacementPolicy"], policy);
        let labels = object::at(object, &["spec", "template", "metadata", "labels"]).cloned();
        if let Some(labels) = labels.filter(|_| object::at(object, &["metadata", "labels"]).is_none()) {
            object::set(object, &["metadata", "labels"], labels);
        }
        default_template(object, &["spec", "template"]);
        object::set_default(object, &["status"], json!({}));
        null_members(object, &["status", "conditions"], &["lastProbeTime", "lastTransitionTime"]);
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({}));
        if object::flag(object, &["spec", "manualSelector"]) {
            return Ok(());
        }
        let (uid, name) = (object::uid(object).to_owned(), object::name(object).to_owned());
        for base in [&["metadata", "labels"][..], &["spec", "template", "metadata", "labels"]] {
            for (key, value) in [("controller-uid", &uid), (UID_LABEL, &uid), ("job-name", &name), ("batch.kubernetes.io/job-name", &name)]
            {
                let path: Vec<&str> = base.iter().copied().chain([key]).collect();
                object::set(object, &path, value.as_str());
            }
        }
        object::set(object, &["spec", "selector", "matchLabels", UID_LABEL], uid);
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        keep_spec_on_status(cx, object, old);
        Ok(())
    }

    fn validate(&self, cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"] {
            check_replicas(object, field, &mut wrong);
        }
        if let Some(template) = object::at(object, &["spec", "template"]) {
            check_job_template(template, "spec.template", &mut wrong);
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut wrong = self.validate(cx, object);
        if cx.subresource == "status" {
            return wrong;
        }
        let spec = |job: &Value, field: &str| object::at(job, &["spec", field]).cloned().unwrap_or(Value::Null);
        let mut frozen = |field: &'static str, shown: &dyn Fn(&Value) -> Value| {
            let (new, before) = (spec(object, field), spec(old, field));
            if new != before {
                wrong.push(FieldError::invalid(format!("spec.{field}"), shown(&new), "field is immutable"));
            }
        };
        let as_it_is = |value: &Value| value.clone();
        frozen("selector", &as_it_is);
        // A suspended job that never ran may still be given another place to run.
        let untouched = object::flag(old, &["spec", "suspend"]) && object::at(old, &["status", "startTime"]).is_none();
        if !untouched {
            frozen("template", &|template| printed(gostruct::line(Struct::PodTemplateSpec, template)));
        }
        for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
            frozen(field, &as_it_is);
        }
        let indexed = object::text(old, &["spec", "completionMode"]) == "Indexed";
        if !indexed {
            frozen("completions", &as_it_is);
        }
        wrong
    }

    fn default_propagation(&self, _version: &str) -> Option<Propagation> {
        Some(Propagation::Orphan)
    }

    fn delete_warning(&self, options: &DeleteOptions) -> Option<String> {
        options.propagation.is_none().then(|| {
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
             or set propagationPolicy=Orphan to suppress this warning"
                .to_owned()
        })
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["status.successful"]
    }

    fn fields(&self, object: &Value) -> std::collections::BTreeMap<String, String> {
        let succeeded = object::number(object, &["status", "succeeded"]).unwrap_or(0);
        [("status.successful".to_owned(), succeeded.to_string())].into()
    }
}

/// `CronJob`.
#[derive(Debug)]
pub struct CronJob;

impl Strategy for CronJob {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "concurrencyPolicy"], "Allow");
        object::set_default(object, &["spec", "suspend"], false);
        object::set_default(object, &["spec", "successfulJobsHistoryLimit"], 3);
        object::set_default(object, &["spec", "failedJobsHistoryLimit"], 1);
        object::set_default(object, &["spec", "jobTemplate", "metadata"], json!({}));
        default_template(object, &["spec", "jobTemplate", "spec", "template"]);
        object::set_default(object, &["status"], json!({}));
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let text = |field: &str| object::text(object, &["spec", field]);
        if text("schedule").is_empty() {
            wrong.push(FieldError::required("spec.schedule", ""));
        } else if let Err(why) = schedule::check(text("schedule")) {
            wrong.push(FieldError::invalid("spec.schedule", text("schedule"), why));
        }
        check_replicas(object, "startingDeadlineSeconds", &mut wrong);
        let known = ["Allow", "Forbid", "Replace"];
        if !known.contains(&text("concurrencyPolicy")) {
            wrong.push(FieldError::not_supported("spec.concurrencyPolicy", text("concurrencyPolicy"), &known));
        }
        for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            check_replicas(object, field, &mut wrong);
        }
        if let Some(template) = object::at(object, &["spec", "jobTemplate", "spec", "template"]) {
            check_job_template(template, "spec.jobTemplate.spec.template", &mut wrong);
        }
        wrong
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({}));
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        keep_spec_on_status(cx, object, old);
        Ok(())
    }
}
