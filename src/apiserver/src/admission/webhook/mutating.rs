//! Mutating webhooks: one after the other, each on what the one before left; those with `IfNeeded` once more when a later
//! step changed the object.

use serde_json::Value;

use super::Hook;
use crate::admission::matching::{Shown, converted, take_back};
use crate::admission::{Attributes, Chain, Warning};
use crate::error::{ApiError, go_quote};
use crate::patch::json_patch;
use crate::schema;

pub(in crate::admission) async fn mutate(chain: &Chain, attributes: &mut Attributes, warnings: &mut Vec<Warning>) -> Result<(), ApiError> {
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
    if !changed_once {
        return Ok(());
    }
    let before = attributes.object.clone();
    chain.mutate_in_tree(attributes)?;
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

/// What a webhook added gets its defaults before the next one sees it.
fn fill_defaults(chain: &Chain, attributes: &mut Attributes) {
    let version = &attributes.gvk.version;
    let schema = chain
        .registry
        .lookup_resource(&attributes.gr())
        .filter(|info| info.kind == attributes.gvk.kind)
        .and_then(|info| info.schema(version));
    if let (Some(schema), Some(object)) = (schema, attributes.object.as_mut().filter(|o| Value::is_object(o))) {
        schema::default(&schema, object);
    }
}
