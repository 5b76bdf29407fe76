Feature: Bad input is named and refused
  In the original's words where it has some; nothing is stored.

  Scenario Outline: A <kind> with <fault>
    Given a cluster with 1 node
    When the client posts:
      """
      <manifest>
      """
    Then it is refused with <code> and "<message>"
    And nothing was stored

    Examples:
      | kind                   | fault              | code | message                                | manifest |
      | VirtualMachine         | both run fields    | 422  | Running and RunStrategy are mutually exclusive | {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}, "spec": {"running": true, "runStrategy": "Always", "template": {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}}} |
      | VirtualMachine         | no run field       | 422  | RunStrategy must be specified | {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}, "spec": {"template": {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}}} |
      | VirtualMachine         | an illegal name    | 422  | a lowercase RFC 1123 subdomain must consist of | {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "VM_1"}, "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}}} |
      | VirtualMachine         | no name            | 422  | name or generateName is required       | {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {}, "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}}} |
      | VirtualMachine         | no template        | 422  | spec.template in body is required      | {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}, "spec": {"runStrategy": "Halted"}} |
      | VirtualMachineInstance | no memory          | 422  | no memory requested                    | {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "vmi"}, "spec": {"domain": {"devices": {}}}} |

  Scenario: A field that does not exist, under strict validation
    Given a cluster with 1 node
    When the client posts with strict field validation:
      """
      {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "vmi"}, "spec": {"cores": 4, "domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}
      """
    Then it is refused with 400 and "unknown field \"spec.cores\""
    And nothing was stored

  Scenario: Malformed JSON
    Given a cluster with 1 node
    When the client posts the raw body "{\"apiVersion\": \"kubevirt.io/v1\", \"kind\": " as "application/json"
    Then it is refused with 400 and "unexpected end of JSON input"

  Scenario: Malformed YAML
    Given a cluster with 1 node
    When the client posts the raw body "kind: [VirtualMachineInstance" as "application/yaml"
    Then it is refused with 400 and "yaml: line 1"

  Scenario: The spec of a live VMI does not change
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi"
    And the VMI "vmi" becomes Running
    And the client tries to patch the VMI "vmi" with:
      """
      {"spec": {"terminationGracePeriodSeconds": 5}}
      """
    Then it is refused with 422 and "update of VMI object is restricted"

  Scenario: A 3 MB object
    Given a cluster with 1 node
    When the client posts a ConfigMap of 3 MB
    Then it is refused with 413 and "Request entity is too large"

  Scenario Outline: A VMI of <count> disks
    Given a cluster with 1 node
    When the client posts a VMI of <count> disks
    Then it is refused with 422 and "spec.domain.devices.disks: Too many: <count>: must have at most 256 items"
    And nothing was stored

    # Lists of the second length are not even completed before they are refused.
    Examples:
      | count |
      | 300   |
      | 8000  |

  Scenario: virt-api is down
    Given a cluster with 1 node
    And virt-api is down
    When the client tries to post the VirtualMachineInstance "vmi"
    Then it is refused with 500 and "failed calling webhook"
    When virt-api is up again
    And the client posts the VirtualMachineInstance "vmi"
    Then the VMI "vmi" becomes Running
