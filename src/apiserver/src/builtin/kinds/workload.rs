//! Workloads.

use crate::builtin::Strategy;

/// `ControllerRevision`.
#[derive(Debug)]
pub struct ControllerRevision;

impl Strategy for ControllerRevision {}

/// `CronJob`.
#[derive(Debug)]
pub struct CronJob;

impl Strategy for CronJob {}

/// `DaemonSet`.
#[derive(Debug)]
pub struct DaemonSet;

impl Strategy for DaemonSet {}

/// `Deployment`.
#[derive(Debug)]
pub struct Deployment;

impl Strategy for Deployment {}

/// `HorizontalPodAutoscaler`.
#[derive(Debug)]
pub struct HorizontalPodAutoscaler;

impl Strategy for HorizontalPodAutoscaler {}

/// `Job`.
#[derive(Debug)]
pub struct Job;

impl Strategy for Job {}

/// `PodDisruptionBudget`.
#[derive(Debug)]
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {}

/// `PodTemplate`.
#[derive(Debug)]
pub struct PodTemplate;

impl Strategy for PodTemplate {}

/// `ReplicaSet`.
#[derive(Debug)]
pub struct ReplicaSet;

impl Strategy for ReplicaSet {}

/// `ReplicationController`.
#[derive(Debug)]
pub struct ReplicationController;

impl Strategy for ReplicationController {}

/// `StatefulSet`.
#[derive(Debug)]
pub struct StatefulSet;

impl Strategy for StatefulSet {}
