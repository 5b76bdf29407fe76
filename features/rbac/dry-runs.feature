Feature: A virt-api that is taken over runs nothing
  virt-api asks the API server whether the components could be placed as an administrator wants: it has them created in a dry run.
  A policy sees to it that it creates them in no other way.

  Scenario: virt-api tries workloads and stores none
    Given a cluster with 1 node
    Then virt-api may create a Deployment in a dry run
    And virt-api may create a DaemonSet in a dry run
    But virt-api may not create a Deployment
    And the refusal says "ValidatingAdmissionPolicy 'kubevirt-apiserver-dry-run-policy' with binding 'kubevirt-apiserver-dry-run-binding' denied request: this user can create workloads in dry runs only"
    And virt-api may not create a DaemonSet
    And the refusal says "this user can create workloads in dry runs only"
