//! The DataVolumes of a VM's templates (spec controllers §3.5). They are made here and awaited, never deleted: garbage
//! collection does that.

use api::names::{self, reason};
use api::v1::DataVolumeTemplateSpec;
use serde_json::json;

use super::Observed;
use crate::plan::{Action, ObjectRef, OnFailure, PlanError, Tolerate, kinds};
use crate::storage::{DataVolume, Progress};
use crate::{conditions, metadata};

/// Lets CDI take over a claim of the same name.
const ALLOW_ADOPTION: &str = "cdi.kubevirt.io/allowClaimAdoption";

/// How far the templates are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Templates {
    /// All exist and can be used.
    pub(super) ready: bool,
    /// What is to be written.
    pub(super) actions: Vec<Action>,
    /// What is wrong.
    pub(super) error: Option<PlanError>,
}

/// Makes what is missing and says whether all is there; errors begin with `prefix`.
pub(super) fn ensure(observed: &Observed<'_>, prefix: &str) -> Templates {
    let mut templates = Templates { ready: true, ..Templates::default() };
    for template in &observed.vm.spec.data_volume_templates {
        let name = template.metadata.as_deref().and_then(|metadata| metadata.name.as_deref()).unwrap_or_default();
        if let Some(found) = observed.storage.data_volumes.get(name) {
            templates.check(observed, found, prefix);
        } else {
            templates.ready = false;
            templates.create(observed, template, name, prefix);
        }
        if templates.error.is_some() {
            break;
        }
    }
    templates
}

impl Templates {
    fn check(&mut self, observed: &Observed<'_>, found: &DataVolume, prefix: &str) {
        let name = metadata::name(&found.metadata);
        match found.progress() {
            Progress::Succeeded | Progress::WaitForFirstConsumer | Progress::PendingPopulation => {}
            Progress::Failed => {
                self.ready = false;
                let text = format!("DataVolume {name} failed to import disk image");
                self.actions.push(Action::warning(&observed.reference(), reason::FAILED_DATA_VOLUME_IMPORT, text));
            }
            Progress::Pending => {
                self.ready = false;
                if let Some(text) = quota(found) {
                    let told = format!("DataVolume {name} exceeds quota limits");
                    self.actions.push(Action::warning(&observed.reference(), reason::FAILED_DATA_VOLUME_IMPORT, told));
                    let text = format!("{prefix}DataVolume {name} importer is not running due to an error: {text}");
                    self.error = Some(PlanError::new(reason::FAILED_CREATE, text));
                }
            }
            Progress::Unset | Progress::Underway => self.ready = false,
        }
    }

    fn create(&mut self, observed: &Observed<'_>, template: &DataVolumeTemplateSpec, name: &str, prefix: &str) {
        let subject = observed.reference();
        let refused = |text: String| Some(PlanError::new(reason::FAILED_CREATE, format!("{prefix}{text}")));
        let resolved = match observed.lookups.sources.get(name) {
            Some(Err(text)) => {
                self.error = refused(format!("unable to create DataVolume manifest: {text}"));
                return;
            }
            Some(Ok(resolved)) => resolved.clone(),
            None => None,
        };
        let mut spec = template.spec.clone();
        if let Some(source) = resolved {
            spec.source_ref = None;
            spec.source = Some(Box::new(source));
        }
        if spec.source_ref.is_some() {
            self.error = refused("DataVolume sourceRef not supported".to_owned());
            return;
        }
        if observed.lookups.sourceless.contains(name) {
            let claim = observed.lookups.clone_source(name).map(|source| source.name).unwrap_or_default();
            let text = format!("Source PVC {claim} not available: Target PVC {name} will remain unpopulated until source is created");
            self.actions.push(Action::warning(&subject, "SourcePVCNotAvailabe", text));
        }
        if let Some(denial) = observed.clone_denials.get(name) {
            let text = format!("Not authorized to create DataVolume {name}: {denial}");
            self.actions.push(Action::warning(&subject, "UnauthorizedDataVolumeCreate", text.as_str()));
            self.error = refused(format!("not authorized to create DataVolume: {denial}"));
            return;
        }
        let mut meta = template.metadata.as_deref().cloned().unwrap_or_default();
        metadata::set(&mut meta.labels, names::CREATED_BY_LABEL, Some(observed.uid()));
        metadata::set(&mut meta.annotations, ALLOW_ADOPTION, Some("true"));
        meta.owner_references = Some(vec![subject.controller_reference()]);
        let priority = observed.vm.spec.template.spec.as_deref().and_then(|spec| spec.priority_class_name.clone());
        if spec.priority_class_name.as_deref().unwrap_or_default().is_empty() {
            spec.priority_class_name = priority;
        }
        let object = ObjectRef::new(&kinds::DATA_VOLUME, observed.vm.metadata.namespace.as_deref(), "");
        let body = json!({"apiVersion": kinds::DATA_VOLUME.api_version, "kind": kinds::DATA_VOLUME.kind, "metadata": meta, "spec": spec});
        let claimed = observed.storage.claims.contains_key(name);
        self.actions.push(Action::Create {
            object,
            body,
            on_failure: OnFailure {
                reason: reason::FAILED_CREATE.into(),
                event_reason: "FailedDataVolumeCreate".into(),
                prefix: format!("{prefix}failed to create DataVolume: "),
                event: Some((subject.clone(), format!("Error creating DataVolume {name}: "))),
                tolerate: if claimed { Tolerate::AlreadyExists } else { Tolerate::Nothing },
            },
        });
        self.actions.push(Action::normal(&subject, "SuccessfulDataVolumeCreate", format!("Created DataVolume {name}")));
    }
}

/// The complaint of a quota.
fn quota(found: &DataVolume) -> Option<&str> {
    let bound = found.condition("Bound").filter(|bound| bound.status != conditions::TRUE)?;
    (bound.reason.as_deref() == Some("ErrExceededQuota")).then(|| bound.message.as_deref().unwrap_or_default())
}
