//! Encrypted guests: what was measured of them, and secrets for them (spec/api.md §3.7).

use launcher_rpc::{Result, RpcError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::launcher::{Inner, refused};

/// Header and secret as the guest's owner made them, base64.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Secret {
    header: String,
    secret: String,
}

impl Inner {
    /// SEVPlatformInfo.
    pub(crate) async fn sev_info(&self) -> Result<String> {
        let info = self.hypervisor.sev_info().await.map_err(|error| refused(&error))?;
        Ok(without_zeros(&json!({"pdh": info.pdh, "certChain": info.cert_chain})))
    }

    /// SEVMeasurementInfo.
    pub(crate) async fn launch_measurement(&self) -> Result<String> {
        let measured = self.existing().await?.sev_measurement().await.map_err(|error| refused(&error))?;
        Ok(without_zeros(&json!({
            "measurement": measured.measurement, "apiMajor": measured.api_major, "apiMinor": measured.api_minor,
            "buildID": measured.build_id, "policy": measured.policy, "loaderSHA": measured.loader_sha256,
        })))
    }

    pub(crate) async fn inject_launch_secret(&self, options: &[u8]) -> Result<()> {
        let secret: Secret = serde_json::from_slice(options).map_err(|error| RpcError::Refused(error.to_string()))?;
        if secret.header.is_empty() {
            return Err(RpcError::Refused("Header is required".to_owned()));
        }
        if secret.secret.is_empty() {
            return Err(RpcError::Refused("Secret is required".to_owned()));
        }
        let domain = self.existing().await?;
        domain.inject_sev_secret(&secret.header, &secret.secret).await.map_err(|error| refused(&error))
    }
}

/// The object without the fields that upstream leaves out: empty text, 0.
fn without_zeros(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten().filter(|(_, value)| *value != "" && *value != 0);
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect()).to_string()
}
