//! Probes and access credentials.

use k8s_openapi::api::core::v1::ExecAction;
use k8s_openapi::api::core::v1::HTTPGetAction;
use k8s_openapi::api::core::v1::TCPSocketAction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How liveness or readiness is tested; exactly one handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Probe {
    /// A command in the guest succeeds, run by the guest agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// The guest agent answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_agent_ping: Option<GuestAgentPing>,
    /// An HTTP request succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HTTPGetAction>,
    /// A TCP connection succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TCPSocketAction>,
    /// Seconds to wait before the first try.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub initial_delay_seconds: Option<i32>,
    /// Timeout seconds: default 1.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub timeout_seconds: Option<i32>,
    /// Period seconds: default 10.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub period_seconds: Option<i32>,
    /// Success threshold: default 1; must be 1 for liveness.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub success_threshold: Option<i32>,
    /// Failure threshold: default 3.
    #[serde(skip_serializing_if = "crate::zero::is_zero")]
    pub failure_threshold: Option<i32>,
}

/// The guest agent answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GuestAgentPing {}

/// A credential put into the guest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessCredential {
    /// SSH public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_public_key: Option<SSHPublicKeyAccessCredential>,
    /// A user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_password: Option<UserPasswordAccessCredential>,
}

/// `sshPublicKey` of a AccessCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SSHPublicKeyAccessCredential {
    /// Where the data comes from.
    pub source: SSHPublicKeyAccessCredentialSource,
    /// How the credential reaches the guest.
    pub propagation_method: SSHPublicKeyAccessCredentialPropagationMethod,
}

/// `source` of a SSHPublicKeyAccessCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SSHPublicKeyAccessCredentialSource {
    /// A secret in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<AccessCredentialSecretSource>,
}

/// `secret` of a SSHPublicKeyAccessCredentialSource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessCredentialSecretSource {
    /// The secret's name.
    pub secret_name: String,
}

/// `propagationMethod` of a SSHPublicKeyAccessCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SSHPublicKeyAccessCredentialPropagationMethod {
    /// Through the config drive, at boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_drive: Option<ConfigDriveSSHPublicKeyAccessCredentialPropagation>,
    /// Through the NoCloud medium, at boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_cloud: Option<NoCloudSSHPublicKeyAccessCredentialPropagation>,
    /// Through the guest agent, while the guest runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qemu_guest_agent: Option<QemuGuestAgentSSHPublicKeyAccessCredentialPropagation>,
}

/// `configDrive` of a SSHPublicKeyAccessCredentialPropagationMethod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigDriveSSHPublicKeyAccessCredentialPropagation {}

/// `noCloud` of a SSHPublicKeyAccessCredentialPropagationMethod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NoCloudSSHPublicKeyAccessCredentialPropagation {}

/// `qemuGuestAgent` of a SSHPublicKeyAccessCredentialPropagationMethod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QemuGuestAgentSSHPublicKeyAccessCredentialPropagation {
    /// The guest's users that get the keys.
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub users: Vec<String>,
}

/// `userPassword` of a AccessCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserPasswordAccessCredential {
    /// Where the data comes from.
    pub source: UserPasswordAccessCredentialSource,
    /// How the credential reaches the guest.
    pub propagation_method: UserPasswordAccessCredentialPropagationMethod,
}

/// `source` of a UserPasswordAccessCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserPasswordAccessCredentialSource {
    /// A secret in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<AccessCredentialSecretSource>,
}

/// `propagationMethod` of a UserPasswordAccessCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserPasswordAccessCredentialPropagationMethod {
    /// Through the guest agent, while the guest runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qemu_guest_agent: Option<QemuGuestAgentUserPasswordAccessCredentialPropagation>,
}

/// `qemuGuestAgent` of a UserPasswordAccessCredentialPropagationMethod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QemuGuestAgentUserPasswordAccessCredentialPropagation {}
