//! The kubevirt.io API types of every group, and the CustomResourceDefinitions made from them.
