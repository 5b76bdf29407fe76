//! Validating webhooks: all at once, on the final object.

use futures::future::join_all;

use crate::admission::matching::converted;
use crate::admission::{Attributes, Chain, Warning};
use crate::error::ApiError;

pub(in crate::admission) async fn validate(chain: &Chain, attributes: &Attributes, warnings: &mut Vec<Warning>) -> Result<(), ApiError> {
    let (_, hooks) = chain.webhooks.hooks();
    let mut selected = Vec::new();
    for hook in hooks.iter() {
        if let Some(shown) = hook.select(chain, attributes)? {
            selected.push((hook, shown));
        }
    }
    let calls = selected.iter().map(|(hook, shown)| async move {
        let mut warnings = Vec::new();
        let view = converted(attributes, shown);
        let answer = chain.webhooks.ask(hook, &view, false, &mut warnings).await;
        let result = answer.map(|_| ()).or_else(|problem| problem.resolve(hook));
        (result, warnings)
    });
    // The first refusal in the webhooks' order is told, whoever answered first.
    let mut refusal = Ok(());
    for (result, texts) in join_all(calls).await {
        warnings.extend(texts);
        refusal = refusal.and(result);
    }
    refusal
}
