//! Mutating webhooks: one after the other, each on what the one before left; those with `IfNeeded` once more when a later
//! step changed the object.

use super::Hook;
use crate::admission::matching::{Shown, converted, take_back};
use crate::admission::policy::mutating::Run;
use crate::admission::{Attributes, Chain, Warning};
use crate::error::{ApiError, go_quote};
use crate::patch::json_patch;
use crate::schema;

/// Asks the webhooks, and after a change by them or the policies before them everything that may run once more.
pub(in crate::admission) async fn mutate(
    chain: &Chain,
    attributes: &mut Attributes,
    policies: &mut Run,
    warnings: &mut Vec<Warning>,
) -> Result<(), ApiError> {
    let (hooks, _) = chain.webhooks.hooks();
    // Positions of webhooks that were asked and may be asked again, and of those that must be.
    let (mut asked, mut again): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut changed_once = false;
    for (position, hook) in hooks.iter().enumerate() {
        let Some(shown) = hook.select(chain, attributes)? else { continue };
        if call(chain, hook, &shown, attributes, warnings).await? {
            changed_once = true;
            again.clone_from(&asked);
        }
        if hook.reinvocable {
            asked.push(position);
        }
    }
    if !changed_once && !policies.changed {
        return Ok(());
    }
    let before = attributes.object.clone();
    chain.mutate_in_tree(attributes)?;
    policies.again(chain, attributes)?;
    if attributes.object != before {
        again = asked;
    }
    for hook in again.into_iter().filter_map(|position| hooks.get(position)) {
        if let Some(shown) = hook.select(chain, attributes)? {
            call(chain, hook, &shown, attributes, warnings).await?;
        }
    }
    Ok(())
}

/// Asks a webhook and applies its patch; says whether the object changed.
async fn call(
    chain: &Chain,
    hook: &Hook,
    shown: &Shown,
    attributes: &mut Attributes,
    warnings: &mut Vec<Warning>,
) -> Result<bool, ApiError> {
    let patched = {
        let view = converted(attributes, shown);
        let patch = match chain.webhooks.ask(hook, &view, true, warnings).await {
            Ok(Some(patch)) => patch,
            Ok(None) => return Ok(false),
            Err(problem) => return problem.resolve(hook).map(|()| false),
        };
        let Some(object) = &view.object else {
            let name = go_quote(&hook.name);
            return Err(ApiError::internal(format!(
                "admission webhook {name} attempted to modify the object, which is not supported for this operation"
            )));
        };
        let patched = json_patch(object, &patch).map_err(|error| ApiError::internal(error.message))?;
        if patched == *object {
            return Ok(false);
        }
        patched
    };
    take_back(attributes, patched);
    fill_defaults(chain, attributes);
    Ok(true)
}

/// What a webhook or policy added gets its defaults before the next one sees it.
pub(in crate::admission) fn fill_defaults(chain: &Chain, attributes: &mut Attributes) {
    let version = attributes.gvk.version.clone();
    let info = chain.registry.lookup_resource(&attributes.gr()).filter(|info| info.kind == attributes.gvk.kind);
    let (Some(info), Some(object)) = (info, attributes.object.as_mut().filter(|object| object.is_object())) else { return };
    if let Some(schema) = info.schema(&version) {
        schema::default(&schema, object);
    }
    if let Some(strategy) = info.strategy() {
        strategy.default(object, &version);
    }
}
