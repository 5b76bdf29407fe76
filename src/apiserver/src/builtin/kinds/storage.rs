//! Storage.

use crate::builtin::Strategy;

/// `PersistentVolume`.
#[derive(Debug)]
pub struct PersistentVolume;

impl Strategy for PersistentVolume {}

/// `PersistentVolumeClaim`.
#[derive(Debug)]
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {}

/// `StorageClass`.
#[derive(Debug)]
pub struct StorageClass;

impl Strategy for StorageClass {}
